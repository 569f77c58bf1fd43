"""Who is allowed what: one table, and somebody signed in as the guard sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from app.staff.models import Role
from app.web.permissions import Permission

ROLES: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.COUNCILLOR: frozenset(Permission) - {Permission.ADMINISTER},
    Role.CASEWORKER: frozenset(
        {Permission.SIGNED_IN, Permission.READ_CASES, Permission.HANDLE_CASES, Permission.VIEW_ACCOUNTS}
    ),
    Role.VIEWER: frozenset({Permission.SIGNED_IN, Permission.READ_CASES}),
}

# In every office of the install, without seeing any casework (domain.md section 1).
ADMINISTRATOR: Final = frozenset(
    {
        Permission.SIGNED_IN,
        Permission.VIEW_ACCOUNTS,
        Permission.MANAGE_ACCOUNTS,
        Permission.MANAGE_OFFICE,
        Permission.ADMINISTER,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A place in an office."""

    office_id: int
    office: str
    place: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Somebody signed in, with their seats by name of the office. ``all_offices`` is filled for administrators only."""

    id: int
    name: str
    email: str
    language: str
    theme: str
    single_keys: bool
    tint: int
    is_administrator: bool
    sign_in_id: int
    office_id: int | None
    fresh_at: datetime
    seen_at: datetime
    seats: tuple[Seat, ...]
    all_offices: frozenset[int] = frozenset()

    @cached_property
    def offices(self) -> Mapping[int, str]:
        """The offices the person belongs to, by id, in the order of their names."""
        return {seat.office_id: seat.office for seat in self.seats}

    def role_in(self, office_id: int) -> Role | None:
        """What the person is in an office."""
        return next((seat.role for seat in self.seats if seat.office_id == office_id), None)

    def offices_with(self, permission: Permission) -> frozenset[int]:
        """The offices in which the person holds ``permission``: by a seat, or as an administrator."""
        held = frozenset(seat.office_id for seat in self.seats if permission in ROLES[seat.role])
        return held | self.all_offices if self.is_administrator and permission in ADMINISTRATOR else held

    def may(self, permission: Permission) -> bool:
        """Whether the person holds ``permission`` anywhere."""
        if permission is Permission.SIGNED_IN:
            return True
        if self.is_administrator and permission in ADMINISTRATOR:
            return True
        return bool(self.offices_with(permission))
