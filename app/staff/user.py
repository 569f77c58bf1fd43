"""Our people as Flask-Security asks for them, and what it changes of them as our actions."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from flask_security import RoleMixin, UserDatastore, UserMixin

from app.clock import now
from app.errors import Missing
from app.staff import actions, queries
from app.staff.models import Staff
from app.web.session import session

PHONE: Final = "authenticator"  # the one second step there is, as Flask-Security calls it


class User(UserMixin):
    """Somebody. Their row is read when it is first asked for: most pages ask for nothing but who this is."""

    active = True  # those who are blocked are not found at all

    def __init__(self, staff_id: int) -> None:
        self.id = staff_id

    @cached_property
    def staff(self) -> Staff:
        """Their row."""
        return queries.staff(session, self.id)

    @property
    def email(self) -> str:  # type: ignore[override]  # the library declares columns where we have properties
        """What they sign in with."""
        return self.staff.email

    @property
    def password(self) -> str | None:
        """As it is kept."""
        return self.staff.password

    @password.setter
    def password(self, kept: str | None) -> None:
        self.staff.password = kept

    @property
    def fs_uniquifier(self) -> str:  # type: ignore[override]
        """What the cookie holds between the two steps. It ends with the password: ``Users.find_user`` compares."""
        return f"{self.id}-{sha256((self.password or '').encode()).hexdigest()[:16]}"

    @property
    def tf_primary_method(self) -> str | None:  # type: ignore[override]
        """Which second step they have set up."""
        return None if self.staff.totp_secret is None else PHONE

    @property
    def tf_totp_secret(self) -> str | None:  # type: ignore[override]
        """What they share with their phone, sealed."""
        return self.staff.totp_secret

    @property
    def mf_recovery_codes(self) -> list[str]:  # type: ignore[override]
        """Sealed."""
        return self.staff.recovery_codes


class Users(UserDatastore):
    """Finds people and changes them within the transaction of the request."""

    def __init__(self) -> None:
        super().__init__(User, RoleMixin)

    def commit(self) -> None:
        """Nothing is kept before the end of the request, and then all of it or nothing."""
        session.flush()

    def put(self, model: Any) -> Any:
        """A row that was read in this session is kept with it."""
        return model

    def find_user(self, case_insensitive: bool = False, **by: Any) -> User | None:  # noqa: ARG002, FBT001, FBT002
        """Somebody by ``email`` or ``fs_uniquifier``; whoever is blocked looks like nobody."""
        found = self._by_email(by["email"]) if "email" in by else self._by_uniquifier(by["fs_uniquifier"])
        return found if found is not None and found.staff.active else None

    def set_uniquifier(self, user: User, uniquifier: str | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """The password is another: whatever was begun with the old one ends."""
        actions.password_changed(session, user.staff, by=user.id, at=now())

    def tf_set(  # type: ignore[override]
        self,
        user: User,
        primary_method: str,  # noqa: ARG002
        totp_secret: str | None = None,
        phone: str | None = None,  # noqa: ARG002
    ) -> None:
        """A second step is set up; at signing in the same secret comes again."""
        if totp_secret is not None and totp_secret != user.tf_totp_secret:
            actions.turn_on_second_step(session, user.staff, totp_secret)

    def mf_set_recovery_codes(self, user: User, rcs: list[str] | None) -> None:  # type: ignore[override]
        """New recovery codes in place of the old ones."""
        actions.set_recovery_codes(session, user.staff, rcs or [])

    def mf_delete_recovery_code(self, user: User, idx: int) -> bool:  # type: ignore[override]
        """A recovery code is good once."""
        actions.use_recovery_code(session, user.staff, idx)
        return True

    @staticmethod
    def _by_email(email: str) -> User | None:
        found = queries.by_email(session, email)
        return None if found is None else User(found.id)

    @staticmethod
    def _by_uniquifier(uniquifier: str) -> User | None:
        user = User(int(uniquifier.partition("-")[0]))
        try:
            return user if user.fs_uniquifier == uniquifier else None
        except Missing:
            return None
