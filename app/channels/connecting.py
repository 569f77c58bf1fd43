"""From an account's row to a line that can be used: its options, its opened secrets, its face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app.channels.models import Account
from app.channels.tokens import AccountTokens
from app.deployment import Deployment
from app.errors import Missing
from app.jobs.running import describe
from connectors import Actor, Authorises, Connection, Connector, ConnectorError, Transient, Way

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """What is needed to speak for an account, read in a transaction and used after it has ended."""

    account_id: int
    channel: str
    version: int
    sender: Actor
    options: Mapping[str, str] = field(repr=False)  # secrets among them

    @contextmanager
    def use(self, deployment: Deployment) -> Iterator[Connection]:
        """A connection, kept for the next use unless the block raises. No transaction may be open.

        Raises what ``connect`` does; what the interface does not know is Transient.
        """
        with deployment.lines.use(self.account_id, self.version, lambda: self.dial(deployment)) as connection:
            yield connection

    def dial(self, deployment: Deployment) -> Connection:
        """A connection of the caller's own, which hangs it up; raises as ``use`` does."""
        try:
            host = replace(deployment.host, tokens=AccountTokens(deployment, self.account_id))
            return deployment.connectors[self.channel].connect(self.options, host)
        except ConnectorError:
            raise
        except Exception as error:
            _log.error("channel failed", account=self.account_id, error=describe(error))
            raise Transient("Something went wrong while connecting. It is tried again.") from error


def connector(deployment: Deployment, channel: str) -> Connector:
    """The channel of that name; raises Missing when it is not installed here."""
    if channel not in deployment.connectors:
        raise Missing("The channel %(channel)s is not installed here.", channel=channel)
    return deployment.connectors[channel]


def ways(deployment: Deployment, account: Account) -> tuple[Way, ...]:
    """How a person lets us into an account at the platform's own page, the usual way first; empty: not in that way."""
    if account.channel not in deployment.connectors:
        return ()
    found = deployment.connectors[account.channel]
    return found.ways(account.options) if isinstance(found, Authorises) else ()


def line(session: Session, deployment: Deployment, account_id: int) -> Line:
    """The line of an account.

    Raises Missing when its channel is not installed, Problem when its secret cannot be opened.
    """
    return line_of(deployment, session.get_one(Account, account_id))


def line_of(deployment: Deployment, account: Account | sa.Row[Any]) -> Line:
    """The line of an account that was read already; raises as ``line`` does."""
    connector(deployment, account.channel)
    secrets = deployment.sealer.open(account.sealed) if account.sealed else {}
    own = account.own_ids[0] if account.own_ids else ""
    return Line(
        account_id=account.id,
        channel=account.channel,
        version=account.credentials_version,
        sender=Actor(external_id=own, name=account.display_name or account.name, handle=own),
        options={**account.options, **secrets},
    )
