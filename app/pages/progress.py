"""How the office does: what became of the answers that were owed, over the last weeks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Obligation, ObligationKind, ObligationState
from app.messages.models import Conversation

SPAN: Final = timedelta(days=28)
FEWEST: Final = 5  # answers below which a share says nothing


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers that were accepted, and how many of them in time: what came before Postbag aside."""

    channel: str
    given: int
    in_time: int

    @property
    def percent(self) -> int | None:
        """How much of it was on time; ``None`` where there is too little to say."""
        return self.in_time * 100 // self.given if self.given >= FEWEST else None


def answers(session: Session, offices: Collection[int], *, since: datetime) -> list[Answers]:
    """What was answered since a moment, all of it first and then by channel; in one statement."""
    in_time = sa.or_(Obligation.is_late.is_(False), Obligation.is_excused)
    query = (
        sa.select(Conversation.channel, sa.func.count(), sa.func.count().filter(in_time))
        .select_from(Obligation)
        .join(Conversation, Conversation.id == Obligation.conversation_id)
        .where(
            Obligation.office_id.in_(offices),
            Obligation.kind == ObligationKind.REPLY,
            Obligation.state == ObligationState.MET,
            Obligation.is_backlog.is_(False),
            Obligation.met_at >= since,
        )
        .group_by(Conversation.channel)
        .order_by(Conversation.channel)
    )
    found = [Answers(*row) for row in session.execute(query)]
    return [Answers("", sum(one.given for one in found), sum(one.in_time for one in found)), *found]
