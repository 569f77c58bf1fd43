"""The tokens of one account, for the connector that speaks for it: one set for all processes, renewed by one of them.

read ─→ (they end) ─→ lease ─→ fetch, with no transaction open ─→ kept, lease given back
                        └ another holds it: wait for what it gets
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.channels.models import Access
from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.leases import give_back, is_held, take
from connectors import AuthExpired, Transient

_PATIENCE: Final = 30.0  # seconds; the sign-in service is given up before
_LOOK_EVERY: Final = 0.2

Fetch = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class AccountTokens:
    """A :class:`connectors.Tokens` over the account's row of ``access``."""

    deployment: Deployment
    account_id: int

    def read(self) -> Mapping[str, str]:
        """What stands now; empty where nobody has signed in, or where it was sealed with a key that is gone."""
        with self.deployment.database.reading() as session:
            access = session.scalar(sa.select(Access).where(Access.account_id == self.account_id))
            return self._open(access) if access else {}

    def renew(self, stale: Mapping[str, str], fetch: Fetch) -> Mapping[str, str]:
        """What stands in place of ``stale``: fetched by whoever gets the lease, and kept before anybody uses it."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            with self.deployment.database.transaction() as session:
                access = self._locked(session)
                held = self._open(access)
                if held != stale:
                    return held
                holder = "" if is_held(access, now()) else take(access, now())
            if holder:
                with self.deployment.leases.kept(Access, access.id, holder):
                    return self._keep(holder, stale, self._fetch(holder, held, fetch))
            time.sleep(_LOOK_EVERY)
        raise Transient("Another process has been renewing the sign-in for too long.")

    def _fetch(self, holder: str, held: Mapping[str, str], fetch: Fetch) -> Mapping[str, str]:
        """What the platform gives; nobody else need wait where it gives nothing."""
        try:
            return fetch(held)
        except BaseException:
            with self.deployment.database.transaction() as session:
                access = self._locked(session)
                if access.lease_by == holder:
                    give_back(access)
            raise

    def _keep(self, holder: str, stale: Mapping[str, str], fetched: Mapping[str, str]) -> Mapping[str, str]:
        """``fetched``, unless a person has signed in anew meanwhile: then what that gave."""
        with self.deployment.database.transaction() as session:
            access = self._locked(session)
            if access.lease_by == holder:
                give_back(access)
            held = self._open(access)
            if held != stale:
                return held
            access.sealed = self.deployment.sealer.seal(fetched)
            return fetched

    def _locked(self, session: Session) -> Access:
        access = session.scalar(sa.select(Access).where(Access.account_id == self.account_id).with_for_update())
        if access is None:
            raise AuthExpired("Nobody has signed in for this account.")
        return access

    def _open(self, access: Access) -> Mapping[str, str]:
        try:
            return self.deployment.sealer.open(access.sealed) if access.sealed else {}
        except Problem:
            return {}
