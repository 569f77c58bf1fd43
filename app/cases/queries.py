"""Questions about cases that are not made for one page (those are in ``app.pages.queries``)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Decision, Obligation, ObligationKind, ObligationState
from app.errors import Missing
from app.staff.models import Membership, Role, Staff


def case(session: Session, case_id: int, offices: Collection[int], *, to_change: bool = False) -> Case:
    """The case, if it belongs to one of ``offices``; raises Missing otherwise.

    ``to_change`` holds it until the transaction ends, as ``clocks.hold`` does; of several, the lowest id first.
    """
    query = sa.select(Case).where(Case.id == case_id, Case.office_id.in_(offices))
    found = session.scalar(query.with_for_update(key_share=True) if to_change else query)
    if found is None:
        raise Missing
    return found


def decision(session: Session, decision_id: int, offices: Collection[int]) -> Decision:
    """The decision, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(sa.select(Decision).where(Decision.id == decision_id, Decision.office_id.in_(offices)))
    if found is None:
        raise Missing
    return found


def open_count(session: Session, office_id: int, staff_id: int) -> int:
    """How many open cases somebody has in an office: they are handed on before the person leaves."""
    query = sa.select(sa.func.count()).select_from(Case)
    return session.scalar(query.where(Case.office_id == office_id, Case.owner_id == staff_id, Case.is_open)) or 0


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody a case can be given to."""

    id: int
    name: str
    role: Role
    tint: int
    open_cases: int


def colleagues(session: Session, office_id: int) -> list[Colleague]:
    """Who can have a case of this office, by name, each with how many open ones they have."""
    return [Colleague(*tuple(row)) for row in session.execute(_COLLEAGUES, {"office_id": office_id})]


def _colleagues() -> sa.Select[*tuple[Any, ...]]:
    """Put together once, as every list asks it."""
    office_id: sa.BindParameter[int] = sa.bindparam("office_id")
    counts = (
        sa.select(Case.owner_id, sa.func.count().label("open_cases"))
        .where(Case.office_id == office_id, Case.is_open, Case.owner_id.is_not(None))
        .group_by(Case.owner_id)
        .subquery()
    )
    return (
        sa.select(Staff.id, Staff.name, Membership.role, Staff.tint, sa.func.coalesce(counts.c.open_cases, 0))
        .join(Membership, Membership.staff_id == Staff.id)
        .outerjoin(counts, counts.c.owner_id == Staff.id)
        .where(
            Membership.office_id == office_id,
            Membership.ended_at.is_(None),
            Membership.role != Role.VIEWER,
            Staff.active,
        )
        .order_by(Staff.name, Staff.id)
    )


_COLLEAGUES = _colleagues()


def parted(session: Session, cases: Collection[Case]) -> tuple[list[Case], list[Case]]:
    """``cases`` in two: those on which nothing is owed, and those that are still to be answered."""
    query = sa.select(Obligation.case_id).where(
        Obligation.case_id.in_([one.id for one in cases]),
        Obligation.kind == ObligationKind.REPLY,
        Obligation.state == ObligationState.OPEN,
    )
    owing = set(session.scalars(query))
    return [one for one in cases if one.id not in owing], [one for one in cases if one.id in owing]
