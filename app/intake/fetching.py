"""Fetching in the foreground, for the command line: everything that is there now, with counts at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from app.channels.models import Account, State
from app.channels.queries import Health, streams
from app.clock import now
from app.deployment import Deployment
from app.errors import Missing, Problem
from app.intake import quarantine
from app.intake.again import fetch_again
from app.intake.keeping import Fate
from app.intake.poll import POLLED, Progress, poll_account
from app.intake.sightings import NO_BYTES
from app.intake.take import take
from app.leases import is_held
from app.messages.models import Reading, Sighting

Show = Callable[[int, int | None], None]
"""Told how many items are done, and how many are left where that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a run brought: ``new`` sightings, and what became of what waited.

    ``troubles`` are sentences, one a stream.
    """

    new: int
    fates: Counter[Fate]
    troubles: tuple[str, ...]


def fetch_now(deployment: Deployment, account_id: int | None = None, *, show: Show | None = None) -> Fetched:
    """Poll every stream of one account, or of all, until nothing is left, and take everything in.

    Raises Missing when there is no such account, Problem when it is not being fetched.
    """
    new = 0
    fates: Counter[Fate] = Counter()

    def fetched(progress: Progress) -> None:
        nonlocal new
        new += progress.new
        if show is not None:
            show(new, progress.waiting)

    accounts = _accounts(deployment, account_id)
    for one in accounts:
        poll_account(deployment, one, watch=fetched, everything=True)
        fates += take(deployment, one)
    return Fetched(new=new, fates=fates, troubles=_troubles(deployment, accounts))


def retry_now(deployment: Deployment, sighting_ids: list[int] | None = None) -> int:
    """Read what waits in quarantine again, all of it or those named; how many stay there.

    Raises Missing for no such one.
    """
    with deployment.database.transaction() as session:
        query = sa.select(Sighting).where(Sighting.state == Reading.QUARANTINED)
        waiting = session.scalars(query if sighting_ids is None else query.where(Sighting.id.in_(sighting_ids))).all()
        unknown = set(sighting_ids or ()) - {one.id for one in waiting}
        if unknown:
            raise Missing("%(ids)s does not wait in quarantine.", ids=", ".join(map(str, sorted(unknown))))
        for one in waiting:
            quarantine.retry(session, one, by=None)
        accounts = sorted({one.account_id for one in waiting})
        withheld = [one.id for one in waiting if one.sha256 == NO_BYTES]
    for one_id in withheld:
        fetch_again(deployment, one_id)
    left = sum(take(deployment, account_id)[Fate.QUARANTINED] for account_id in accounts)
    return left + _still_withheld(deployment, withheld)


def _still_withheld(deployment: Deployment, sighting_ids: list[int]) -> int:
    with deployment.database.reading() as session:
        query = sa.select(sa.func.count()).where(Sighting.id.in_(sighting_ids), Sighting.sha256 == NO_BYTES)
        return session.scalar(query) or 0


def _accounts(deployment: Deployment, account_id: int | None) -> list[int]:
    with deployment.database.reading() as session:
        if account_id is None:
            return list(session.scalars(sa.select(Account.id).where(Account.state.in_(POLLED)).order_by(Account.id)))
        found = session.get(Account, account_id)
        if found is None or found.state is State.REMOVED:
            raise Missing("There is no account %(account)s.", account=account_id)
        if found.state not in POLLED:
            raise Problem("%(account)s is not being fetched: it is %(state)s.", account=found.name, state=found.state)
        return [account_id]


def _troubles(deployment: Deployment, accounts: list[int]) -> tuple[str, ...]:
    with deployment.database.reading() as session:
        wanted = session.scalars(sa.select(Account).where(Account.id.in_(accounts)).order_by(Account.id)).all()
        busy = [f"{one.name}: another process is fetching it." for one in wanted if is_held(one, now())]
        failing = [
            f"{one.account}, {one.stream}: {one.trouble}"
            for one in streams(session, {one.office_id for one in wanted}, now())
            if one.account_id in accounts and one.health is not Health.OK and one.trouble
        ]
    return *busy, *failing
