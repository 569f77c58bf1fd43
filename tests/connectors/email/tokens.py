"""Tokens of one mailbox, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from connectors import Host
from tests.connectors.email.box import host
from tests.servers.issuer import Issuer


class Kept:
    """Holds them, and counts how often they were renewed."""

    def __init__(self, held: Mapping[str, str] | None = None) -> None:
        self.held: Mapping[str, str] = held or {}
        self.renewals = 0

    def read(self) -> Mapping[str, str]:
        return self.held

    def renew(
        self, stale: Mapping[str, str], fetch: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> Mapping[str, str]:
        self.renewals += 1
        self.held = fetch(stale)
        return self.held


def lent(issuer: Issuer, kept: Kept | None = None, **client: str) -> Host:
    """What the office lends: the issuer stands for Microsoft, for Google, and for a service of the administrator's."""
    clients = {
        "microsoft": issuer.client(**client),
        "google": issuer.client("Google", **client),
        "oauth": issuer.client("Fernmoor", **client),
    }
    return replace(host(), clients=clients, tokens=kept)
