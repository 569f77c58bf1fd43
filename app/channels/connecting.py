"""From an account's row to a line that can be used: its options, its opened secrets, its face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app.channels.models import Account
from app.deployment import Deployment
from app.errors import Missing
from app.jobs.running import describe
from connectors import Actor, Connection, Connector, ConnectorError, Transient

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

        def dial() -> Connection:
            try:
                return deployment.connectors[self.channel].connect(self.options, deployment.host)
            except ConnectorError:
                raise
            except Exception as error:
                _log.error("channel failed", account=self.account_id, error=describe(error))
                raise Transient("Something went wrong while connecting. It is tried again.") from error

        with deployment.lines.use(self.account_id, self.version, dial) as connection:
            yield connection


def connector(deployment: Deployment, channel: str) -> Connector:
    """The channel of that name; raises Missing when it is not installed here."""
    if channel not in deployment.connectors:
        raise Missing("The channel %(channel)s is not installed here.", channel=channel)
    return deployment.connectors[channel]


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
