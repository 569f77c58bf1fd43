"""The people of Fernmoor go on talking: more comes in as the clock runs, and whoever gets an answer says thank you."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.cases.models import Obligation, ObligationKind, ObligationState
from app.demonstration.founding import BRAM
from app.demonstration.platform import THANKS, Fernmoor, channels
from app.demonstration.world import LATER
from app.messages.models import Conversation, Direction, Message
from app.office.queries import rules
from app.replies.actions import Words, queue
from app.replies.models import Reply, Sending
from app.replies.outbox import send_reply
from connectors import Actor, Audience, Draft
from tests.app.demonstration.conftest import Borough
from tests.conftest import MORNING


def test_more_comes_in_as_the_clock_runs(borough: Borough) -> None:
    def said() -> list[str]:
        with borough.deployment.database.reading() as session:
            texts = session.scalars(sa.select(Message.text).order_by(Message.id)).all()
        return [text.strip() for text in texts]

    later = [one.text.strip() for one in LATER]
    borough.fetch()
    assert set(said()).isdisjoint(later)
    borough.clock.advance(minutes=2, seconds=30)
    borough.fetch()
    assert [text for text in said() if text in later] == [
        "P.S. Number 13 says that theirs was emptied, so the lorry was here."
    ]
    borough.clock.advance(minutes=60)
    borough.fetch()
    assert sorted(text for text in said() if text in later) == sorted(later)
    with borough.deployment.database.reading() as session:
        assert borough.case(session, "later-1").id == borough.case(session, "bins-1").id
        assert borough.case(session, "later-5").id == borough.case(session, "damp-1").id


@pytest.mark.parametrize(
    ("key", "channel", "audience"),
    [
        ("bins-1", "email", Audience.DIRECT),
        ("damp-1", "facebook", Audience.DIRECT),
        ("bins-3", "facebook", Audience.PUBLIC),
        ("pothole", "reddit", Audience.PUBLIC),
        ("appeal", "mastodon", Audience.DIRECT),
        ("bins-4", "mastodon", Audience.PUBLIC),
        ("press", "bluesky", Audience.DIRECT),
        ("boiler", "webform", Audience.DIRECT),
    ],
)
def test_an_answer_stops_the_clock_and_is_thanked_for_on_its_case(
    borough: Borough, key: str, channel: str, audience: Audience
) -> None:
    reply_id = _answer(borough, key)
    borough.clock.advance(seconds=61)
    send_reply(borough.deployment, reply_id)
    with borough.deployment.database.reading() as session:
        reply = session.get_one(Reply, reply_id)
        assert (reply.state, reply.trouble, reply.audience) == (Sending.SENT, "", audience)
        message = borough.message(session, key)
        assert message.channel == channel
        owed = sa.select(Obligation.state).where(
            Obligation.message_id == message.id, Obligation.kind == ObligationKind.REPLY
        )
        assert session.scalars(owed).one() is ObligationState.MET
        case_id, conversation_id = message.case_id, message.conversation_id
    borough.clock.advance(minutes=4)
    borough.fetch()
    with borough.deployment.database.reading() as session:
        thanks = session.scalars(sa.select(Message).where(Message.text.contains(THANKS))).one()
        assert (thanks.case_id, thanks.conversation_id) == (case_id, conversation_id)
        assert (thanks.direction, thanks.audience) == (Direction.INBOUND, audience)
        assert thanks.author_name == borough.message(session, key).author_name
        assert borough.case(session, key).is_unread


def _answer(borough: Borough, key: str) -> int:
    with borough.deployment.database.transaction() as session:
        message = borough.message(session, key)
        seen = session.scalar(sa.select(sa.func.max(Message.id)).where(Message.case_id == message.case_id)) or 0
        return queue(
            session,
            rules(session, message.office_id),
            session.get_one(Conversation, message.conversation_id),
            words=Words(text="I have asked the county. You will hear from me by Friday.", seen_message_id=seen),
            by=borough.staff(session, BRAM),
            at=borough.clock.at,
        ).id


def test_the_same_answer_sent_twice_is_one(borough: Borough) -> None:
    world = Fernmoor()
    options = {"address": "u/cllr_quillfeather", "name": "Cllr Tansy Quillfeather", "office": "tansy"}
    line = channels(world)["reddit"].connect(options, borough.deployment.host)
    prepared = line.prepare(
        Draft(
            key="one",
            audience=Audience.PUBLIC,
            sender=Actor(external_id="u/cllr_quillfeather"),
            to=(Actor(external_id="u/potted_newt", name="u/potted_newt", handle="u/potted_newt"),),
            subject="",
            text="It is reported.",
            written_at=MORNING,
        )
    )
    assert line.probe(prepared) is None
    assert line.send(prepared) == line.send(prepared) == line.probe(prepared)
    assert [len(answers) for answers in world.answers.values()] == [1]


def test_the_channels_show_the_face_of_the_real_ones(borough: Borough) -> None:
    from connectors import all_connectors

    for slug, real in all_connectors().items():
        shown = borough.deployment.connectors[slug].manifest
        assert (shown.name, shown.limit, shown.icon) == (real.manifest.name, real.manifest.limit, real.manifest.icon)
