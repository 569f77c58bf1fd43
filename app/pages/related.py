"""The case that a conversation looks related to: offered, never joined by itself (domain.md section 3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import references
from app.cases.models import Case
from app.pages.rows import CasePage


@dataclass(frozen=True, slots=True)
class Related:
    """Another case, as a banner names it."""

    id: int
    reference: str
    subject: str
    contact: str


def related(session: Session, page: CasePage, offices: Collection[int]) -> Related | None:
    """What the shown conversation looks related to; where that was joined to another case meanwhile, the other one."""
    wanted = page.conversation.related_case_id if page.conversation else None
    if wanted is None:
        return None
    query = sa.select(Case.id, Case.reference, Case.subject, Case.contact).where(Case.office_id.in_(offices))
    found = session.execute(query.where(Case.id == references.standing(session, wanted))).one_or_none()
    return None if found is None or found.id == page.case.id else Related(*found)
