"""Fetching: bytes, sightings, cursor and health."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import structlog

from app.channels.models import Account, KnownGap, State, Stream
from app.intake.poll import Progress, poll_account
from app.jobs.models import Job
from app.leases import TERM
from app.store import NoRoom
from tests.app.folder_channel import RETRY_AT
from tests.app.intake.conftest import Desk
from tests.conftest import Clock

TUESDAY = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)


@pytest.mark.db
def test_a_page_is_kept_with_the_cursor_after_it(desk: Desk) -> None:
    desk.platform.post("0001", arrived="2026-04-07T07:30:00+00:00")
    desk.platform.post("0002", text="Another.")
    poll_account(desk.deployment, desk.account_id)
    stream = desk.streams()["inbox"]
    assert stream.cursor == {"last": "0002"}
    assert (stream.last_good_at, stream.caught_up_at, stream.last_item_at) == (TUESDAY, TUESDAY, TUESDAY)
    first, second = desk.sightings()
    assert (first.external_id, first.arrived_at, first.is_backlog) == (
        "0001",
        datetime(2026, 4, 7, 7, 30, tzinfo=UTC),
        True,
    )
    assert (second.arrived_at, second.is_backlog) == (None, False)
    assert desk.deployment.store.read(desk.office_id, first.sha256).startswith(b'{"arrived"')


@pytest.mark.db
def test_a_message_seen_before_a_crash_is_stored_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.platform.post("0001", subject="Bin not collected")
    with monkeypatch.context() as patch:
        patch.setattr("app.intake.poll.health.good", _die)  # after the sightings, before the commit
        with pytest.raises(KeyboardInterrupt):
            poll_account(desk.deployment, desk.account_id)
    assert desk.sightings() == []
    desk.fetch()
    assert desk.subjects() == ["Bin not collected"]


@pytest.mark.db
def test_a_page_that_comes_again_changes_nothing(desk: Desk) -> None:
    desk.platform.post("0001", subject="Bin")
    desk.fetch()
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(cursor=None))  # the folder has begun to count anew
    desk.fetch()
    assert (desk.subjects(), len(desk.sightings())) == (["Bin"], 1)


def test_a_poll_with_nothing_new_defers_no_reading(desk: Desk) -> None:
    poll_account(desk.deployment, desk.account_id)
    with desk.deployment.database.reading() as session:
        assert session.scalars(sa.select(Job.kind)).all() == []


def test_what_came_is_read_by_a_job(desk: Desk) -> None:
    desk.platform.post("0001")
    poll_account(desk.deployment, desk.account_id)
    with desk.deployment.database.reading() as session:
        assert [tuple(row) for row in session.execute(sa.select(Job.kind, Job.key))] == [
            ("take_sightings", desk.account_id)
        ]


@pytest.mark.db
def test_no_connection_is_out_of_the_pool_while_the_connector_speaks(desk: Desk) -> None:
    desk.platform.post("0001")
    in_use: list[int] = []
    desk.platform.while_speaking = lambda: in_use.append(desk.deployment.database.in_use())
    poll_account(desk.deployment, desk.account_id)
    assert in_use == [0, 0]


def test_pages_follow_one_another_until_nothing_is_left(desk: Desk) -> None:
    for number in range(450):
        desk.platform.post(f"{number:04}", text=f"Number {number}")
    seen: list[Progress] = []
    poll_account(desk.deployment, desk.account_id, watch=seen.append)
    assert [(one.stream, one.seen, one.new, one.waiting) for one in seen] == [
        ("Inbox", 200, 200, 250),
        ("Inbox", 200, 200, 50),
        ("Inbox", 50, 50, 0),
        ("Junk", 0, 0, 0),
    ]


def test_a_run_keeps_no_more_than_its_pages_and_comes_again_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.intake.poll.MOST_PAGES", 1)
    for number in range(201):
        desk.platform.post(f"{number:04}", text=f"Number {number}")
    assert poll_account(desk.deployment, desk.account_id) == TUESDAY
    assert len(desk.sightings()) == 200
    assert desk.streams()["inbox"].caught_up_at is None
    assert poll_account(desk.deployment, desk.account_id) > TUESDAY  # type: ignore[operator]
    assert len(desk.sightings()) == 201


def test_the_next_poll_comes_after_the_shortest_interval_give_or_take_a_fifth(desk: Desk) -> None:
    again_at = poll_account(desk.deployment, desk.account_id)
    assert again_at is not None
    assert timedelta(minutes=4) <= again_at - TUESDAY <= timedelta(minutes=6)
    junk_at = desk.streams()["junk"].next_at
    assert junk_at is not None
    assert timedelta(minutes=8) <= junk_at - TUESDAY <= timedelta(minutes=12)


def test_only_what_is_due_is_polled_unless_everything_is_wanted(desk: Desk, clock: Clock) -> None:
    poll_account(desk.deployment, desk.account_id)
    clock.advance(minutes=7)
    desk.platform.asked.clear()
    poll_account(desk.deployment, desk.account_id)
    assert desk.platform.asked == ["inbox"]
    poll_account(desk.deployment, desk.account_id, everything=True)
    assert desk.platform.asked == ["inbox", "inbox", "junk"]


def test_what_arrived_before_the_day_that_was_chosen_is_not_fetched(desk: Desk) -> None:
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Account).values(since_at=datetime(2026, 3, 24, tzinfo=UTC)))
    desk.platform.post("0001", subject="Ancient", arrived="2026-03-23T09:00:00+00:00")
    desk.platform.post("0002", subject="Old", text="Old.", arrived="2026-03-25T09:00:00+00:00")
    desk.fetch()
    assert desk.subjects() == ["Old"]


def test_a_line_is_kept_for_the_next_poll(desk: Desk) -> None:
    poll_account(desk.deployment, desk.account_id, everything=True)
    poll_account(desk.deployment, desk.account_id, everything=True)
    assert desk.platform.dials == 1


def test_a_stretch_that_could_not_be_walked_is_written_down(desk: Desk) -> None:
    (desk.platform.root / "inbox" / "gap").touch()
    poll_account(desk.deployment, desk.account_id)
    with desk.deployment.database.reading() as session:
        assert session.scalars(sa.select(KnownGap.reason)).all() == ["The folder was cleared."]


# ── One poll at a time ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_second_worker_stays_away_while_an_account_is_polled(desk: Desk) -> None:
    answers: list[object] = []

    def meanwhile() -> None:
        if not answers:
            answers.append(poll_account(desk.deployment, desk.account_id))

    desk.platform.while_speaking = meanwhile
    poll_account(desk.deployment, desk.account_id)
    assert answers == [TUESDAY + TERM]
    assert desk.platform.asked == ["inbox", "junk"]
    assert desk.account().lease_until is None


@pytest.mark.db
def test_a_worker_whose_lease_has_lapsed_keeps_nothing(desk: Desk, clock: Clock) -> None:
    desk.platform.post("0001", subject="Bin")
    speaking: list[int] = []

    def stall() -> None:
        speaking.append(1)
        if len(speaking) == 1:
            clock.advance(minutes=2)
            poll_account(desk.deployment, desk.account_id)  # somebody else takes over meanwhile

    desk.platform.while_speaking = stall
    assert poll_account(desk.deployment, desk.account_id) is None
    assert len(desk.sightings()) == 1
    assert desk.streams()["inbox"].cursor == {"last": "0001"}


def test_an_account_that_is_not_connected_is_not_polled(desk: Desk) -> None:
    for state in (State.TRYING, State.TRIED, State.REFUSED, State.PAUSED, State.REMOVED):
        with desk.deployment.database.transaction() as session:
            session.execute(sa.update(Account).values(state=state))
        assert poll_account(desk.deployment, desk.account_id) is None
    assert desk.platform.asked == []


def test_an_account_that_is_removed_while_it_is_polled_keeps_nothing_more(desk: Desk) -> None:
    desk.platform.post("0001")

    def remove() -> None:
        with desk.deployment.database.transaction() as session:
            session.execute(sa.update(Account).values(state=State.REMOVED))

    desk.platform.while_speaking = remove
    assert poll_account(desk.deployment, desk.account_id) is None
    assert desk.sightings() == []


# ── What goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_fails_is_tried_again_after_1_2_4_and_at_most_30_minutes(desk: Desk, clock: Clock) -> None:
    desk.platform.fail("transient")
    waits = []
    for _ in range(7):
        poll_account(desk.deployment, desk.account_id, everything=True)
        next_at = desk.streams()["inbox"].next_at
        assert next_at is not None
        waits.append(next_at - clock.at)
        clock.at = next_at
    for wait, minutes in zip(waits, (1, 2, 4, 8, 16, 30, 30), strict=True):
        assert timedelta(minutes=0.8 * minutes) <= wait <= timedelta(minutes=1.2 * minutes)
    stream = desk.streams()["inbox"]
    assert (stream.failing_since, stream.failures) == (TUESDAY, 7)
    assert (stream.trouble, stream.trouble_kind) == ("The folder is not there just now.", "transient")
    assert desk.streams()["junk"].failing_since is None


def test_a_stream_that_answers_again_goes_on_where_it_stopped(desk: Desk, clock: Clock) -> None:
    desk.platform.post("0001", subject="Before")
    desk.fetch()
    desk.platform.fail("transient")
    desk.fetch()
    clock.advance(days=21)
    desk.platform.post("0002", subject="After", text="After.")
    desk.platform.mend()
    desk.fetch()
    stream = desk.streams()["inbox"]
    assert (stream.failing_since, stream.failures, stream.trouble, stream.trouble_kind) == (None, 0, "", "")
    assert desk.subjects() == ["Before", "After"]


def test_three_refusals_within_an_hour_are_not_enough_to_call_a_person(desk: Desk, clock: Clock) -> None:
    desk.platform.fail("auth")
    for _ in range(3):
        poll_account(desk.deployment, desk.account_id, everything=True)
        clock.advance(minutes=20)
    assert (desk.account().state, desk.account().refusals) == (State.ACTIVE, 3)


def test_refused_three_times_over_an_hour_an_account_needs_a_person(desk: Desk, clock: Clock) -> None:
    desk.platform.fail("auth")
    desk.platform.post("0001", stream="junk")
    times = []
    for _ in range(3):
        again_at = poll_account(desk.deployment, desk.account_id)
        assert again_at is not None
        times.append(again_at - clock.at)
        clock.at = again_at
    account = desk.account()
    assert (account.state, account.first_refused_at) == (State.NEEDS_YOU, TUESDAY)
    assert timedelta(hours=1) <= times[-1] <= timedelta(hours=1.2)
    assert desk.platform.asked == ["inbox"] * 3  # a refusal is the account's: the other streams are not asked
    with desk.deployment.database.reading() as session:
        assert session.scalars(sa.select(Job.kind)).all() == ["watch_health"]


def test_an_account_that_needs_a_person_heals_by_itself(desk: Desk, clock: Clock) -> None:
    desk.platform.fail("auth")
    for _ in range(3):
        poll_account(desk.deployment, desk.account_id, everything=True)
        clock.advance(minutes=40)
    assert desk.account().state is State.NEEDS_YOU
    desk.platform.mend()
    desk.platform.post("0001", subject="Bin")
    desk.fetch()
    account = desk.account()
    assert (account.state, account.refusals, account.first_refused_at) == (State.ACTIVE, 0, None)
    assert desk.subjects() == ["Bin"]


def test_a_limit_is_kept_to_the_moment_and_holds_for_the_whole_account(desk: Desk) -> None:
    desk.platform.fail("limit")
    again_at = poll_account(desk.deployment, desk.account_id)
    assert again_at is not None
    assert RETRY_AT <= again_at <= RETRY_AT + timedelta(seconds=10)
    assert desk.platform.asked == ["inbox"]
    stream = desk.streams()["inbox"]
    assert (stream.failing_since, stream.trouble_kind) == (None, "rate_limited")


def test_what_may_not_be_read_leaves_the_other_streams_alone(desk: Desk) -> None:
    desk.platform.fail("permission")
    desk.platform.post("0001", subject="Rank boost", stream="junk")
    desk.fetch()
    assert desk.subjects() == ["Rank boost"]
    stream = desk.streams()["inbox"]
    assert (stream.trouble, stream.trouble_kind) == ("The folder may not be read.", "permission_missing")
    assert desk.account().state is State.ACTIVE


def test_an_error_that_no_channel_may_raise_is_transient_logged_once_and_quotes_nobody(desk: Desk) -> None:
    desk.platform.fail("bug")
    with structlog.testing.capture_logs() as logs:
        poll_account(desk.deployment, desk.account_id, everything=True)
        poll_account(desk.deployment, desk.account_id, everything=True)
    assert [line["event"] for line in logs] == ["channel failed", "stream went away"]
    assert "ann@example.org" not in str(logs)
    assert desk.streams()["inbox"].trouble_kind == "transient"


def test_a_password_that_cannot_be_opened_is_the_accounts_trouble(desk: Desk) -> None:
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Account).values(sealed=b"with another key"))
    again_at = poll_account(desk.deployment, desk.account_id)
    assert again_at is not None
    stream = desk.streams()["inbox"]
    assert stream.trouble == "The saved password was sealed with another key. Enter it again to reconnect."
    assert (stream.trouble_kind, desk.account().refusals) == ("misconfigured", 1)


def test_a_full_disk_is_said_at_the_stream_and_nothing_is_passed_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.platform.post("0001", subject="Bin")
    with monkeypatch.context() as patch:
        patch.setattr(type(desk.deployment.store), "put_all", _full)
        poll_account(desk.deployment, desk.account_id)
    stream = desk.streams()["inbox"]
    assert stream.trouble.startswith("There is no room left")
    assert stream.cursor is None
    desk.fetch()
    assert desk.subjects() == ["Bin"]


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _full(*_: object) -> list[str]:
    raise NoRoom
