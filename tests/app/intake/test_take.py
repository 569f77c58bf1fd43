"""From what was fetched to the inbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.audit.models import AuditLine
from app.cases import references
from app.cases.models import Case, Obligation, ObligationKind, ObligationState, Status
from app.intake import quarantine
from app.intake.keeping import Fate
from app.intake.poll import poll_account
from app.intake.reading import LARGEST
from app.intake.take import take, take_sightings
from app.messages.models import (
    Conversation,
    Direction,
    File,
    Mention,
    Message,
    Participant,
    Reading,
    Revision,
    Sighting,
)
from app.people.models import Identity, Person
from app.replies.models import Reply, Sending
from tests import make
from tests.app.folder_channel import FolderChannel, read_better
from tests.app.intake.conftest import Desk
from tests.conftest import Clock

pytestmark = pytest.mark.db

TUESDAY = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)


def test_a_message_becomes_a_case_with_what_is_owed(desk: Desk) -> None:
    desk.platform.post(
        "0001",
        subject="Bin not collected",
        text="The brown bin was missed.",
        name="Ann Mossgrove",
        to=["cllr@fernmoor.example"],
        sent="2026-04-06T10:00:00+00:00",
        arrived="2026-04-06T10:00:05+00:00",
    )
    desk.fetch()
    [case], [message] = desk.cases(), desk.messages()
    assert (case.subject, case.contact, case.status) == ("Bin not collected", "Ann Mossgrove", Status.NEW)
    assert (case.snippet, case.conversation_id) == ("The brown bin was missed.", message.conversation_id)
    assert message.direction is Direction.INBOUND
    assert message.recipients["to"] == [["", "cllr@fernmoor.example", "cllr@fernmoor.example"]]
    assert message.sent_at == datetime(2026, 4, 6, 10, 0, tzinfo=UTC)
    with desk.deployment.database.reading() as session:
        owed = session.scalars(sa.select(Obligation).order_by(Obligation.kind)).all()
        trail = session.scalars(sa.select(AuditLine.verb)).all()
    assert [(one.kind, one.state) for one in owed] == [
        ("acknowledge", ObligationState.OPEN),
        ("reply", ObligationState.OPEN),
    ]
    assert trail == ["open"]


def test_taking_again_changes_nothing(desk: Desk) -> None:
    desk.platform.post("0001", subject="Bin")
    desk.fetch()
    before = _everything(desk)
    desk.fetch()
    assert take(desk.deployment, desk.account_id) == {}
    assert _everything(desk) == before


def test_one_bad_item_never_stops_the_next(desk: Desk) -> None:
    desk.platform.post("0001", subject="First")
    desk.platform.post("0002", subject="Unreadable", unreadable=True)
    desk.platform.put("0003", b"[" * 200_000)  # its reader runs out of stack
    desk.platform.put("0004", b"\xff\xfe not JSON")
    desk.platform.post("0005", subject="Last")
    desk.fetch()
    assert desk.subjects() == ["First", "Last"]
    assert [(one.state, one.trouble) for one in desk.sightings()] == [
        (Reading.TAKEN, ""),
        (Reading.QUARANTINED, "This item makes no sense."),
        (Reading.QUARANTINED, "Reading it failed (RecursionError)."),
        (Reading.QUARANTINED, "Reading it failed (UnicodeDecodeError)."),
        (Reading.TAKEN, ""),
    ]


def test_what_waits_in_quarantine_is_shown_and_tried_again(desk: Desk) -> None:
    desk.platform.post("0001", subject="Odd", unreadable=True)
    desk.fetch()
    with desk.deployment.database.transaction() as session:
        [shown] = quarantine.quarantined(session, [desk.office_id])
        assert (shown.stream, shown.trouble, shown.size) == ("Inbox", "This item makes no sense.", 118)
        assert quarantine.count(session, [desk.office_id]) == 1
        assert quarantine.count(session, [desk.office_id + 1]) == 0
        quarantine.retry(session, session.get_one(Sighting, shown.sighting_id), by=None)
    assert take(desk.deployment, desk.account_id) == {Fate.QUARANTINED: 1}


def test_a_newer_reader_takes_what_an_older_one_could_not(desk: Desk) -> None:
    desk.platform.post("0001", subject="Odd", unreadable=True)
    desk.fetch()
    newer = FolderChannel(desk.platform, as_mail=True, reader=2)
    newer.read = read_better
    assert take(desk.with_channel(newer).deployment, desk.account_id) == {Fate.MESSAGE: 1}
    assert desk.subjects() == ["Odd"]


def test_an_item_whose_bytes_are_gone_waits_in_quarantine(desk: Desk) -> None:
    desk.platform.post("0001")
    poll_account(desk.deployment, desk.account_id)
    [sighting] = desk.sightings()
    desk.deployment.store.delete(desk.office_id, sighting.sha256)
    assert take(desk.deployment, desk.account_id) == {Fate.QUARANTINED: 1}


def test_an_item_that_is_larger_than_a_reader_may_see_waits_in_quarantine(desk: Desk) -> None:
    desk.platform.post("0001")
    poll_account(desk.deployment, desk.account_id)
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Sighting).values(size=LARGEST + 1))
    take(desk.deployment, desk.account_id)
    assert [one.trouble for one in desk.sightings()] == ["This is larger than 200 MB."]


def test_a_large_item_is_read_from_a_file_that_then_goes(desk: Desk) -> None:
    desk.platform.post("0001", subject="Long", padding="x" * 9_000_000)
    desk.fetch()
    assert desk.subjects() == ["Long"]
    assert list(desk.deployment.host.spool.iterdir()) == []


def test_a_mail_in_two_folders_and_two_accounts_is_one_message(desk: Desk) -> None:
    other = desk.another_account()
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0001", id="<1@a>", subject="Bin", stream="junk")
    desk.fetch()
    poll_account(desk.deployment, other, everything=True)
    assert take(desk.deployment, other) == {Fate.AGAIN: 2}
    assert desk.subjects() == ["Bin"]
    [message] = desk.messages()
    assert [sighting.message_id for sighting in desk.sightings()] == [message.id] * 4


def test_other_words_under_the_same_mail_id_are_another_mail(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin", text="It was missed.")
    desk.platform.post("0002", id="<1@a>", subject="Lamp", text="It is dark.", author="bob@residents.example")
    desk.fetch()
    assert desk.subjects() == ["Bin", "Lamp"]


def test_other_words_under_the_same_post_are_a_revision_of_it(desk: Desk) -> None:
    posts = desk.with_channel(FolderChannel(desk.platform))
    posts.platform.post("0001", id="p1", text="The bin was missed.")
    posts.fetch()
    posts.platform.post("0002", id="p1", text="The bin was missed twice.")
    posts.platform.post("0003", id="p1", text="The bin was missed twice.")
    posts.fetch()
    [message], [case] = desk.messages(), desk.cases()
    assert message.text == "The bin was missed."
    assert case.is_unread
    with desk.deployment.database.reading() as session:
        assert session.scalars(sa.select(Revision.text)).all() == ["The bin was missed twice."]


def test_what_came_into_the_junk_folder_stays_in_sight_as_suspected_spam(desk: Desk) -> None:
    desk.platform.post("0001", subject="Rank boost", stream="junk")
    desk.fetch()
    [case] = desk.cases()
    assert (case.category, case.is_open) == ("suspected_spam", True)


def test_what_is_moved_out_of_the_junk_folder_is_suspected_no_more(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Rank boost", stream="junk")
    desk.fetch()
    desk.platform.post("0001", id="<1@a>", subject="Rank boost")
    desk.fetch()
    assert [case.category for case in desk.cases()] == [""]


def test_an_automatic_answer_owes_nothing(desk: Desk) -> None:
    desk.platform.post("0001", subject="Out of office", auto=True)
    desk.fetch()
    with desk.deployment.database.reading() as session:
        assert session.scalars(sa.select(Obligation)).all() == []
    assert desk.subjects() == ["Out of office"]


def test_what_lay_there_before_the_account_was_connected_is_backlog(desk: Desk) -> None:
    desk.platform.post("0001", subject="Old", arrived="2026-04-01T09:00:00+00:00")
    desk.platform.post("0002", subject="New", arrived="2026-04-07T08:00:00+00:00")
    desk.fetch()
    assert [(case.subject, case.is_backlog) for case in desk.cases()] == [("Old", True), ("New", False)]


def test_a_date_that_cannot_be_true_gives_way_to_the_arrival(desk: Desk) -> None:
    desk.platform.post("0001", sent="1999-01-01T00:00:00+00:00", arrived="2026-04-07T07:00:00+00:00")
    desk.fetch()
    assert [message.sent_at for message in desk.messages()] == [datetime(2026, 4, 7, 7, 0, tzinfo=UTC)]


def test_files_are_kept_with_the_type_that_their_bytes_say(desk: Desk) -> None:
    desk.platform.post("0001", files={"invoice.exe": "%PDF-1.4 …", "photo.jpg": "just words"})
    desk.fetch()
    with desk.deployment.database.reading() as session:
        files = session.scalars(sa.select(File).order_by(File.position)).all()
    assert [(file.name, file.media_type) for file in files] == [
        ("invoice.exe", "application/pdf"),
        ("photo.jpg", "text/plain"),
    ]
    assert desk.deployment.store.read(desk.office_id, files[1].sha256) == b"just words"
    assert [case.has_files for case in desk.cases()] == [True]


def test_a_name_that_comes_with_a_later_message_stands_on_the_list(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<2@a>", text="Still there.", name="Ann Lee", answers="<1@a>")
    desk.fetch()
    assert [case.contact for case in desk.cases()] == ["Ann Lee"]


def test_the_first_sentence_stands_in_for_a_subject_and_the_list_goes_on_after_it(desk: Desk) -> None:
    desk.platform.post("0001", text="Hello Tansy,\nthere is a crater outside the Co-op. A bus could fall in.")
    desk.fetch()
    [case] = desk.cases()
    assert (case.subject, case.snippet) == ("there is a crater outside the Co-op.", "A bus could fall in.")


def test_html_is_made_safe_before_it_is_kept(desk: Desk) -> None:
    desk.platform.post("0001", html="<p onclick=x()>Hi<script>x()</script><img src='https://t.example/1.gif'></p>")
    desk.fetch()
    [message] = desk.messages()
    assert message.html == '<p>Hi<span data-remote="https://t.example/1.gif">t.example</span></p>'
    assert message.remote_hosts == ["t.example"]


def test_characters_that_a_database_refuses_do_no_harm(desk: Desk) -> None:
    desk.platform.post("0001", id="a\0b", subject="N\0ul", text="half \ud83d of a pair", name="\0")
    desk.platform.post("0002", id="x" * 5000, subject="Long id", references=["y" * 5000])
    desk.platform.post("0003", id="z", subject="Answers it", text="Again.", answers="x" * 5000)
    desk.fetch()
    assert desk.subjects() == ["N\ufffdul", "Long id"]
    assert desk.messages()[0].text == "half ? of a pair"


def test_two_who_give_no_name_are_two_people(desk: Desk) -> None:
    desk.platform.post("0001", author="", subject="One")
    desk.platform.post("0002", author="", subject="Two", text="Something else.")
    desk.fetch()
    with desk.deployment.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Person)) == 2


def test_a_window_for_answers_ends_a_day_after_the_last_message(desk: Desk) -> None:
    desk.platform.post("0001", sent="2026-04-07T07:00:00+00:00", arrived="2026-04-07T07:00:00+00:00")
    desk.fetch()
    with desk.deployment.database.reading() as session:
        ends_at = session.scalar(sa.select(Conversation.window_ends_at))
    assert ends_at == datetime(2026, 4, 8, 7, 0, tzinfo=UTC)


# ── Threads ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_to_a_known_mail_joins_its_case(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<2@a>", subject="Quite another subject", text="Still there.", answers="<1@a>")
    desk.fetch()
    assert desk.subjects() == ["Bin"]
    assert len({message.conversation_id for message in desk.messages()}) == 1


def test_the_same_subject_alone_joins_nothing(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<2@a>", subject="Bin", text="Another bin.")
    desk.fetch()
    assert desk.subjects() == ["Bin", "Bin"]


def test_an_answer_that_arrives_before_the_question_is_joined_by_it(desk: Desk) -> None:
    desk.platform.post("0001", id="<2@a>", subject="Re: Bin", text="Still there.", references=["<0@a>", "<1@a>"])
    desk.platform.post("0002", id="<1@a>", subject="Bin")
    desk.fetch()
    assert desk.subjects() == ["Re: Bin"]


def test_a_known_id_from_a_stranger_begins_a_case_that_looks_related(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<2@b>", subject="Re: Bin", text="Me too.", author="eve@x.example", answers="<1@a>")
    desk.fetch()
    first, second = desk.cases()
    with desk.deployment.database.reading() as session:
        related = session.scalars(sa.select(Conversation.related_case_id).order_by(Conversation.id)).all()
    assert (first.subject, second.subject, related) == ("Bin", "Re: Bin", [None, first.id])


def reference(desk: Desk, *, signed: bool) -> str:
    """The reference of the one case, as it stands below our mail or as somebody may have heard it."""
    (case,) = desk.cases()
    key = desk.deployment.host.id_key
    return references.written(key, case.office_id, case.reference) if signed else case.reference


def test_a_signed_reference_brings_a_mail_that_lost_its_thread_home(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.fetch()
    desk.platform.post("0002", id="<2@a>", subject="One more thing", text=f"> Ref: {reference(desk, signed=True)}")
    desk.fetch()
    first, second = desk.messages()
    assert second.conversation_id == first.conversation_id


def test_a_reference_of_a_case_that_was_joined_twice_leads_to_where_it_went(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.fetch()
    quoted = reference(desk, signed=True)
    with desk.deployment.database.transaction() as session:
        first = session.scalars(sa.select(Case)).one()
        person = session.get_one(Person, first.person_id)
        second, third = make.case(session, person=person), make.case(session, person=person)
        first.merged_into_id, second.merged_into_id = second.id, third.id
        last_id = third.id
    desk.platform.post("0002", id="<2@b>", subject=f"About {quoted}", author="eve@x.example")
    desk.fetch()
    with desk.deployment.database.reading() as session:
        related = session.scalars(sa.select(Conversation.related_case_id).order_by(Conversation.id)).all()
    assert related == [None, last_id]


@pytest.mark.parametrize(("signed", "author"), [(True, "eve@x.example"), (False, "hester@residents.example")])
def test_nobody_enters_a_case_by_quoting_its_number(desk: Desk, *, signed: bool, author: str) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin", author="hester@residents.example")
    desk.fetch()
    quoted = reference(desk, signed=signed)
    desk.platform.post("0002", id="<2@b>", subject=f"About {quoted}", text="Me too.", author=author)
    desk.fetch()
    first, second = desk.cases()
    with desk.deployment.database.reading() as session:
        related = session.scalars(sa.select(Conversation.related_case_id).order_by(Conversation.id)).all()
    assert (second.subject, related) == (f"About {quoted}", [None, first.id])


def test_a_stranger_who_names_the_same_ids_does_not_draw_a_resident_away(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<9@e>", subject="Hi", text="Eve.", author="eve@x.example", answers="<1@a>")
    desk.platform.post("0003", id="<3@a>", subject="Re: Bin", text="And?", references=["<1@a>", "<9@e>"])
    desk.fetch()
    first, _, third = desk.messages()
    assert third.conversation_id == first.conversation_id


def test_what_is_said_in_private_never_joins_a_public_conversation(desk: Desk) -> None:
    desk.platform.post("0001", id="p1", audience="public")
    desk.platform.post("0002", id="d1", text="Between us.", answers="p1")
    desk.fetch()
    assert len(desk.cases()) == 2


def test_a_form_that_gives_every_mail_the_same_id_joins_nothing(desk: Desk) -> None:
    desk.platform.post("0001", id="<form@x>", subject="Bin")
    desk.platform.post("0002", id="<form@x>", subject="Lamp", text="It is dark.")
    desk.fetch()
    assert desk.subjects() == ["Bin", "Lamp"]


def test_another_address_of_the_same_person_joins_their_conversation(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.fetch()
    with desk.deployment.database.transaction() as session:
        person = session.scalars(sa.select(Person)).one()
        make.identity(session, person=person, channel="folder", external_id="ann@work.example")
    desk.platform.post("0002", id="<2@a>", text="From work.", author="ann@work.example", answers="<1@a>")
    desk.fetch()
    assert len(desk.cases()) == 1


def test_a_message_on_a_closed_case_reopens_it(desk: Desk, clock: Clock) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.fetch()
    with desk.deployment.database.transaction() as session:
        case = session.scalars(sa.select(Case)).one()
        case.is_open, case.status, case.closed_at = False, Status.CLOSED, clock.at
    desk.platform.post("0002", id="<2@a>", text="Not mended.", answers="<1@a>")
    desk.fetch()
    assert [(case.is_open, case.status) for case in desk.cases()] == [(True, Status.WITH_US)]


# ── Ourselves ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_councillor_answered_in_the_app_itself_counts(desk: Desk) -> None:
    posts = desk.with_channel(FolderChannel(desk.platform))
    posts.platform.post("0001", id="p1", text="Is it open?", sent="2026-04-07T06:00:00+00:00")
    posts.platform.post(
        "0002", id="p2", text="It is.", author="cllr@fernmoor.example", answers="p1", sent="2026-04-07T07:00:00+00:00"
    )
    posts.fetch()
    assert [message.direction for message in desk.messages()] == [Direction.INBOUND, Direction.OUTBOUND]
    with desk.deployment.database.reading() as session:
        owed = session.scalars(sa.select(Obligation)).all()
    assert [(one.state, one.met_at) for one in owed] == [(ObligationState.MET, datetime(2026, 4, 7, 7, tzinfo=UTC))] * 2
    assert [case.status for case in desk.cases()] == [Status.ANSWERED]


def test_what_we_post_of_our_own_accord_is_no_query(desk: Desk) -> None:
    posts = desk.with_channel(FolderChannel(desk.platform))
    posts.platform.post("0001", id="p1", text="Surgery on Friday!", author="cllr@fernmoor.example")
    posts.fetch()
    assert (desk.cases(), desk.messages()) == ([], [])
    assert [sighting.state for sighting in desk.sightings()] == [Reading.TAKEN]


def test_a_mail_that_claims_to_be_from_us_is_still_seen(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.platform.post("0002", id="<2@a>", subject="Forged", text="x", author="cllr@fernmoor.example", answers="<1@a>")
    desk.fetch()
    assert desk.subjects() == ["Bin", "Forged"]


def test_the_copy_of_a_reply_that_is_being_sent_waits_for_its_fate(desk: Desk) -> None:
    desk.platform.post("0001", id="<1@a>", subject="Bin")
    desk.fetch()
    with desk.deployment.database.transaction() as session:
        conversation = session.scalars(sa.select(Conversation)).one()
        reply = make.reply(session, conversation=conversation, staff=make.staff(session))
        reply.state, reply.platform_id = Sending.UNCERTAIN, "<r@us>"
    desk.platform.post("0002", id="<r@us>", text="Thank you.", author="cllr@fernmoor.example", answers="<1@a>")
    poll_account(desk.deployment, desk.account_id, everything=True)
    assert take_sightings(desk.deployment, desk.account_id) == TUESDAY + timedelta(minutes=2)
    assert len(desk.messages()) == 1
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Reply).values(state=Sending.WITHDRAWN))
    assert take_sightings(desk.deployment, desk.account_id) is None
    assert len(desk.messages()) == 2


def test_what_the_councillor_had_not_seen_is_owed_although_older_words_came_in_later(desk: Desk) -> None:
    posts = desk.with_channel(FolderChannel(desk.platform))
    posts.platform.post("0001", id="p1", text="Is it open?", sent="2026-04-07T06:00:00+00:00")
    posts.platform.post("0002", id="p2", text="And on Sunday?", answers="p1", sent="2026-04-07T07:30:00+00:00")
    posts.platform.post("0003", id="p0", text="Hello.", answers="p1", sent="2026-04-07T05:00:00+00:00")
    posts.platform.post(
        "0004", id="p3", text="It is.", author="cllr@fernmoor.example", answers="p1", sent="2026-04-07T07:00:00+00:00"
    )
    posts.fetch()
    with desk.deployment.database.reading() as session:
        states = session.scalars(
            sa.select(Obligation.state).where(Obligation.kind == ObligationKind.REPLY).order_by(Obligation.id)
        ).all()
    assert states == [ObligationState.MET, ObligationState.OPEN]
    assert [case.is_open for case in desk.cases()] == [True]


# ── Crashes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_crash_in_the_middle_of_keeping_leaves_nothing_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.platform.post("0001", subject="Bin", files={"a.txt": "a"})
    poll_account(desk.deployment, desk.account_id)
    before = _everything(desk)
    with monkeypatch.context() as patch:
        patch.setattr("app.intake.keeping.threading.remember", _die)
        with pytest.raises(KeyboardInterrupt):
            take(desk.deployment, desk.account_id)
    assert _everything(desk) == before
    assert take(desk.deployment, desk.account_id) == {Fate.MESSAGE: 1}


def test_two_workers_on_one_account_double_nothing(desk: Desk) -> None:
    desk.platform.post("0001", subject="One", id="<1@a>")
    desk.platform.post("0002", subject="Two", id="<2@a>", text="Two.")
    poll_account(desk.deployment, desk.account_id)
    second: list[object] = []

    def another(_: Fate) -> None:
        if not second:
            second.append(take(desk.deployment, desk.account_id))

    fates = take(desk.deployment, desk.account_id, watch=another)
    assert second == [{Fate.MESSAGE: 1}]
    assert fates == {Fate.MESSAGE: 1, Fate.AGAIN: 1}
    assert desk.subjects() == ["One", "Two"]


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _everything(desk: Desk) -> dict[str, list[str]]:
    """Every row of what taking may write."""
    tables = (Sighting, Message, Conversation, Case, Obligation, Person, Identity, Mention, Participant, File, Revision)
    with desk.deployment.database.reading() as session:
        return {
            table.__tablename__: sorted(map(repr, session.execute(sa.select(*table.__table__.columns)).all()))
            for table in (*tables, AuditLine)
        }
