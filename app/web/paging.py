"""Pages of a list by where the last one ended (keyset): as quick at the end of a million rows as at the beginning."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from app.errors import Missing

Row = TypeVar("Row")
Part = str | int | datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list; ``next`` goes into the address of the page after it, empty at the end."""

    rows: tuple[Row, ...]
    next: str


def page(found: Sequence[Row], size: int, key: Callable[[Row], Sequence[Part]]) -> Page[Row]:
    """A page of ``size`` out of ``found``, which asked for one more; ``key`` is what a row is ordered by."""
    rows = tuple(found[:size])
    return Page(rows, token(*key(rows[-1])) if len(found) > size else "")


def token(*parts: Part) -> str:
    """Where a page ended, fit for an address."""
    plain = [part.isoformat() if isinstance(part, datetime) else part for part in parts]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def after(given: str, *kinds: type[Part]) -> tuple[Part, ...] | None:
    """The parts of a token, of the ``kinds`` named; ``None`` for none given. Raises Missing for a bad one."""
    if not given:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise Missing
        return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except ValueError as error:
        raise Missing from error


def _part(part: object, kind: type[Part]) -> Part:
    if kind is datetime:
        moment = datetime.fromisoformat(str(part))
        if moment.tzinfo is None:
            raise Missing
        return moment
    if not isinstance(part, kind) or isinstance(part, bool):
        raise Missing
    return part
