"""Changing an office: beginning one, what it promises, the days it is closed, the holidays everybody keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.deadlines import holidays as published
from app.deadlines.holidays import Nation
from app.errors import Conflict, Invalid, Missing
from app.office import queries
from app.office.models import Closure, Holiday, HolidayList, Office, Pledge, Queue, Track

UNASSIGNED = "Unassigned"
MOST_UNDO_SECONDS = 600
MOST_DAYS = 60
_PREFIX = re.compile(r"[A-Z]{2,4}")
_LONGEST_CLOSURE = 366


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What is promised for one kind of message, in working days."""

    acknowledge_days: int
    answer_days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """When the office may be disturbed: warnings wait for it (rule 11), emergencies do not."""

    waking_from: time
    waking_until: time


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What the settings page of an office asks, pledges and closures aside."""

    name: str
    place: str
    nation: Nation
    undo_seconds: int
    signatures: Mapping[str, str]  # by role
    house_rules: str
    retention_months: int
    hours: Hours


def create_office(
    session: Session, *, name: str, place: str, prefix: str, nation: Nation, by: int | None, at: datetime
) -> Office:
    """A new office with its default queue and the pledges that domain.md section 2 names.

    Raises Invalid when it has no name, when ``prefix`` is not two to four capital letters or another office has it.
    """
    office = Office(
        name=_named(name), place=place.strip(), prefix=_free_prefix(session, prefix), nation=nation, created_at=at
    )
    session.add(office)
    session.flush()
    session.add(Queue(office_id=office.id, name=UNASSIGNED, is_default=True))
    for track in Track:
        session.add(Pledge(office_id=office.id, kind=track, version=1, valid_from=at))
    session.flush()
    record(session, "create", "office", office.id, office_id=office.id, by=by, nation=nation.value)
    return office


def change(session: Session, office: Office, details: Details, *, by: int) -> None:
    """Take over what the settings page says; another nation has other holidays, so open dates are worked out again."""
    if not 0 <= details.undo_seconds <= MOST_UNDO_SECONDS:
        raise Invalid("Between 0 and %(most)s seconds.", field="undo_seconds", most=MOST_UNDO_SECONDS)
    if details.retention_months < 1:
        raise Invalid("At least one month.", field="retention_months")
    set_hours(office, details.hours)
    moved = office.nation is not details.nation
    office.name, office.place, office.nation = _named(details.name), details.place.strip(), details.nation
    office.undo_seconds, office.retention_months = details.undo_seconds, details.retention_months
    office.signatures = {
        role: text.replace("\r\n", "\n").strip() for role, text in details.signatures.items() if text.strip()
    }
    office.house_rules = details.house_rules.strip()
    record(session, "change", "office", office.id, office_id=office.id, by=by, nation=details.nation.value)
    if moved:
        recompute_later(session, office.id)


def set_hours(office: Office, hours: Hours) -> None:
    """Take over the hours; raises Invalid when they end before they begin."""
    if hours.waking_until <= hours.waking_from:
        raise Invalid("The day ends after it begins.", field="waking_until")
    office.waking_from, office.waking_until = hours.waking_from, hours.waking_until


def promise(session: Session, office: Office, terms: Mapping[Track, Terms], *, by: int, at: datetime) -> None:
    """A new version of every pledge that changes. What is open keeps the promise it was opened under.

    Raises Invalid when an answer is promised sooner than its acknowledgement, or a number is out of bounds.
    """
    for pledge in queries.pledges(session, office.id):
        wanted = terms.get(pledge.kind)
        if wanted is None or (wanted.acknowledge_days, wanted.answer_days) == (
            pledge.acknowledge_days,
            pledge.answer_days,
        ):
            continue
        _must_be_possible(pledge.kind, wanted)
        session.add(
            Pledge(
                office_id=office.id,
                kind=pledge.kind,
                version=pledge.version + 1,
                valid_from=at,
                acknowledge_days=wanted.acknowledge_days,
                answer_days=wanted.answer_days,
                update_days=pledge.update_days,
                officer_acknowledge_days=pledge.officer_acknowledge_days,
                officer_answer_days=pledge.officer_answer_days,
            )
        )
        record(
            session,
            "promise",
            "office",
            office.id,
            office_id=office.id,
            by=by,
            track=pledge.kind.value,
            acknowledge=wanted.acknowledge_days,
            answer=wanted.answer_days,
        )
    session.flush()


def close_on(session: Session, office: Office, *, first_on: date, last_on: date, name: str, by: int) -> Closure:
    """Days on which the office does not work; open dates follow. Raises Invalid when they end before they begin."""
    if last_on < first_on:
        raise Invalid("The last day is before the first.", field="last_on")
    if (last_on - first_on).days > _LONGEST_CLOSURE:
        raise Invalid("That is longer than a year.", field="last_on")
    closure = Closure(office_id=office.id, first_on=first_on, last_on=last_on, name=name.strip() or "Closed")
    session.add(closure)
    session.flush()
    days = {"first": first_on.isoformat(), "last": last_on.isoformat()}
    record(session, "close_on", "closure", closure.id, office_id=office.id, by=by, **days)
    recompute_later(session, office.id)
    return closure


def open_after_all(session: Session, closure: Closure, *, by: int) -> None:
    """Take a closure back; open dates are worked out again, never to before the next working day."""
    days = {"first": closure.first_on.isoformat(), "last": closure.last_on.isoformat()}
    record(session, "open_after_all", "closure", closure.id, office_id=closure.office_id, by=by, **days)
    session.delete(closure)
    session.flush()
    recompute_later(session, closure.office_id)


def read_holidays(
    session: Session, text: str, *, nation: Nation | None, remove: bool = False, by: int, at: datetime
) -> dict[Nation, published.Changes]:
    """Take over a published list: the GOV.UK JSON of all nations, or an iCalendar file for ``nation``.

    What it has beyond the list that ships becomes corrections. Days that it lacks are taken away only with ``remove``:
    an old file lacks days that were proclaimed later. Returns what it says otherwise, for each nation; raises Invalid
    with the importer's own sentence when the file is neither.
    """
    lists = _read(text, nation)
    found = {its_nation: published.changes(its_nation, days) for its_nation, days in lists.items()}
    for its_nation, changed in found.items():
        _correct(session, its_nation, {day.on for day in lists[its_nation]}, changed, remove=remove)
        _reaches(session, its_nation, changed.known_until, at)
        facts = {"added": len(changed.added), "removed": len(changed.removed), "until": changed.known_until.isoformat()}
        record(session, "read_holidays", "nation", 0, office_id=0, by=by, nation=its_nation.value, **facts)
    session.flush()
    for office_id in session.scalars(sa.select(Office.id).where(Office.nation.in_(found))):
        recompute_later(session, office_id)
    return found


def correct_holiday(session: Session, *, nation: Nation, day_on: date, name: str, is_holiday: bool, by: int) -> None:
    """Add a day to a nation's holidays, or take one from them: a day proclaimed after the list was published."""
    _set(session, nation, day_on, name.strip() or "Holiday", is_holiday=is_holiday)
    record(
        session,
        "correct_holiday",
        "nation",
        0,
        office_id=0,
        by=by,
        nation=nation.value,
        day=day_on.isoformat(),
        is_holiday=is_holiday,
    )
    session.flush()
    for office_id in session.scalars(sa.select(Office.id).where(Office.nation == nation)):
        recompute_later(session, office_id)


def forget_correction(session: Session, holiday_id: int, *, by: int) -> None:
    """Go back to the list that ships for one day; raises Missing when there is no such correction."""
    found = session.get(Holiday, holiday_id)
    if found is None:
        raise Missing
    record(
        session,
        "forget_correction",
        "nation",
        0,
        office_id=0,
        by=by,
        nation=found.nation.value,
        day=found.day_on.isoformat(),
    )
    session.delete(found)
    session.flush()
    for office_id in session.scalars(sa.select(Office.id).where(Office.nation == found.nation)):
        recompute_later(session, office_id)


def finish_set_up(session: Session, office: Office, *, by: int | None, at: datetime) -> None:
    """The first-run questions are answered; raises Conflict when they were before."""
    if office.set_up_at is not None:
        raise Conflict("This office is set up already. Change it under Office settings.")
    office.set_up_at = at
    record(session, "finish_set_up", "office", office.id, office_id=office.id, by=by)


def recompute_later(session: Session, office_id: int) -> None:
    """Have the open dates of an office worked out again: a job, since there may be thousands."""
    jobs.defer(session, jobs.Kind.RECOMPUTE_DATES, office_id)


def _named(name: str) -> str:
    if not name.strip():
        raise Invalid("Give the office a name.", field="name")
    return name.strip()


def _free_prefix(session: Session, prefix: str) -> str:
    """References are read over the telephone: two offices of one install never share their letters."""
    prefix = prefix.strip().upper()
    if not _PREFIX.fullmatch(prefix):
        raise Invalid("Two to four letters, such as MA.", field="prefix")
    if session.scalar(sa.select(Office.id).where(Office.prefix == prefix)) is not None:
        raise Invalid("Another office uses these letters.", field="prefix")
    return prefix


def _must_be_possible(track: Track, terms: Terms) -> None:
    if not 0 <= terms.acknowledge_days <= MOST_DAYS:
        raise Invalid("Between 0 and %(most)s working days.", field=f"{track.value}_acknowledge_days", most=MOST_DAYS)
    if not 1 <= terms.answer_days <= MOST_DAYS:
        raise Invalid("Between 1 and %(most)s working days.", field=f"{track.value}_answer_days", most=MOST_DAYS)
    if terms.answer_days < terms.acknowledge_days:
        raise Invalid("An answer cannot be due before its acknowledgement.", field=f"{track.value}_answer_days")


def _read(text: str, nation: Nation | None) -> Mapping[Nation, Sequence[published.Holiday]]:
    try:
        if not text.lstrip("\ufeff \r\n\t").upper().startswith("BEGIN:VCALENDAR"):
            return published.read_govuk_json(text)
        if nation is None:
            raise Invalid("A calendar file holds one nation's holidays. Say which.", field="nation")
        return {nation: published.read_ical(text)}
    except ValueError as error:
        raise Invalid(str(error), field="file") from error


def _correct(session: Session, nation: Nation, named: set[date], changed: published.Changes, *, remove: bool) -> None:
    """Days the list names are holidays, whatever was corrected before; what it lacks goes with ``remove`` only."""
    for correction in session.scalars(sa.select(Holiday).where(Holiday.nation == nation)):
        lacked = remove and correction.is_holiday and correction.day_on.year in {day.year for day in named}
        if (correction.day_on in named and not correction.is_holiday) or (lacked and correction.day_on not in named):
            session.delete(correction)
    session.flush()
    for holiday in changed.added:
        _set(session, nation, holiday.on, holiday.title, is_holiday=True)
    for holiday in changed.removed if remove else ():
        _set(session, nation, holiday.on, holiday.title, is_holiday=False)


def _set(session: Session, nation: Nation, day_on: date, name: str, *, is_holiday: bool) -> None:
    found = session.scalar(sa.select(Holiday).where(Holiday.nation == nation, Holiday.day_on == day_on))
    if found is None:
        session.add(Holiday(nation=nation, day_on=day_on, name=name, is_holiday=is_holiday))
    else:
        found.name, found.is_holiday = name, is_holiday
    session.flush()


def _reaches(session: Session, nation: Nation, known_until: date, at: datetime) -> None:
    found = session.get(HolidayList, nation)
    if found is None:
        session.add(HolidayList(nation=nation, known_until=known_until, read_at=at))
    else:
        found.known_until, found.read_at = max(found.known_until, known_until), at
