"""The row by which a key is known again."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class KeyPrint(Base):
    """What the key of this name is known by: an HMAC under it, which tells nothing of the key itself."""

    __tablename__ = "key_print"

    name: Mapped[str] = mapped_column(primary_key=True)
    known_by: Mapped[str]
