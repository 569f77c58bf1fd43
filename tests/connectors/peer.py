"""What the contract suite asks of whoever plays the other side of a channel.

A channel ``slug`` has ``tests/connectors/<slug>/peer.py`` with ``peer(request) -> context manager of Peer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import pytest

from connectors import Draft
from tests.servers.faulty import Fault


class Peer(Protocol):
    """One account on a real server, or on a faithful fake, reached over a line that can break."""

    stream: str  # the stream that ``put`` fills
    secret: str  # the option that is a password or a token

    @property
    def options(self) -> Mapping[str, str]:
        """Options that work. Every host in them is this machine, so that the office has to allow it."""

    def put(self, count: int, at: datetime | None = None) -> None:
        """Let others write so many things into the stream, arrived at ``at`` where that can be chosen."""

    def draft(self, key: str) -> Draft:
        """A reply that the platform takes."""

    def arrived(self) -> int:
        """How many replies of this account the platform holds."""

    def fail(self, fault: Fault) -> None:
        """Let every line to the platform break; an empty fault mends them."""

    def lines(self) -> int:
        """How many lines were opened."""

    def hurry(self, patch: pytest.MonkeyPatch, seconds: float) -> None:
        """Set the channel's time limits, so that a test need not wait for them."""
