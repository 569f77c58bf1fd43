"""Rows of the store where it lies in PostgreSQL; empty where it is a folder."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Blob(Base):
    """Something kept: ``put_at`` is the last time that somebody put it."""

    __tablename__ = "blob"
    __table_args__ = (sa.Index("ix_blob_office_id_put_at", "office_id", "put_at"),)

    office_id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    size: Mapped[int]
    put_at: Mapped[datetime]


class BlobChunk(Base):
    """A part of it, from position 0: no row is larger than half a megabyte, and none is read before it is needed."""

    __tablename__ = "blob_chunk"
    __table_args__ = (
        sa.ForeignKeyConstraint(["office_id", "sha256"], ["blob.office_id", "blob.sha256"], ondelete="CASCADE"),
    )

    office_id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(repr=False)
