"""Accounts as their pages show them: each with its streams, and how it does in one word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from app.channels import queries
from app.channels.models import Account, KnownGap, State
from app.channels.queries import Health, StreamHealth
from app.intake import quarantine

_WORST_FIRST: Final = (Health.NEEDS_YOU, Health.LATE, Health.FAILING, Health.PAUSED, Health.OK)
TRYING_AGAIN: Final = 2  # seconds after which the page of an account that is being tried looks again


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One account. ``health`` is that of its worst stream, or of the account itself where it has none yet."""

    account: Account
    channel_name: str
    office: str
    health: Health
    worst: StreamHealth | None
    streams: tuple[StreamHealth, ...]
    quarantined: int
    gaps: tuple[KnownGap, ...]
    can_manage: bool

    @property
    def is_connected(self) -> bool:
        """Whether it was tried and started."""
        return self.account.connected_at is not None


def cards(
    session: Session,
    offices: Collection[int],
    *,
    at: datetime,
    names: dict[str, str],
    offices_by_id: dict[int, str],
    manages: Collection[int],
) -> list[Card]:
    """Every account of ``offices``, those that need somebody first."""
    streams = queries.streams(session, offices, at)
    held = [one.account_id for one in quarantine.quarantined(session, offices, limit=1000)]
    gaps = queries.gaps(session, offices)
    made = [
        _card(
            account,
            [one for one in streams if one.account_id == account.id],
            channel_name=names.get(account.channel, account.channel),
            office=offices_by_id.get(account.office_id, ""),
            quarantined=held.count(account.id),
            gaps=gaps,
            can_manage=account.office_id in manages,
        )
        for account in queries.accounts(session, offices)
    ]
    return sorted(made, key=lambda card: _WORST_FIRST.index(card.health))


def _card(
    account: Account,
    streams: Sequence[StreamHealth],
    *,
    channel_name: str,
    office: str,
    quarantined: int,
    gaps: Sequence[KnownGap],
    can_manage: bool,
) -> Card:
    worst = min(streams, key=lambda one: _WORST_FIRST.index(one.health), default=None)
    ids = {one.stream_id for one in streams}
    return Card(
        account=account,
        channel_name=channel_name,
        office=office,
        health=_health(account, worst),
        worst=worst,
        streams=tuple(streams),
        quarantined=quarantined,
        gaps=tuple(gap for gap in gaps if gap.stream_id in ids),
        can_manage=can_manage,
    )


def _health(account: Account, worst: StreamHealth | None) -> Health:
    if worst is not None:
        return worst.health
    waits = account.state in {State.SIGNING_IN, State.REFUSED, State.NEEDS_YOU, State.TRIED}
    return Health.NEEDS_YOU if waits else Health.PAUSED if account.state is State.PAUSED else Health.OK
