"""An office: its rules, what it promises, when it is closed, and the holidays it keeps."""

import io
import json
from datetime import date, time

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.clock import now
from app.db import Database
from app.deadlines.holidays import Nation
from app.errors import Invalid, Missing
from app.jobs.models import Job
from app.office import actions, queries
from app.office.actions import Terms
from app.office.models import Office, Pledge, Queue, Track
from tests.app.conftest import SignIn, World

GOV_UK = {
    "scotland": {
        "division": "scotland",
        "events": [{"title": "Proclaimed day", "date": "2026-06-29", "notes": "", "bunting": True}],
    }
}


def an_office(session: Session, **given: object) -> Office:
    usual = {"name": "Cllr Quillfeather", "place": "Fernmoor", "prefix": "MA", "nation": Nation.ENGLAND_AND_WALES}
    return actions.create_office(session, **{**usual, **given}, by=None, at=now())  # type: ignore[arg-type]


@pytest.mark.db
def test_an_office_begins_with_its_queue_and_the_usual_promise(session: Session) -> None:
    rules = queries.rules(session, an_office(session).id)
    assert (rules.prefix, rules.undo_seconds, rules.nation) == ("MA", 60, Nation.ENGLAND_AND_WALES)
    assert session.get_one(Queue, rules.queue_id).name == "Unassigned"
    assert {track: (one.acknowledge_days, one.answer_days) for track, one in rules.pledges.items()} == {
        Track.PUBLIC: (2, 10),
        Track.DIRECT: (2, 10),
        Track.OTHER: (2, 10),
    }


@pytest.mark.db
def test_the_rules_take_three_statements(session: Session) -> None:
    office_id = an_office(session).id
    session.expire_all()
    asked: list[str] = []
    connection = session.connection()
    sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
    queries.rules(session, office_id)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "  "}, "name"),
        ({"prefix": "M"}, "prefix"),
        ({"prefix": "M4"}, "prefix"),
        ({"prefix": "MANYX"}, "prefix"),
    ],
)
def test_an_office_needs_a_name_and_letters_that_can_be_spoken(
    session: Session, given: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        an_office(session, **given)
    assert refused.value.field == field


def test_two_offices_never_share_their_letters(session: Session) -> None:
    an_office(session)
    with pytest.raises(Invalid):
        an_office(session, prefix="ma")


def test_there_are_no_rules_for_an_office_there_is_not(session: Session) -> None:
    with pytest.raises(Missing):
        queries.rules(session, 999)


@pytest.mark.db
def test_a_new_promise_is_a_new_version_and_the_old_one_stays(session: Session) -> None:
    office = an_office(session)
    actions.promise(session, office, {Track.PUBLIC: Terms(acknowledge_days=1, answer_days=3)}, by=1, at=now())
    versions = session.execute(
        sa.select(Pledge.version, Pledge.answer_days).where(Pledge.kind == Track.PUBLIC).order_by(Pledge.version)
    ).all()
    assert [tuple(one) for one in versions] == [(1, 10), (2, 3)]
    assert queries.rules(session, office.id).pledge(Track.PUBLIC).answer_days == 3
    assert queries.rules(session, office.id).pledge(Track.OTHER).answer_days == 10


def test_an_answer_is_not_promised_before_its_acknowledgement(session: Session) -> None:
    office = an_office(session)
    with pytest.raises(Invalid) as refused:
        actions.promise(session, office, {Track.OTHER: Terms(acknowledge_days=5, answer_days=3)}, by=1, at=now())
    assert refused.value.field == "other_answer_days"


@pytest.mark.db
def test_closures_and_corrected_holidays_are_in_the_calendar(session: Session) -> None:
    office = an_office(session, nation=Nation.SCOTLAND)
    actions.close_on(session, office, first_on=date(2026, 12, 28), last_on=date(2026, 12, 31), name="Closed", by=1)
    actions.correct_holiday(
        session, nation=Nation.SCOTLAND, day_on=date(2026, 6, 29), name="Proclaimed", is_holiday=True, by=1
    )
    actions.correct_holiday(
        session, nation=Nation.SCOTLAND, day_on=date(2026, 8, 3), name="Summer", is_holiday=False, by=1
    )
    calendar = queries.calendar(session, office.id)
    assert not calendar.is_working_day(date(2026, 12, 30))
    assert not calendar.is_working_day(date(2026, 6, 29))
    assert calendar.is_working_day(date(2026, 8, 3))


def test_the_calendar_of_one_office_knows_nothing_of_another(session: Session) -> None:
    ours, theirs = an_office(session), an_office(session, prefix="OP")
    actions.close_on(session, theirs, first_on=date(2026, 5, 5), last_on=date(2026, 5, 5), name="Away", by=1)
    assert queries.calendar(session, ours.id).is_working_day(date(2026, 5, 5))


def test_a_closure_has_the_open_dates_worked_out_again(session: Session) -> None:
    office = an_office(session)
    closure = actions.close_on(session, office, first_on=date(2026, 5, 5), last_on=date(2026, 5, 6), name="", by=1)
    assert session.scalars(sa.select(Job.kind)).all() == ["recompute_dates"]
    actions.open_after_all(session, closure, by=1)
    assert queries.calendar(session, office.id).is_working_day(date(2026, 5, 5))


def test_a_closure_does_not_end_before_it_begins(session: Session) -> None:
    office = an_office(session)
    with pytest.raises(Invalid):
        actions.close_on(session, office, first_on=date(2026, 5, 6), last_on=date(2026, 5, 5), name="", by=1)


@pytest.mark.db
def test_a_newer_list_adds_its_days_and_takes_none_away(session: Session) -> None:
    actions.read_holidays(session, json.dumps(GOV_UK), nation=None, by=1, at=now())
    office = an_office(session, nation=Nation.SCOTLAND)
    calendar = queries.calendar(session, office.id)
    assert not calendar.is_working_day(date(2026, 6, 29))
    assert not calendar.is_working_day(date(2026, 8, 3))


def test_a_list_that_names_a_day_takes_back_its_removal(session: Session) -> None:
    office = an_office(session, nation=Nation.SCOTLAND)
    actions.correct_holiday(
        session, nation=Nation.SCOTLAND, day_on=date(2026, 6, 29), name="No", is_holiday=False, by=1
    )
    actions.read_holidays(session, json.dumps(GOV_UK), nation=None, by=1, at=now())
    assert not queries.calendar(session, office.id).is_working_day(date(2026, 6, 29))


def test_a_file_that_is_no_list_is_refused_in_the_importers_words(session: Session) -> None:
    with pytest.raises(Invalid) as refused:
        actions.read_holidays(session, "[]", nation=None, by=1, at=now())
    assert refused.value.field == "file"
    assert "GOV.UK" in str(refused.value)


def test_a_calendar_file_needs_its_nation(session: Session) -> None:
    with pytest.raises(Invalid) as refused:
        actions.read_holidays(session, "BEGIN:VCALENDAR\r\nEND:VCALENDAR", nation=None, by=1, at=now())
    assert refused.value.field == "nation"


# ── Pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

DETAILS = {
    "name": "Cllr Tansy Quillfeather",
    "place": "Millpond & Ashgrove",
    "nation": "scotland",
    "undo_seconds": "0",
    "waking_from": "08:00",
    "waking_until": "21:30",
    "signature_councillor": "Tansy\r\nMillpond",
    "house_rules": "No names of children.",
    "retention_months": "24",
}


def test_the_settings_of_an_office_are_kept(signed_in: SignIn, world: World, database: Database) -> None:
    browser = signed_in("councillor")
    assert browser.get("/office").location == f"/offices/{world.office_id}/settings"
    browser.get(f"/offices/{world.office_id}/settings")
    assert browser.post(f"/offices/{world.office_id}/settings", DETAILS).status_code == 303
    with database.reading() as session:
        office = session.get_one(Office, world.office_id)
    assert (office.nation, office.undo_seconds, office.retention_months) == (Nation.SCOTLAND, 0, 24)
    assert (office.waking_from, office.waking_until) == (time(8), time(21, 30))
    assert office.signatures == {"councillor": "Tansy\nMillpond"}
    browser.get(f"/offices/{world.office_id}/settings")
    area = browser.page.css_first("#signature_councillor")
    assert area is not None
    assert area.text().strip() == "Tansy\nMillpond"


def test_a_day_that_ends_before_it_begins_is_refused(signed_in: SignIn, world: World, database: Database) -> None:
    browser = signed_in("councillor")
    path = f"/offices/{world.office_id}/settings"
    browser.get(path)
    assert browser.post(path, DETAILS | {"waking_until": "06:00"}).status_code == 422
    assert "The day ends after it begins." in browser.words
    with database.reading() as session:
        assert session.get_one(Office, world.office_id).waking_until == time(22)


def test_a_setting_out_of_bounds_is_refused_and_nothing_is_kept(
    signed_in: SignIn, world: World, database: Database
) -> None:
    browser = signed_in("councillor")
    browser.get(f"/offices/{world.office_id}/settings")
    answer = browser.post(
        f"/offices/{world.office_id}/settings", DETAILS | {"undo_seconds": "9999", "place": "Elsewhere"}
    )
    assert answer.status_code == 422
    with database.reading() as session:
        assert session.get_one(Office, world.office_id).place == "Millpond & Ashgrove, Fernmoor"


def test_a_promise_shows_the_date_it_comes_to(signed_in: SignIn, world: World) -> None:
    browser = signed_in("councillor")
    path = f"/offices/{world.office_id}"
    browser.get(f"{path}/settings")
    assert "A mail that arrives now is due Tuesday 21 April." in browser.words
    days = {
        f"{track}_{what}_days": "1" for track in ("public", "direct", "other") for what in ("acknowledge", "answer")
    }
    browser.post(f"{path}/pledge", days | {"other_answer_days": "3"})
    browser.get(f"{path}/settings")
    assert "A mail that arrives now is due Friday 10 April." in browser.words


def test_days_closed_are_added_and_removed(signed_in: SignIn, world: World) -> None:
    browser = signed_in("councillor")
    path = f"/offices/{world.office_id}"
    browser.get(f"{path}/settings")
    browser.post(f"{path}/closures", {"first_on": "2026-04-08", "last_on": "2026-04-09", "closure_name": "Moving"})
    browser.get(f"{path}/settings")
    assert "Moving" in browser.words
    assert "A mail that arrives now is due Thursday 23 April." in browser.words
    form = browser.page.css_first('form[action*="/closures/"]')
    assert form is not None
    browser.post(form.attributes["action"] or "")
    browser.get(f"{path}/settings")
    assert "Moving" not in browser.words


def test_an_administrator_begins_another_office(signed_in: SignIn, database: Database) -> None:
    browser = signed_in("administrator")
    browser.get("/offices")
    given = {"name": "Cllr Juniper Slate", "place": "Weir", "nation": "england_and_wales", "prefix": "JSX"}
    assert browser.post("/offices", given).status_code == 303
    assert browser.post("/offices", given).status_code == 422
    with database.reading() as session:
        made = session.scalars(sa.select(Office).where(Office.prefix == "JSX")).one()
    assert made.set_up_at is not None


def test_a_published_list_is_read_in_from_a_file(signed_in: SignIn) -> None:
    browser = signed_in("administrator")
    browser.get("/administration/holidays")
    file = (io.BytesIO(json.dumps(GOV_UK).encode()), "bank-holidays.json")
    assert browser.post("/administration/holidays", {"file": file, "nation": ""}).status_code == 303
    browser.get("/administration/holidays")
    assert "Added: Mon 29 Jun." in browser.words
    assert "Mon 29 Jun: Proclaimed day" in browser.words


def test_a_file_that_is_not_text_is_refused_with_a_sentence(signed_in: SignIn) -> None:
    browser = signed_in("administrator")
    browser.get("/administration/holidays")
    file = (io.BytesIO(b"\xff\xfe\x00"), "picture.png")
    assert browser.post("/administration/holidays", {"file": file, "nation": ""}).status_code == 422
    assert "This is not a text file." in browser.words


def test_one_day_is_corrected_by_hand_and_taken_back(signed_in: SignIn) -> None:
    browser = signed_in("administrator")
    browser.get("/administration/holidays")
    given = {"correction_nation": "scotland", "day_on": "2026-06-29", "holiday_name": "Proclaimed", "is_holiday": "yes"}
    browser.post("/administration/holidays/days", given)
    browser.get("/administration/holidays")
    form = browser.page.css_first('form[action$="/forget"]')
    assert form is not None
    browser.post(form.attributes["action"] or "")
    browser.get("/administration/holidays")
    assert "Mon 29 Jun" not in browser.words
