"""What a person may be allowed to do; who is allowed what is said in ``app.staff.roles``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Permission(StrEnum):
    """Every route names one of these."""

    SIGNED_IN = "signed_in"  # whoever is signed in, whatever they are
    READ_CASES = "read_cases"
    HANDLE_CASES = "handle_cases"
    VIEW_ACCOUNTS = "view_accounts"
    MANAGE_ACCOUNTS = "manage_accounts"
    MANAGE_OFFICE = "manage_office"
    VIEW_AUDIT = "view_audit"
    ADMINISTER = "administer"  # of the install, not of an office


class Actor(Protocol):
    """Whoever is signed in, as far as the guard and the shell of a page care."""

    @property
    def id(self) -> int:
        """Which person."""

    @property
    def name(self) -> str:
        """As colleagues call them."""

    @property
    def language(self) -> str:
        """``en`` or ``cy``."""

    @property
    def theme(self) -> str:
        """``auto``, ``light`` or ``dark``."""

    @property
    def single_keys(self) -> bool:
        """Whether single keys act on pages."""

    @property
    def tint(self) -> int:
        """Which avatar tint."""

    @property
    def office_id(self) -> int | None:
        """The office chosen in the switcher; ``None`` is all of them."""

    @property
    def fresh_at(self) -> datetime:
        """When the password was last given."""

    @property
    def offices(self) -> Mapping[int, str]:
        """The offices the person belongs to, by id, in the order of their names."""

    def offices_with(self, permission: Permission) -> frozenset[int]:
        """The offices in which the person holds ``permission``."""

    def may(self, permission: Permission) -> bool:
        """Whether the person holds ``permission`` anywhere."""
