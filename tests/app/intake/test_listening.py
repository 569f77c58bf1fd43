"""Listening: news has its stream polled at once, and whatever breaks costs minutes and no message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.channels.models import Account, State, Stream
from app.clock import now
from app.deployment import Deployment
from app.intake.listening import TERM, Listening, hint
from app.intake.poll import poll_account
from app.jobs.models import Job
from app.worker import Worker
from tests.app.intake.conftest import Desk
from tests.app.program import until
from tests.conftest import Clock


@pytest.fixture
def listening(desk: Desk) -> Iterator[Listening]:
    """The listeners of one worker, over a platform that tells of news; everything was fetched once."""
    desk.platform.tells = True
    poll_account(desk.deployment, desk.account_id, everything=True)
    made = Listening(desk.deployment)
    yield made
    made.stop()


def inbox(desk: Desk) -> Stream:
    return desk.streams()["inbox"]


def polls(desk: Desk) -> list[int]:
    """The accounts for which a poll waits."""
    with desk.deployment.database.reading() as session:
        return list(session.scalars(sa.select(Job.key).where(Job.kind == "poll_account")))


def forget(desk: Desk) -> None:
    """As if every poll had been done."""
    with desk.deployment.database.transaction() as session:
        session.execute(sa.delete(Job))


def test_news_makes_its_stream_due_at_once(desk: Desk, listening: Listening) -> None:
    listening.follow()
    assert until(lambda: inbox(desk).listened_until == now() + TERM)
    assert until(lambda: polls(desk) == [desk.account_id])
    forget(desk)
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(next_at=now() + timedelta(minutes=5)))

    desk.platform.post("0001", subject="Bin")

    assert until(lambda: polls(desk) == [desk.account_id])
    assert inbox(desk).next_at == now()
    assert desk.streams()["junk"].next_at == now() + timedelta(minutes=5)


def test_what_is_listened_to_is_polled_every_five_minutes_and_no_more_often(desk: Desk, clock: Clock) -> None:
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(interval=timedelta(minutes=1)))
    for listened_until, least, most in ((clock.at + TERM, 4, 6), (clock.at, 0.8, 1.2)):
        with desk.deployment.database.transaction() as session:
            session.execute(sa.update(Stream).values(listened_until=listened_until))
        for _ in range(2):  # with something new to write, and with nothing
            poll_account(desk.deployment, desk.account_id, everything=True)
            next_at = inbox(desk).next_at
            assert next_at is not None
            assert timedelta(minutes=least) <= next_at - clock.at <= timedelta(minutes=most)


def test_news_that_comes_while_a_poll_runs_is_not_lost(desk: Desk, clock: Clock) -> None:
    poll_account(desk.deployment, desk.account_id)
    for name in ("", "0001"):  # nothing new, and something
        clock.advance(hours=1)
        if name:
            desk.platform.post(name)
        desk.platform.while_speaking = lambda: _hear(desk, clock)
        again_at = poll_account(desk.deployment, desk.account_id)
        assert (inbox(desk).next_at, again_at) == (clock.at, clock.at)
        desk.platform.while_speaking = lambda: None


def _hear(desk: Desk, clock: Clock) -> None:
    if desk.platform.asked[-1] == "inbox":
        clock.advance(seconds=1)
        hint(desk.deployment.database, desk.account_id, [inbox(desk).id])


def test_news_does_not_hurry_a_stream_that_the_platform_has_limited(desk: Desk) -> None:
    desk.platform.fail("limit")
    poll_account(desk.deployment, desk.account_id)
    before = inbox(desk).next_at
    hint(desk.deployment.database, desk.account_id, [inbox(desk).id])
    assert inbox(desk).next_at == before


def test_a_line_that_dies_has_the_stream_polled_at_the_usual_pace(desk: Desk, listening: Listening) -> None:
    listening.follow()
    assert until(lambda: inbox(desk).listened_until is not None)
    forget(desk)

    desk.platform.fail("transient")

    assert until(lambda: inbox(desk).listened_until is None and polls(desk) == [desk.account_id])


def test_an_account_that_is_paused_is_listened_to_no_more_and_one_that_is_added_is(
    desk: Desk, listening: Listening
) -> None:
    listening.follow()
    assert until(lambda: desk.platform.listeners == 1)
    _set(desk, State.PAUSED)
    listening.follow()
    assert listening._listeners == {}
    other = desk.another_account()
    listening.follow()
    assert list(listening._listeners) == [other]
    assert until(lambda: desk.platform.listeners == 2)


def test_other_credentials_are_listened_with_at_once(desk: Desk, listening: Listening) -> None:
    listening.follow()
    assert until(lambda: desk.platform.listeners == 1)
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Account).values(credentials_version=2))
    listening.follow()
    assert until(lambda: desk.platform.listeners == 2)


@pytest.mark.db
def test_two_workers_do_not_listen_to_the_same_account(desk: Desk, listening: Listening, clock: Clock) -> None:
    listening.follow()
    assert until(lambda: inbox(desk).listened_until is not None)
    other = Listening(desk.deployment)
    other.follow()
    assert other._listeners == {}

    clock.advance(minutes=2)  # the first worker was killed
    other.follow()

    assert list(other._listeners) == [desk.account_id]
    other.stop()


def test_a_worker_that_stops_lets_others_listen_at_once(desk: Desk, listening: Listening) -> None:
    listening.follow()
    assert until(lambda: inbox(desk).listened_until is not None)
    listening.stop()
    assert inbox(desk).listened_until is None


def test_no_more_accounts_are_listened_to_than_a_process_may_have(
    desk: Desk, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.intake.listening.MOST_ACCOUNTS", 1)
    desk.another_account()
    listening.follow()
    assert list(listening._listeners) == [desk.account_id]


def test_no_connection_is_out_of_the_pool_while_a_platform_is_waited_for(desk: Desk, listening: Listening) -> None:
    listening.follow()
    assert until(lambda: inbox(desk).listened_until is not None)
    assert until(lambda: desk.deployment.database.in_use() == 0)


def test_a_platform_that_tells_of_nothing_is_polled_as_ever(desk: Desk, listening: Listening) -> None:
    desk.platform.tells = False
    listening.follow()
    poll_account(desk.deployment, desk.account_id, everything=True)
    assert inbox(desk).listened_until is None


def test_a_worker_takes_in_what_it_hears_of(desk: Desk, deployment: Deployment) -> None:
    del deployment
    desk.platform.tells = True
    worker = Worker(desk.deployment, lease=timedelta(seconds=1))
    worker.start()
    assert until(lambda: inbox(desk).listened_until is not None)
    desk.platform.post("0001", subject="Bin")
    assert until(lambda: desk.subjects() == ["Bin"])
    worker.stop()
    assert inbox(desk).listened_until is None


def _set(desk: Desk, state: State) -> None:
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Account).values(state=state))
