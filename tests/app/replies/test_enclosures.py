"""Files of drafts and replies: those that fit stay, whatever becomes of the reply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.deployment import Deployment
from app.errors import Invalid, Missing
from app.messages.models import Conversation
from app.office.queries import rules
from app.replies import actions, enclosures
from app.replies.actions import Words
from app.replies.enclosures import Upload, room
from app.replies.models import Draft, Enclosure, Mode, Reply
from app.store.references import named
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

PHOTO = b"\xff\xd8\xff\xe0 a bin"


@dataclass
class Desk:
    """A mail that waits for its answer, in a database that others can look into."""

    deployment: Deployment
    conversation_id: int
    message_id: int
    by: int
    at: datetime

    def words(self, text: str = "I have asked the depot.") -> Words:
        return Words(text=text, seen_message_id=self.message_id)

    def attach(self, *uploads: Upload, most: int = 1_000) -> None:
        with self.deployment.database.transaction() as session:
            try:
                self._attach(session, uploads, most)
            except Invalid as refused:
                self.refused = str(refused)

    def _attach(self, session: Session, uploads: tuple[Upload, ...], most: int) -> None:
        actions.enclose(
            session,
            self.deployment.store,
            session.get_one(Conversation, self.conversation_id),
            uploads=uploads,
            most=most,
            words=self.words(""),
            by=self.by,
            at=self.at,
        )

    def queue(self, session: Session) -> Reply:
        conversation = session.get_one(Conversation, self.conversation_id)
        office = rules(session, conversation.office_id)
        return actions.queue(session, office, conversation, words=self.words(), by=self.by, at=self.at)

    def names(self) -> list[str]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Enclosure.name).order_by(Enclosure.id)))


@pytest.fixture
def desk(deployment: Deployment, clock: Clock) -> Desk:
    with deployment.database.transaction() as session:
        office = make.office(session)
        person = make.person(session, office=office)
        identity = make.identity(session, person=person)
        conversation = make.conversation(session, case=make.case(session, office=office, person=person))
        message = make.message(session, conversation=conversation, identity_id=identity.id)
        return Desk(deployment, conversation.id, message.id, make.staff(session, office=office).id, clock.at)


def test_a_draft_of_files_alone_is_a_draft(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO))
    with desk.deployment.database.reading() as session:
        draft = session.scalars(sa.select(Draft)).one()
        (file,) = enclosures.of_draft(session, draft.id)
    assert (file.name, file.media_type, file.size) == ("bin.jpg", "image/jpeg", 10)
    assert desk.deployment.store.read(file.office_id, file.sha256) == PHOTO


def test_the_sweep_spares_what_a_draft_names(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO))
    with desk.deployment.database.reading() as session:
        file = session.scalars(sa.select(Enclosure)).one()
    assert file.sha256 in set(named(desk.deployment.database, file.office_id))


def test_files_go_with_the_reply_and_come_back_with_undo(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO))
    with desk.deployment.database.transaction() as session:
        reply = desk.queue(session)
        assert [one.name for one in enclosures.of_reply(session, reply.id)] == ["bin.jpg"]
        draft = actions.withdraw(session, reply, by=desk.by, at=desk.at)
        assert draft is not None
        assert [one.name for one in enclosures.of_draft(session, draft.id)] == ["bin.jpg"]


def test_a_discarded_draft_takes_its_files_along(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO))
    with desk.deployment.database.transaction() as session:
        conversation = session.get_one(Conversation, desk.conversation_id)
        actions.discard_draft(session, conversation, mode=Mode.REPLY, by=desk.by)
    assert desk.names() == []


def test_what_does_not_fit_is_named_and_the_rest_stays(desk: Desk) -> None:
    desk.attach(Upload("small.txt", b"a" * 400), Upload("large.txt", b"b" * 601), Upload("other.txt", b"c" * 600))
    assert desk.names() == ["small.txt", "other.txt"]
    assert desk.refused.startswith("“large.txt” does not fit")


def test_an_empty_file_is_not_sent_in_silence(desk: Desk) -> None:
    desk.attach(Upload("empty.txt", b""))
    assert (desk.names(), desk.refused) == ([], "“empty.txt” is empty, so it was not attached.")


def test_a_channel_without_files_takes_none(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO), most=0)
    assert (desk.names(), desk.refused) == ([], "No files can be sent on this channel.")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("C:\\photos\\bin.jpg", "bin.jpg"),
        ("../../etc/passwd", "passwd"),
        ("bin\r\nX: y.jpg", "bin X: y.jpg"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ("\u202egpj.exe", "gpj.exe"),
        ("", "file"),
    ],
)
def test_a_name_is_a_name_alone(desk: Desk, given: str, name: str) -> None:
    desk.attach(Upload(given, b"x"))
    assert desk.names() == [name]


def test_a_file_of_another_ones_draft_cannot_be_taken_away(desk: Desk) -> None:
    desk.attach(Upload("bin.jpg", PHOTO))
    with desk.deployment.database.reading() as session:
        file = session.scalars(sa.select(Enclosure)).one()
        assert enclosures.own(session, file.id, desk.by)[0].id == file.id
        with pytest.raises(Missing):
            enclosures.own(session, file.id, desk.by + 1)


def test_room_leaves_space_for_how_mail_carries_files() -> None:
    assert (room(20_000_000), room(10_000_000), room(200_000_000), room(0)) == (14_400_000, 7_100_000, 24_000_000, 0)
