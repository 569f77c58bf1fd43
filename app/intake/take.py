"""Taking: from what was fetched to the inbox, one item at a time.

Each item is read outside a transaction (the connector, the sanitiser, its files into the store), then kept in one:
message, person, conversation, case, what is owed, index, audit. A crash in between leaves it waiting. What defeats the
reader is put into quarantine with its bytes and the reason, and the next one goes on (reliability.md section 1.3).

    waiting ─read─→ ready ─keep─→ taken
       ↑      └─ or keep fails ─→ quarantined
       └──── a person, or a newer reader ──┘
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.channels.models import Account, State, Stream
from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.intake.keeping import Fate, Run, TakenElsewhere, keep
from app.intake.reading import Ready, Waiting, read
from app.intake.sightings import NO_BYTES
from app.jobs.running import describe
from app.messages.models import Reading, Sighting
from app.office.queries import rules
from app.store import NoRoom
from connectors import Unreadable

PAGE = 100  # sightings looked up at once
TRIES = 3  # of one item, where another worker made the same person or message just then
IN_FLIGHT_AGAIN = timedelta(minutes=2)

_log = structlog.stdlib.get_logger(__name__)


Watch = Callable[[Fate], None]


def take_sightings(deployment: Deployment, account_id: int) -> datetime | None:
    """The job: take whatever waits in the account; when to look again, if something could not be decided yet."""
    fates = take(deployment, account_id)
    return now() + IN_FLIGHT_AGAIN if fates[Fate.LATER] else None


def take(deployment: Deployment, account_id: int, *, watch: Watch | None = None) -> Counter[Fate]:
    """Take whatever waits in the account, oldest first; how many came to what.

    Raises only what is no item's fault: NoRoom, or an error of the database or the disk. What was taken before stands.
    """
    run = _begin(deployment, account_id)
    if run is None:
        return Counter()
    fates: Counter[Fate] = Counter()
    last_id = 0
    while waiting := _page(run, last_id):
        for sighting in waiting:
            last_id = sighting.id
            fate = _take_one(run, sighting)
            fates[fate] += 1
            if watch is not None:
                watch(fate)
            if jobs.is_stopping():
                _come_again(run)
                return fates
    return fates


def _begin(deployment: Deployment, account_id: int) -> Run | None:
    with deployment.database.transaction() as session:
        account = session.get(Account, account_id)
        if account is None or account.channel not in deployment.connectors:
            return None
        connector = deployment.connectors[account.channel]
        _give_a_newer_reader_its_chance(session, account_id, connector.manifest.reader)
        own = sa.select(Account.own_ids).where(
            Account.office_id == account.office_id,
            Account.channel == account.channel,
            Account.state != State.REMOVED,
        )
        streams = sa.select(Stream.id).where(Stream.account_id == account_id)
        return Run(
            deployment=deployment,
            account_id=account_id,
            office_id=account.office_id,
            channel=account.channel,
            connector=connector,
            rules=rules(session, account.office_id),
            own_ids=frozenset(one for ids in session.scalars(own) for one in ids),
            junk=frozenset(session.scalars(streams.where(Stream.is_junk))),
            ours=frozenset(session.scalars(streams.where(Stream.is_ours))),
        )


def _give_a_newer_reader_its_chance(session: Session, account_id: int, reader: int) -> None:
    session.execute(
        sa.update(Sighting)
        .where(
            Sighting.account_id == account_id,
            Sighting.state == Reading.QUARANTINED,
            Sighting.reader < reader,
            Sighting.sha256 != NO_BYTES,  # there is nothing to read
        )
        .values(state=Reading.WAITING)
    )


def _page(run: Run, after: int) -> list[Waiting]:
    query = (
        sa.select(
            Sighting.id,
            Sighting.stream_id,
            Sighting.external_id,
            Sighting.sha256,
            Sighting.size,
            Sighting.arrived_at,
            Sighting.fetched_at,
            Sighting.is_backlog,
        )
        # "<> 'taken'" stands there for the partial index, which is small however much was taken.
        .where(
            Sighting.account_id == run.account_id,
            sa.text("state <> 'taken'"),
            Sighting.state == Reading.WAITING,
            Sighting.id > after,
        )
        .order_by(Sighting.id)
        .limit(PAGE)
    )
    with run.deployment.database.reading() as session:
        return [Waiting(*row) for row in session.execute(query)]


def _take_one(run: Run, waiting: Waiting) -> Fate:
    """One sighting into the inbox or into quarantine: whatever is wrong with it, the next one goes on."""
    try:
        ready = read(run.deployment, run.connector, run.office_id, waiting)
        return _kept(run, waiting, ready)
    except TakenElsewhere:
        return Fate.AGAIN
    except (NoRoom, OSError, InterfaceError):
        raise
    except OperationalError as error:
        if not _is_too_large(error):
            raise
        return _quarantine(run, waiting, "This is too large for the database.")
    except (Unreadable, Problem) as problem:
        return _quarantine(run, waiting, str(problem))
    except Exception as error:  # noqa: BLE001 - one bad item never stops a channel, whatever it does to a reader
        _log.warning("item defeats the reader", sighting=waiting.id, error=describe(error))
        return _quarantine(run, waiting, f"Reading it failed ({type(error).__name__}).")


def _is_too_large(error: DBAPIError) -> bool:
    """PostgreSQL's class 54, "program limit exceeded", is about the item and not about the server."""
    return str(getattr(error.orig, "sqlstate", "")).startswith("54")


def _quarantine(run: Run, waiting: Waiting, trouble: str) -> Fate:
    with run.deployment.database.transaction() as session:
        session.execute(
            sa.update(Sighting)
            .where(Sighting.id == waiting.id, Sighting.state == Reading.WAITING)
            .values(state=Reading.QUARANTINED, trouble=trouble, reader=run.connector.manifest.reader)
        )
        record(session, "quarantine", "sighting", waiting.id, office_id=run.office_id, by=None)
    return Fate.QUARANTINED


def _come_again(run: Run) -> None:
    with run.deployment.database.transaction() as session:
        jobs.defer(session, jobs.Kind.TAKE_SIGHTINGS, run.account_id)


def _kept(run: Run, waiting: Waiting, ready: Ready) -> Fate:
    """The one transaction; once more where another worker inserted the same person or message at the same moment."""
    for left in reversed(range(TRIES)):
        try:
            with run.deployment.database.transaction() as session:
                return keep(session, run, waiting, ready)
        except IntegrityError:
            if not left:
                raise
    raise AssertionError
