"""Signing an account in at the platform's own page: jobs, because a connector never speaks inside a request.

    begin ─→ asked ─job─→ waiting ─(code: the job asks now and then)──────────┬─job─→ given ─→ the account is tried
                             └────(page: the browser comes back)─→ answered ──┘ └───→ failed ─begin─→ asked

What a person is asked stands in ``access`` beside the tokens that still hold: until the new sign-in is given, the
account goes on with the old one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.channels.actions import poll_now
from app.channels.connecting import Line, line, ways
from app.channels.models import Access, Account, State, Step
from app.clock import now
from app.deployment import Deployment
from app.errors import Conflict, Problem
from app.jobs.running import describe
from app.secrets import Sealer
from connectors import Asking, Authorises, ConnectorError, NotYet, Transient, Way

BACK: Final = "accounts/sign-in/back"  # where a platform sends the browser, after the office's own address
_UNDER_WAY: Final = (Step.ASKED, Step.WAITING, Step.ANSWERED)
_AFTER_TROUBLE: Final = timedelta(seconds=10)
_log = structlog.stdlib.get_logger(__name__)


# ── What people do ────────────────────────────────────────────────────────────────────────────────────────────────


def access_of(session: Session, account_id: int) -> Access | None:
    """The sign-in of an account; ``None`` where it never had one."""
    return session.scalar(sa.select(Access).where(Access.account_id == account_id))


def begin(session: Session, account: Account, way: Way, *, by: int | None, at: datetime) -> None:
    """Have the platform asked to ask a person; what was begun before is forgotten.

    Raises Conflict when the account was removed.
    """
    if account.state is State.REMOVED:
        raise Conflict("This account was removed.")
    access = access_of(session, account.id)
    if access is None:
        access = Access(account_id=account.id, office_id=account.office_id, way=way, began_at=at)
        session.add(access)
    access.way, access.began_at, access.turn = way, at, access.turn + 1
    _write(access, Step.ASKED)
    if account.connected_at is None:
        account.state, account.check_result = State.SIGNING_IN, {}
    session.flush()
    jobs.defer(session, jobs.Kind.SIGN_IN, account.id)
    record(session, "begin_sign_in", "account", account.id, office_id=account.office_id, by=by)


def begin_code(session: Session, deployment: Deployment, account_id: int) -> None:
    """Have the platform asked for a code, where nobody has a browser that could come back.

    Raises Conflict where it gives none.
    """
    account = session.get_one(Account, account_id)
    if Way.CODE not in ways(deployment, account):
        raise Conflict("This provider gives no code to type. Add the account on the page “Accounts”.")
    begin(session, account, Way.CODE, by=None, at=now())


def look_again(session: Session, account: Account) -> bool:
    """Somebody says that they have done it: look now, if the platform's own interval has passed.

    ``False`` where it was found out already: then their page shows what came of it.
    """
    access = access_of(session, account.id)
    if access is None or access.step not in _UNDER_WAY:
        return False
    jobs.defer(session, jobs.Kind.SIGN_IN, account.id)
    return True


def account_of(state: str) -> int | None:
    """Which account the browser comes back for, if ``state`` is one of ours; it proves nothing yet."""
    number = state.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 18 else None  # noqa: PLR2004


def come_back(session: Session, sealer: Sealer, account: Account, answer: Mapping[str, str], *, by: int | None) -> None:
    """Keep what a browser brought from the platform, for the job.

    Raises Conflict when it answers nothing that we asked: an old page, or one that somebody else made up.
    """
    access = access_of(session, account.id)
    asked = _opened(sealer, access) if access and access.step is Step.WAITING else {}
    if access is None or not secrets.compare_digest(asked.get("state", "").encode(), answer.get("state", "").encode()):
        raise Conflict("This sign-in is over. Begin it again on the account's page.")
    kept = {key: answer[key] for key in ("code", "error", "error_description") if answer.get(key)}
    access.step, access.asking = Step.ANSWERED, sealer.seal({**asked, "answer": json.dumps(kept)})
    jobs.defer(session, jobs.Kind.SIGN_IN, account.id)
    record(session, "come_back", "account", account.id, office_id=account.office_id, by=by)


def under_way(session: Session) -> list[int]:
    """The accounts that somebody is signing in to: each has a job that waits, or should have one."""
    return list(session.scalars(sa.select(Access.account_id).where(Access.step.in_(_UNDER_WAY))))


# ── The job ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """A sign-in as it stands, read in a transaction and used after it has ended."""

    turn: int
    step: Step
    way: Way
    line: Line
    asking: Asking
    state: str = field(repr=False)
    answer: Mapping[str, str] = field(repr=False)


def sign_in(deployment: Deployment, account_id: int) -> datetime | None:
    """The job: ask the platform to ask a person, or ask it what came of that; when to look again."""
    begun = _read(deployment, account_id)
    if not isinstance(begun, _Begun):
        return begun
    found = _speak(deployment, begun)
    with deployment.database.transaction() as session:
        query = sa.select(Access).where(Access.account_id == account_id, Access.turn == begun.turn)
        access = session.scalar(query.with_for_update())
        if access is None:
            return None  # somebody has begun another meanwhile
        return _keep(session, deployment.sealer, access, begun, found)


def _read(deployment: Deployment, account_id: int) -> _Begun | datetime | None:
    """What the job needs; else when to look again, ``None`` where nobody is signing in."""
    at = now()
    with deployment.database.reading() as session:
        access = access_of(session, account_id)
        if access is None or access.step not in _UNDER_WAY:
            return None
        if access.step is Step.WAITING and access.next_at is not None and access.next_at > at:
            return access.next_at
        opened = _opened(deployment.sealer, access)
        return _Begun(
            turn=access.turn,
            step=access.step,
            way=access.way,
            line=line(session, deployment, account_id),
            asking=Asking(
                url=access.url,
                code=access.code,
                ends_at=access.ends_at or at,
                interval=access.interval,
                secrets=json.loads(opened.get("secrets", "{}")),
            ),
            state=opened.get("state") or f"{account_id}-{secrets.token_urlsafe(32)}",
            answer=json.loads(opened.get("answer", "{}")),
        )


def _speak(deployment: Deployment, begun: _Begun) -> Asking | Mapping[str, str] | ConnectorError:
    """What the platform says: what to ask a person, or its tokens. No transaction is open here."""
    connector = cast("Authorises", deployment.connectors[begun.line.channel])
    options, host = begun.line.options, deployment.host
    try:
        if begun.step is Step.ASKED:
            back = f"{deployment.settings.public_url}{BACK}"
            return connector.begin(options, host, begun.way, back=back, state=begun.state)
        return connector.finish(options, host, begun.asking, begun.answer)
    except ConnectorError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the border of a channel: what it does not name is Transient
        _log.warning("signing in failed", account=begun.line.account_id, error=describe(error))
        return Transient("Something went wrong while signing in. Begin again in a moment.")


def _keep(
    session: Session,
    sealer: Sealer,
    access: Access,
    begun: _Begun,
    found: Asking | Mapping[str, str] | ConnectorError,
) -> datetime | None:
    """Write down what came of it; when to look again."""
    at = now()
    match found:
        case Asking():
            _write(access, Step.WAITING)
            kept = {"state": begun.state, "secrets": json.dumps(dict(found.secrets))}
            access.url, access.code, access.asking = found.url, found.code, sealer.seal(kept)
            access.ends_at, access.interval = found.ends_at, found.interval
            access.next_at = at + found.interval if begun.way is Way.CODE else found.ends_at
        case NotYet():
            access.interval, access.next_at = found.wait, at + found.wait
        case Transient() if begun.step is not Step.ASKED:
            access.next_at = at + max(access.interval, _AFTER_TROUBLE)
        case ConnectorError():
            _write(access, Step.FAILED, trouble=str(found))
        case _:
            _write(access, Step.GIVEN)
            access.sealed, access.given_at = sealer.seal(found), at
            _let_in(session, session.get_one(Account, access.account_id, with_for_update=True), at)
    return access.next_at


def _let_in(session: Session, account: Account, at: datetime) -> None:
    """The platform lets us in: lines with older tokens hang up, and the account is tried."""
    if account.state is State.REMOVED:
        return
    account.credentials_version += 1
    account.refusals, account.first_refused_at, account.check_result = 0, None, {}
    if account.connected_at is None:
        account.state = State.TRYING
    jobs.defer(session, jobs.Kind.TRY_ACCOUNT, account.id)
    if account.state in {State.ACTIVE, State.NEEDS_YOU}:
        poll_now(session, account, at)
    record(session, "signed_in", "account", account.id, office_id=account.office_id, by=None)


def _write(access: Access, step: Step, trouble: str = "") -> None:
    """The next step, with nothing left of what was asked before."""
    access.step, access.trouble = step, trouble
    access.url = access.code = ""
    access.asking = access.ends_at = access.next_at = None
    access.interval = timedelta(0)


def _opened(sealer: Sealer, access: Access) -> dict[str, str]:
    try:
        return sealer.open(access.asking) if access.asking else {}
    except Problem:
        return {}
