"""What was erased is still in the mailbox: fetching it again, from real Dovecot, does not bring it back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from app.cases import actions as cases
from app.cases.models import Case, Outcome
from app.channels.models import Stream
from app.clock import now
from app.deployment import Deployment
from app.intake.keeping import Fate
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.models import Message, Sighting
from app.people.models import Person
from app.retention.actions import erase
from tests import make
from tests.servers.dovecot import PASSWORD, Dovecot

pytestmark = pytest.mark.db


@dataclass(frozen=True)
class Box:
    """An office whose one account is a mailbox."""

    deployment: Deployment
    server: Dovecot
    address: str
    office_id: int
    account_id: int

    def deliver(self, sender: str, subject: str) -> None:
        head = f"From: {sender}\r\nTo: {self.address}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n"
        self.server.deliver(self.address, f"{head}\r\n{subject}.\r\n".encode())

    def fetch(self) -> dict[Fate, int]:
        poll_account(self.deployment, self.account_id, everything=True)
        return dict(take(self.deployment, self.account_id))

    def fetch_from_the_beginning(self) -> dict[Fate, int]:
        with self.deployment.database.transaction() as session:
            session.execute(sa.update(Stream).values(cursor=None))
        return self.fetch()

    def texts(self) -> list[str]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Message.text).order_by(Message.id)))

    def erase(self, name: str) -> None:
        with self.deployment.database.transaction() as session:
            person = session.scalars(sa.select(Person).where(Person.name == name)).one()
            office = session.scalars(sa.select(Case.office_id)).first()
            by = make.staff(session).id
            for case in session.scalars(sa.select(Case).where(Case.person_id == person.id)).all():
                cases.close(session, case, outcome=Outcome.RESOLVED, by=by, at=now())
            person_id = person.id
        erase(self.deployment, office or 0, person_id, by=by)


@pytest.fixture
def box(deployment: Deployment, dovecot: Dovecot, address: str) -> Box:
    allowed = frozenset({f"{dovecot.host}:{dovecot.imaps_port}"})
    reaching = replace(deployment, host=replace(deployment.host, allowed_hosts=allowed))
    with reaching.database.transaction() as session:
        office = make.office(session)
        account = make.account(
            session,
            office=office,
            options={"address": address, "imap_host": dovecot.host, "imap_port": str(dovecot.imaps_port)},
            sealed=reaching.sealer.seal({"password": PASSWORD}),
            own_ids=[address],
        )
        make.stream(session, account=account)
        return Box(reaching, dovecot, address, office.id, account.id)


def test_a_mail_that_was_erased_stays_away_when_it_is_fetched_again(box: Box) -> None:
    box.deliver("Ann <ann@x.example>", "Bin")
    box.deliver("Bob <bob@x.example>", "Lamp")
    assert box.fetch() == {Fate.MESSAGE: 2}
    box.erase("Ann")

    assert box.fetch_from_the_beginning() == {Fate.ERASED: 1}
    assert box.texts() == ["—", "Lamp."]
    with box.deployment.database.reading() as session:
        assert sorted(session.scalars(sa.select(Person.name))) == ["Bob", "—"]
        assert session.scalar(sa.select(sa.func.count()).select_from(Sighting)) == 2


def test_a_folder_that_is_numbered_anew_brings_nothing_back(box: Box) -> None:
    box.deliver("Ann <ann@x.example>", "Bin")
    box.fetch()
    box.erase("Ann")
    box.deployment.lines.drop(box.account_id)
    box.server.renumber(box.address)
    box.fetch()
    assert box.texts() == ["—"]


def test_whoever_was_erased_may_write_again(box: Box) -> None:
    box.deliver("Ann <ann@x.example>", "Bin")
    box.fetch()
    box.erase("Ann")
    box.deliver("Ann <ann@x.example>", "Tree")
    assert box.fetch() == {Fate.MESSAGE: 1}
    assert box.texts() == ["—", "Tree."]
