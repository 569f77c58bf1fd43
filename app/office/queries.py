"""Questions about an office: the rules it works by, its calendar, and what its settings page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.deadlines.calendar import Calendar
from app.deadlines.holidays import Nation, holidays_in
from app.errors import Missing
from app.office.models import Closure, Holiday, HolidayList, Office, Pledge, Queue, Track

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What is promised for one kind of message, in working days; ``id`` is the pledge an obligation is opened under."""

    id: int
    acknowledge_days: int
    answer_days: int
    update_days: int
    officer_acknowledge_days: int
    officer_answer_days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What an office works by now. ``queue_id`` is its default queue, ``pledges`` the newest version of each."""

    office_id: int
    name: str
    place: str
    prefix: str
    nation: Nation
    undo_seconds: int
    waking_from: time
    waking_until: time
    retention_months: int
    queue_id: int
    calendar: Calendar
    pledges: Mapping[Track, Terms]

    def pledge(self, track: Track) -> Terms:
        """What is promised for one kind of message."""
        return self.pledges[track]


def rules(session: Session, office_id: int) -> Rules:
    """The rules of an office, in three statements; raises Missing when there is no such office."""
    found = session.execute(
        sa.select(Office, Queue.id)
        .join(Queue, sa.and_(Queue.office_id == Office.id, Queue.is_default))
        .where(Office.id == office_id)
    ).one_or_none()
    if found is None:
        raise Missing
    office, queue_id = found
    return Rules(
        office_id=office.id,
        name=office.name,
        place=office.place,
        prefix=office.prefix,
        nation=office.nation,
        undo_seconds=office.undo_seconds,
        waking_from=office.waking_from,
        waking_until=office.waking_until,
        retention_months=office.retention_months,
        queue_id=queue_id,
        calendar=calendar(session, office_id),
        pledges={pledge.kind: _terms(pledge) for pledge in pledges(session, office_id)},
    )


def calendar(session: Session, office_id: int) -> Calendar:
    """The working days of an office, in one statement; raises Missing when there is no such office."""
    nation: Nation | None = None
    known_until: date | None = None
    days: dict[str, set[date]] = {"closed": set(), "added": set(), "removed": set()}
    for row in session.execute(_DAYS, {"office_id": office_id}):
        if row.what == "office":
            nation = row.nation
        elif row.what == "known":
            known_until = row.last_on
        else:
            days[row.what].update(_span(row.first_on, row.last_on))
    if nation is None:
        raise Missing
    return Calendar(
        nation=nation,
        extra_holidays=frozenset(days["added"]),
        removed_holidays=frozenset(days["removed"]),
        closures=frozenset(days["closed"]),
        known_until=known_until,
    )


def office(session: Session, office_id: int) -> Office:
    """The office; raises Missing when there is none."""
    found = session.get(Office, office_id)
    if found is None:
        raise Missing
    return found


def offices(session: Session) -> list[Office]:
    """Every office of the install, by name."""
    return list(session.scalars(sa.select(Office).order_by(Office.name, Office.id)))


def pledges(session: Session, office_id: int) -> list[Pledge]:
    """The newest version of each pledge of an office."""
    newest = (
        sa.select(Pledge.kind, sa.func.max(Pledge.version).label("version"))
        .where(Pledge.office_id == office_id)
        .group_by(Pledge.kind)
    ).subquery()
    query = sa.select(Pledge).join(newest, sa.and_(Pledge.kind == newest.c.kind, Pledge.version == newest.c.version))
    return list(session.scalars(query.where(Pledge.office_id == office_id)))


def closures(session: Session, office_id: int, *, since: date) -> list[Closure]:
    """The closures of an office that are not over on ``since``, the next one first."""
    query = sa.select(Closure).where(Closure.office_id == office_id, Closure.last_on >= since)
    return list(session.scalars(query.order_by(Closure.first_on, Closure.id)))


def closure(session: Session, office_id: int, closure_id: int) -> Closure:
    """A closure of the office; raises Missing when it is not one of its own."""
    found = session.scalar(sa.select(Closure).where(Closure.id == closure_id, Closure.office_id == office_id))
    if found is None:
        raise Missing
    return found


def corrections(session: Session) -> list[Holiday]:
    """How the holidays of the install differ from the list that ships, in order."""
    return list(session.scalars(sa.select(Holiday).order_by(Holiday.nation, Holiday.day_on)))


def _terms(pledge: Pledge) -> Terms:
    return Terms(
        id=pledge.id,
        acknowledge_days=pledge.acknowledge_days,
        answer_days=pledge.answer_days,
        update_days=pledge.update_days,
        officer_acknowledge_days=pledge.officer_acknowledge_days,
        officer_answer_days=pledge.officer_answer_days,
    )


def _span(first_on: date, last_on: date) -> Iterator[date]:
    day = first_on
    while day <= last_on:
        yield day
        day += _ONE_DAY


def _days() -> sa.CompoundSelect[Any]:
    """Nation, closures and corrections of the holiday table together: every page of the inbox asks for them."""
    this = Office.id == sa.bindparam("office_id")
    no_day = sa.cast(sa.null(), sa.Date)
    kind = sa.case((Holiday.is_holiday, sa.literal_column("'added'")), else_=sa.literal_column("'removed'"))
    return sa.union_all(
        sa.select(
            sa.literal_column("'office'").label("what"),
            Office.nation,
            no_day.label("first_on"),
            no_day.label("last_on"),
        ).where(this),
        sa.select(sa.literal_column("'closed'"), Office.nation, Closure.first_on, Closure.last_on)
        .join(Office, Office.id == Closure.office_id)
        .where(this),
        sa.select(kind, Holiday.nation, Holiday.day_on, Holiday.day_on)
        .join(Office, Office.nation == Holiday.nation)
        .where(this),
        sa.select(sa.literal_column("'known'"), HolidayList.nation, HolidayList.known_until, HolidayList.known_until)
        .join(Office, Office.nation == HolidayList.nation)
        .where(this),
    )


_DAYS = _days()


def coming_holidays(session: Session, nation: Nation, since: date, most: int = 10) -> list[tuple[date, str]]:
    """The next bank holidays of a nation as they count now, corrections included."""
    corrected = {one.day_on: one for one in corrections(session) if one.nation is nation}
    days = {holiday.on: holiday.title for year in (since.year, since.year + 1) for holiday in holidays_in(nation, year)}
    days |= {on: one.name for on, one in corrected.items() if one.is_holiday}
    gone = {on for on, one in corrected.items() if not one.is_holiday}
    return sorted((on, title) for on, title in days.items() if on >= since and on not in gone)[:most]


def unfinished(session: Session) -> Office | None:
    """The office whose first run was left off, if there is one."""
    return session.scalar(sa.select(Office).where(Office.set_up_at.is_(None)).order_by(Office.id).limit(1))
