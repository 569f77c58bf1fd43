"""What time it is. The demonstration runs at another time than the wall, and a test stands still: both set it here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _wall() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _wall


def now() -> datetime:
    """The moment, aware, in UTC."""
    return _source()


def use(source: Callable[[], datetime] | None) -> None:
    """Take the time from ``source`` (aware, UTC) in this process from now on; ``None`` gives the wall clock back."""
    global _source  # noqa: PLW0603 - a process has one clock
    _source = source or _wall


def start_at(moment: datetime) -> None:
    """Set the clock to ``moment`` and let it run from there."""
    offset: timedelta = moment - _wall()
    use(lambda: _wall() + offset)
