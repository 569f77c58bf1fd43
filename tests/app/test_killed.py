"""kill -9 at every write of intake and outbox, on both databases, with real servers: nothing lost, doubled or stuck."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.cases.models import Case, Obligation, ObligationKind, ObligationState
from app.channels import actions
from app.channels.models import Account
from app.channels.trying import try_account
from app.db import Database
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from app.intake.take import take_sightings
from app.leases import TERM
from app.messages.models import Conversation, Direction, File, Message, Sighting
from app.office.queries import rules
from app.people.models import Identity
from app.replies import outbox
from app.replies.actions import Words, queue
from app.replies.models import Reply, Sending
from app.settings import Settings
from tests import make
from tests.conftest import Clock
from tests.connectors.email.box import mail, options
from tests.killing import killed_at
from tests.servers.dovecot import Dovecot
from tests.servers.postgres import Postgres, name_of
from tests.servers.smtp import Smtp

pytestmark = pytest.mark.db

EVERY = 7  # of the points, in the short run; the long run takes them all
MOST = 2000  # points of one run, which has a few hundred

Fresh = Callable[[], Settings]


@dataclass(frozen=True)
class Box:
    """A mailbox connected to an office."""

    address: str
    account_id: int


@pytest.fixture
def box(settings: Settings, dovecot: Dovecot, smtp: Smtp, address: str, clock: Clock) -> Box:
    """Five mails of which four are different, one with a file, two in one thread."""
    clock.advance(seconds=1)
    first = mail("Bin", "Missed.\n", Message_ID=f"<1.{address}>")
    second = mail("Re: Bin", "Again.\n", Message_ID=f"<2.{address}>", In_Reply_To=f"<1.{address}>")
    photo = EmailMessage()
    photo["From"], photo["To"], photo["Subject"] = "Lou <lou@larkrise.example>", address, "Foxes"
    photo["Message-ID"] = f"<3.{address}>"
    photo.set_content("See the picture.")
    photo.add_attachment(b"a fox", maintype="image", subtype="png", filename="fox.png")
    for one in (first, second, photo.as_bytes(), mail("Light", "Out.\n", sender="jory@row.example")):
        dovecot.deliver(address, one)
    dovecot.deliver(address, first, folder="Junk")
    deployment = deploy(_reaching(settings))
    with deployment.database.transaction() as session:
        office = make.office(session)
        account = actions.add_account(
            session,
            deployment.sealer,
            deployment.connectors["email"].manifest,
            office_id=office.id,
            options=options(address, dovecot, smtp),
            since=None,
            by=None,
            at=clock.at,
        )
    try_account(deployment, account.id)
    with deployment.database.transaction() as session:
        actions.activate(session, session.get_one(Account, account.id), by=None, at=clock.at)
    deployment.close()
    return Box(address, account.id)


@pytest.fixture
def fresh(settings: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """The install as it was when the box was connected, again and again."""
    made: list[Settings] = []

    def copy() -> Settings:
        data = tmp_path / f"copy-{len(made)}"
        shutil.copytree(settings.data, data)
        made.append(Settings(data=data))
        if settings.database_url is not None:
            server: Postgres = request.getfixturevalue("postgres")
            url = server.url(name_of(settings.database_url.get_secret_value()))
            made[-1] = Settings(data=data, database_url=SecretStr(url))
        return _reaching(made[-1])

    return copy


def _reaching(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_hosts": frozenset({"127.0.0.1"})})


def _fetch(box: Box) -> Callable[[Deployment], None]:
    def work(deployment: Deployment) -> None:
        poll_account(deployment, box.account_id, everything=True)
        take_sightings(deployment, box.account_id)

    return work


def _held(database: Database) -> dict[str, object]:
    """What the office has after everything was fetched."""
    with database.reading() as session:
        owed = sa.select(sa.func.count()).where(
            Obligation.kind == ObligationKind.REPLY, Obligation.state == ObligationState.OPEN
        )
        return {
            "subjects": sorted(session.scalars(sa.select(Message.subject))),
            "cases": session.scalar(sa.select(sa.func.count()).select_from(Case)),
            "files": session.scalars(sa.select(File.name)).all(),
            "owed": session.scalar(owed),
            "untaken": session.scalar(sa.select(sa.func.count()).where(Sighting.message_id.is_(None))),
        }


EXPECTED = {"subjects": ["Bin", "Foxes", "Light", "Re: Bin"], "cases": 3, "files": ["fox.png"], "owed": 3, "untaken": 0}


def _die_at_every_write_of_intake(box: Box, fresh: Fresh, clock: Clock, every: int) -> int:
    for point in range(1, MOST, every):
        settings = fresh()
        was_killed = killed_at(point, settings, _fetch(box))
        clock.advance(seconds=TERM.total_seconds() + 1)
        again = deploy(settings)
        _fetch(box)(again)
        held = _held(again.database)
        again.close()
        assert held == EXPECTED, f"killed at write {point}"
        if not was_killed:
            return point
    raise AssertionError("it never came to its end")


def test_intake_killed_now_and_then_loses_and_doubles_nothing(box: Box, fresh: Fresh, clock: Clock) -> None:
    assert _die_at_every_write_of_intake(box, fresh, clock, EVERY) > 50


@pytest.mark.slow
def test_intake_killed_at_every_write_loses_and_doubles_nothing(box: Box, fresh: Fresh, clock: Clock) -> None:
    assert _die_at_every_write_of_intake(box, fresh, clock, 1) > 50


def _queued(deployment: Deployment, clock: Clock) -> int:
    with deployment.database.transaction() as session:
        conversation = session.scalars(sa.select(Conversation).where(Conversation.subject == "Light")).one()
        by = make.staff(session).id
        seen = session.scalar(sa.select(sa.func.max(Message.id)).where(Message.case_id == conversation.case_id)) or 0
        words = Words(text="It is reported.", seen_message_id=seen)
        of = rules(session, conversation.office_id)
        return queue(session, of, conversation, words=words, by=by, at=clock.at).id


def _send(reply_id: int) -> Callable[[Deployment], None]:
    def work(deployment: Deployment) -> None:
        outbox.send_reply(deployment, reply_id)
        outbox.probe_reply(deployment, reply_id)
        outbox.file_copy(deployment, reply_id)

    return work


def _die_at_every_write_of_the_outbox(box: Box, fresh: Fresh, clock: Clock, smtp: Smtp, every: int) -> int:
    for point in range(1, MOST, every):
        settings = fresh()
        resident = f"resident-{point}.{box.address}"
        deployment = deploy(settings)
        _fetch(box)(deployment)
        with deployment.database.transaction() as session:
            jory = session.scalars(sa.select(Identity).where(Identity.handle == "jory@row.example")).one()
            jory.external_id = jory.handle = resident
        reply_id = _queued(deployment, clock)
        deployment.close()
        clock.advance(seconds=61)

        was_killed = killed_at(point, settings, _send(reply_id))
        clock.advance(seconds=TERM.total_seconds() + 1)
        again = deploy(settings)
        _send(reply_id)(again)
        _check(again, reply_id, len(smtp.inbox(resident, wait=1)), point)
        again.close()
        if not was_killed:
            return point
    raise AssertionError("it never came to its end")


def _check(deployment: Deployment, reply_id: int, arrived: int, point: int) -> None:
    """Sent once and known, or not known and a person decides: both clocks follow."""
    where = f"killed at write {point}"
    with deployment.database.transaction() as session:
        reply = session.get_one(Reply, reply_id)
        assert arrived <= 1, where
        if reply.state is Sending.UNCERTAIN:
            outbox.settle(session, deployment, reply, got_out=arrived == 1, by=reply.by_id)
        assert reply.state is (Sending.SENT if arrived else Sending.FAILED), where
        state = session.scalars(
            sa.select(Obligation.state).where(
                Obligation.case_id == reply.case_id, Obligation.kind == ObligationKind.REPLY
            )
        ).one()
        assert state is (ObligationState.MET if arrived else ObligationState.OPEN), where
        ours = sa.select(sa.func.count()).where(Message.direction == Direction.OUTBOUND)
        assert session.scalar(ours) == arrived, where


def test_an_outbox_killed_now_and_then_sends_at_most_once(box: Box, fresh: Fresh, clock: Clock, smtp: Smtp) -> None:
    assert _die_at_every_write_of_the_outbox(box, fresh, clock, smtp, EVERY) > 20


@pytest.mark.slow
def test_an_outbox_killed_at_every_write_sends_at_most_once(box: Box, fresh: Fresh, clock: Clock, smtp: Smtp) -> None:
    assert _die_at_every_write_of_the_outbox(box, fresh, clock, smtp, 1) > 20
