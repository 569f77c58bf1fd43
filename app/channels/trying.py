"""Trying an account: a job, because a connector never speaks inside a request. The page about it refreshes itself.

``Account.check_result`` afterwards, where it went well (``found``) and where it did not (``trouble``)::

    {"identity": {"external_id", "name", "handle", "url"},
     "streams": [{"key", "name", "seconds", "is_junk", "is_ours"}],
     "newest": "Brown bin, from Hester", "missing": [], "warnings": [], "ends_at": null, "largest": 35000000}
    {"error": "a sentence", "field": "password", "kind": "auth_expired"}
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.channels import health, signing_in
from app.channels.actions import set_streams
from app.channels.connecting import Line, line, ways
from app.channels.models import Account, State
from app.channels.tokens import AccountTokens
from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.jobs.running import describe
from connectors import Checked, ConnectorError, Misconfigured, Transient, Way

_log = structlog.stdlib.get_logger(__name__)


def try_account(deployment: Deployment, account_id: int) -> datetime | None:
    """The job: try the account end to end and write down what was found. It never tries again by itself."""
    with deployment.database.reading() as session:
        account = session.get(Account, account_id)
        if account is None or account.state is State.REMOVED:
            return None
        try:
            its_line: Line | Misconfigured = line(session, deployment, account_id)
        except Problem as problem:
            its_line = Misconfigured(str(problem))
        version = account.credentials_version
        asked = next(iter(ways(deployment, account)), None)
    if asked is not None and not AccountTokens(deployment, account_id).read():
        _ask(deployment, account_id, version, asked)
        return None
    checked = its_line if isinstance(its_line, Misconfigured) else _check(deployment, its_line)
    with deployment.database.transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        if account.credentials_version == version and account.state is not State.REMOVED:
            _write(
                session, account, checked
            )  # else its settings were changed meanwhile, and are tried by a job of their own
    return None


def _ask(deployment: Deployment, account_id: int, version: int, way: Way) -> None:
    """There is nothing to try before a person has let us in at the platform's page: have them asked."""
    with deployment.database.transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        if account.credentials_version == version and account.state is not State.REMOVED:
            signing_in.begin(session, account, way, by=None, at=now())


def _check(deployment: Deployment, its_line: Line) -> Checked | ConnectorError:
    """What the platform says. No transaction is open here."""
    try:
        with its_line.use(deployment) as connection:
            return connection.check()
    except ConnectorError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the border of a channel: what it does not name is Transient
        _log.warning("trying failed", account=its_line.account_id, error=describe(error))
        return Transient("Something went wrong while trying this account. Try again in a moment.")


def _write(session: Session, account: Account, checked: Checked | ConnectorError) -> None:
    account.checked_at = now()
    if isinstance(checked, ConnectorError):
        account.check_result = trouble(checked)
        if account.connected_at is None:
            account.state = State.REFUSED
        return
    account.check_result = found(checked)
    account.own_ids = [checked.identity.external_id]
    account.name = checked.identity.handle or checked.identity.external_id
    account.display_name = checked.identity.name
    if account.connected_at is None:
        account.state = State.TRIED
    else:
        set_streams(session, account, account.check_result["streams"], now())


def found(checked: Checked) -> dict[str, Any]:
    """A good try as it is kept."""
    identity = checked.identity
    return {
        "identity": {
            "external_id": identity.external_id,
            "name": identity.name,
            "handle": identity.handle,
            "url": identity.url,
        },
        "streams": [
            {
                "key": stream.key,
                "name": stream.name,
                "seconds": stream.interval.total_seconds(),
                "is_junk": stream.junk,
                "is_ours": stream.ours,
            }
            for stream in checked.streams
        ],
        "newest": checked.newest,
        "missing": list(checked.missing),
        "warnings": list(checked.warnings),
        "ends_at": checked.ends_at.isoformat() if checked.ends_at else None,
        "largest": checked.largest,
    }


def trouble(error: ConnectorError) -> dict[str, Any]:
    """A bad one: the sentence, and the field it speaks of ("" for none)."""
    return {
        "error": str(error),
        "field": error.field if isinstance(error, Misconfigured) else "",
        "kind": health.kind(error),
    }
