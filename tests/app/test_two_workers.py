"""Two workers over one PostgreSQL, real mailboxes, one of the two killed: its work is taken over, nothing doubles."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from email import message_from_bytes

import pytest
import sqlalchemy as sa

from app import jobs
from app.channels import actions
from app.channels.models import Account, Heartbeat, Stream
from app.channels.trying import try_account
from app.clock import now
from app.db import Database
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.models import Conversation, Direction, Message, Reading, Sighting
from app.office.queries import rules
from app.replies.actions import Words, queue
from app.replies.models import Reply, Sending
from app.replies.outbox import ASK_A_PERSON
from app.settings import Settings
from tests import make
from tests.app.program import environment, until
from tests.connectors.email.box import mail, options
from tests.house.tree import ROOT
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

THREADS = 8
REPLIES = 2  # of each mailbox
# `python -m app work`, but for its patience: a worker that says nothing is given up after 4 seconds instead of 20, a
# mailbox and a reply that it held after 6 seconds instead of 60.
WORK = """
from datetime import timedelta
from app import leases
from app.deployment import deploy
from app.replies import outbox
from app.settings import Settings
from app.worker import Worker
leases.TERM = timedelta(seconds=6)
outbox.PROBE_AGAIN = timedelta(seconds=2)
Worker(deploy(Settings()), lease=timedelta(seconds=4)).run()
"""


@pytest.fixture(scope="session")
def database_kind() -> str:
    """Several workers in several processes are PostgreSQL's business alone."""
    return "postgresql"


@dataclass(frozen=True)
class Post:
    """Mailboxes full of mail, and replies that are due: by resident."""

    accounts: list[int]
    subjects: list[str]
    residents: list[str]


def prepare(deployment: Deployment, dovecot: Dovecot, smtp: Smtp, address: str, *, boxes: int, mails: int) -> Post:
    """Each mailbox has residents whose replies wait, and ``mails`` that nobody has fetched yet."""
    accounts, residents, subjects = [], [], []
    with deployment.database.transaction() as session:
        office_id = make.office(session).id
        by = make.staff(session).id
    for box in range(boxes):
        own = f"box{box}-{address}"
        asking = [f"slow-{box}-{number}.{address}" for number in range(REPLIES)]
        dovecot.deliver_all(own, [(mail(f"Ask {one}", sender=one), "INBOX", None) for one in asking])
        account_id = _connect(deployment, office_id, options(own, dovecot, smtp))
        poll_account(deployment, account_id, everything=True)
        take(deployment, account_id)
        _answer(deployment, account_id, by)
        later = [f"Bin {box}-{number}" for number in range(mails)]
        dovecot.deliver_all(own, [(mail(one, sender=f"{one[4:]}@row.example"), "INBOX", None) for one in later])
        accounts.append(account_id)
        residents += asking
        subjects += [f"Ask {one}" for one in asking] + later
    with deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(next_at=now()))
        for account_id in accounts:
            jobs.defer(session, jobs.Kind.POLL_ACCOUNT, account_id)
    return Post(accounts, subjects, residents)


def _connect(deployment: Deployment, office_id: int, given: dict[str, str]) -> int:
    with deployment.database.transaction() as session:
        account_id = actions.add_account(
            session,
            deployment.sealer,
            deployment.connectors["email"].manifest,
            office_id=office_id,
            options=given,
            since=None,
            by=None,
            at=now(),
        ).id
    try_account(deployment, account_id)
    with deployment.database.transaction() as session:
        actions.activate(session, session.get_one(Account, account_id), by=None, at=now())
    return account_id


def _answer(deployment: Deployment, account_id: int, by: int) -> None:
    """A reply in each conversation of the account, due now."""
    with deployment.database.transaction() as session:
        of_account = sa.select(Conversation).where(Conversation.account_id == account_id).order_by(Conversation.id)
        for conversation in session.scalars(of_account).all():
            at = now() - timedelta(seconds=61)
            words = Words(text="It is reported.", seen_message_id=conversation.last_message_id)
            queue(session, rules(session, conversation.office_id), conversation, words=words, by=by, at=at)


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | environment(settings) | {"POSTBAG_WORKERS": str(THREADS)}
    with subprocess.Popen([sys.executable, "-c", WORK], cwd=ROOT, env=env) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def reaching(settings: Settings) -> Iterator[Deployment]:
    opened = deploy(settings)
    yield replace(opened, host=replace(opened.host, allowed_hosts=frozenset({"127.0.0.1"})))
    opened.close()


def test_one_of_two_workers_is_killed_and_the_other_does_its_work(
    settings: Settings, reaching: Deployment, dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    post = prepare(reaching, dovecot, smtp, address, boxes=3, mails=80)
    with worker(settings) as doomed, worker(settings) as other:
        assert until(lambda: _is_in_the_middle(reaching.database, post))
        doomed.kill()
        assert until(lambda: _is_finished(reaching.database, post), 90)
        other.terminate()
        assert other.wait(20) == 0
    _nothing_lost_and_nothing_doubled(reaching.database, post, dovecot, smtp, most_in_doubt=THREADS)


@pytest.mark.slow
def test_workers_killed_again_and_again_lose_and_double_nothing(
    settings: Settings, reaching: Deployment, dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    post = prepare(reaching, dovecot, smtp, address, boxes=8, mails=300)
    kills = 5
    with worker(settings) as other:
        for killed in range(kills):
            with worker(settings) as doomed:
                assert until(lambda beats=killed + 2: _beats(reaching.database) >= beats)  # type: ignore[misc]
                doomed.kill()
        assert until(lambda: _is_finished(reaching.database, post), 300)
        other.terminate()
        assert other.wait(20) == 0
    _nothing_lost_and_nothing_doubled(reaching.database, post, dovecot, smtp, most_in_doubt=THREADS * kills)


def _beats(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Heartbeat)) or 0


def _is_in_the_middle(database: Database, post: Post) -> bool:
    """A reply is at the mail server, and some of the post is taken but not all of it."""
    with database.reading() as session:
        sending = session.scalar(sa.select(sa.func.count()).where(Reply.state == Sending.SENDING)) or 0
        taken = session.scalar(sa.select(sa.func.count()).where(Sighting.state == Reading.TAKEN)) or 0
    return sending > 0 and len(post.residents) < taken < len(post.subjects)


def _is_finished(database: Database, post: Post) -> bool:
    """All mail is taken, and of every reply it is known what became of it, or a person is asked."""
    with database.reading() as session:
        taken = session.scalar(sa.select(sa.func.count()).where(Sighting.state == Reading.TAKEN))
        going = sa.or_(
            Reply.state.in_([Sending.QUEUED, Sending.SENDING]),
            sa.and_(Reply.state == Sending.UNCERTAIN, Reply.trouble != ASK_A_PERSON),
            sa.and_(Reply.state == Sending.SENT, Reply.copy_filed_at.is_(None)),
        )
        held = sa.select(sa.func.count()).where(Account.lease_until.is_not(None))
        return (
            taken == len(post.subjects)
            and not session.scalar(sa.select(sa.func.count()).where(going))
            and not session.scalar(held)
        )


def _nothing_lost_and_nothing_doubled(
    database: Database, post: Post, dovecot: Dovecot, smtp: Smtp, *, most_in_doubt: int
) -> None:
    with database.reading() as session:
        inbound = sa.select(Message.subject).where(Message.direction == Direction.INBOUND)
        assert Counter(session.scalars(inbound)) == Counter(post.subjects)
        outbound = sa.select(sa.func.count()).where(Message.direction == Direction.OUTBOUND)
        replies = session.execute(sa.select(Reply.recipients, Reply.state, Reply.platform_id)).all()
        states = Counter(state for _, state, _ in replies)
        assert set(states) <= {Sending.SENT, Sending.UNCERTAIN}
        assert states[Sending.UNCERTAIN] <= most_in_doubt
        assert session.scalar(outbound) == states[Sending.SENT]
        assert session.scalar(sa.text("SELECT count(*) FROM procrastinate_jobs WHERE status <> 'todo'")) == 0
        assert jobs.parked(session) == []
        names = session.scalars(sa.select(Account.name)).all()
    assert len(replies) == len(post.residents)
    for recipients, state, platform_id in replies:
        arrived = len(smtp.inbox(recipients["to"][0][1]))
        assert (arrived == 1) if state is Sending.SENT else (arrived <= 1), platform_id
    copies = Counter(message_from_bytes(one)["Message-ID"] for name in names for one in dovecot.messages(name, "Sent"))
    assert copies == Counter(platform_id for _, state, platform_id in replies if state is Sending.SENT)
