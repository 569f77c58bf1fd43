"""Connecting accounts, and what people do with them afterwards. Every verb writes its audit line.

    add ─→ trying ─job─→ tried ─activate─→ active ⇄ paused
                 └─────→ refused ─change the settings─→ trying
    active → needs_you → active (by new credentials, or by itself) · any → removed

Secrets are sealed at once and never given back; a change keeps the row, the cursors and the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.channels.models import Access, Account, Capacity, KnownGap, State, Stream
from app.errors import Conflict, Invalid
from app.secrets import Sealer
from connectors import Field, FieldKind, Manifest

BACKLOG_DAYS: Final = 14
_CONNECTED: Final = (State.ACTIVE, State.PAUSED, State.NEEDS_YOU)


def usual_since(at: datetime) -> datetime:
    """From when on a first connection fetches, unless somebody says otherwise (domain.md section 2, rule 12)."""
    return at - timedelta(days=BACKLOG_DAYS)


def add_account(
    session: Session,
    sealer: Sealer,
    manifest: Manifest,
    *,
    office_id: int,
    options: Mapping[str, str],
    since: datetime | None,
    by: int | None,
    at: datetime,
    capacity: Capacity = Capacity.COUNCILLOR,
) -> Account:
    """A sealed account that is tried by a job before it is connected.

    ``options`` are the answers to the manifest's fields, others are left out. Nothing that arrived before ``since``
    will be fetched (``None``: everything is). Raises Invalid, with the field, for an answer that is missing or no
    choice.
    """
    given, secrets = _split(manifest, options)
    account = Account(
        office_id=office_id,
        channel=manifest.slug,
        name=_name(manifest, given),
        capacity=capacity,
        options=given,
        sealed=sealer.seal(secrets),
        since_at=since,
        created_at=at,
    )
    session.add(account)
    session.flush()
    jobs.defer(session, jobs.Kind.TRY_ACCOUNT, account.id)
    record(session, "add", "account", account.id, office_id=office_id, by=by, channel=manifest.slug)
    return account


def change(
    session: Session,
    sealer: Sealer,
    manifest: Manifest,
    account: Account,
    *,
    options: Mapping[str, str],
    by: int | None,
    at: datetime,
) -> None:
    """Other settings or a new password for an account; it is tried at once.

    A secret that is left empty stays as it was. Raises Invalid as ``add_account`` does, Conflict when the account was
    removed.
    """
    if account.state is State.REMOVED:
        raise Conflict("This account was removed.")
    old = sealer.open(account.sealed) if account.sealed and _keeps_a_secret(manifest, options) else {}
    given, secrets = _split(
        manifest, {**old, **{key: value for key, value in options.items() if value or key not in old}}
    )
    account.options, account.sealed = given, sealer.seal(secrets)
    account.credentials_version += 1
    account.refusals, account.first_refused_at, account.check_result = 0, None, {}
    if account.connected_at is None:
        account.state, account.name = State.TRYING, _name(manifest, given)
    jobs.defer(session, jobs.Kind.TRY_ACCOUNT, account.id)
    if account.state in {State.ACTIVE, State.NEEDS_YOU}:
        poll_now(session, account, at)
    record(session, "change", "account", account.id, office_id=account.office_id, by=by)


def activate(session: Session, account: Account, *, by: int | None, at: datetime) -> None:
    """Connect an account that was tried: what it found is polled from now on.

    Raises Conflict when it was not found good, or when the office has the same one already.
    """
    if account.state is not State.TRIED:
        raise Conflict("This account has not been tried yet, or was refused.")
    identity = account.check_result["identity"]
    same = sa.select(Account.id, Account.own_ids).where(
        Account.office_id == account.office_id, Account.channel == account.channel, Account.state.in_(_CONNECTED)
    )
    if any(identity["external_id"] in own_ids for _, own_ids in session.execute(same)):
        raise Conflict("%(name)s is connected already.", name=account.name)
    account.state, account.connected_at = State.ACTIVE, at
    set_streams(session, account, account.check_result["streams"], at)
    poll_now(session, account, at)
    record(session, "connect", "account", account.id, office_id=account.office_id, by=by)


def set_streams(session: Session, account: Account, found: list[dict[str, Any]], at: datetime) -> None:
    """Poll what a try found, as ``trying`` wrote it down. One that is no longer wanted keeps its cursor."""
    known = {stream.key: stream for stream in session.scalars(sa.select(Stream).where(Stream.account_id == account.id))}
    for spec in found:
        stream = known.pop(spec["key"], None)
        if stream is None:
            stream = Stream(
                account_id=account.id,
                office_id=account.office_id,
                key=spec["key"],
                name=spec["name"],
                interval=timedelta(seconds=spec["seconds"]),
                added_at=at,
            )
            session.add(stream)
        stream.name, stream.interval = spec["name"], timedelta(seconds=spec["seconds"])
        stream.is_junk, stream.is_ours, stream.is_wanted = spec["is_junk"], spec["is_ours"], True
    for stream in known.values():
        stream.is_wanted = False
    session.flush()


def pause(session: Session, account: Account, *, by: int | None) -> None:
    """Fetch nothing until somebody resumes. Raises Conflict when the account is not connected."""
    if account.state not in {State.ACTIVE, State.NEEDS_YOU}:
        raise Conflict("This account is not being fetched.")
    account.state = State.PAUSED
    record(session, "pause", "account", account.id, office_id=account.office_id, by=by)


def resume(session: Session, account: Account, *, by: int | None, at: datetime) -> None:
    """Go on from where it stopped, however long ago. Raises Conflict when it was not paused."""
    if account.state is not State.PAUSED:
        raise Conflict("This account is not paused.")
    account.state = State.ACTIVE
    poll_now(session, account, at)
    record(session, "resume", "account", account.id, office_id=account.office_id, by=by)


def remove(session: Session, account: Account, *, by: int | None) -> None:
    """Forget the account's secret and fetch it no more; what came by it stays. Raises Conflict when that was done."""
    if account.state is State.REMOVED:
        raise Conflict("This account was removed already.")
    account.state, account.sealed = State.REMOVED, None
    account.credentials_version += 1  # whoever still holds a line to it hangs up
    session.execute(sa.delete(Access).where(Access.account_id == account.id))
    record(session, "remove", "account", account.id, office_id=account.office_id, by=by)


def check_now(session: Session, account: Account, *, by: int | None, at: datetime) -> None:
    """Poll at once; a stream that the platform has limited waits for the moment it named all the same.

    Raises Conflict when the account is not being fetched.
    """
    if account.state not in {State.ACTIVE, State.NEEDS_YOU}:
        raise Conflict("This account is not being fetched.")
    poll_now(session, account, at)
    record(session, "check_now", "account", account.id, office_id=account.office_id, by=by)


def try_again(session: Session, account: Account, *, by: int | None) -> None:
    """Try an account again with the settings it has, before it is connected. Raises Conflict afterwards."""
    if account.connected_at is not None or account.state is State.REMOVED:
        raise Conflict("This account is connected already, or was removed.")
    account.state, account.check_result = State.TRYING, {}
    jobs.defer(session, jobs.Kind.TRY_ACCOUNT, account.id)
    record(session, "try", "account", account.id, office_id=account.office_id, by=by)


def fetch_older(session: Session, account: Account, *, since: datetime | None, by: int | None, at: datetime) -> None:
    """Fetch what arrived before the account was connected too (``None``: all of it).

    Every stream is walked from its start again: what is here already is recognised and not doubled. Raises Conflict
    when the account is not being fetched, or when nothing older is asked for.
    """
    if account.since_at is None or (since is not None and since >= account.since_at):
        raise Conflict("Everything since then is fetched already.")
    account.since_at = since
    for stream in session.scalars(sa.select(Stream).where(Stream.account_id == account.id)):
        stream.cursor = None
    check_now(session, account, by=by, at=at)


def settle_gap(session: Session, gap: KnownGap, *, by: int | None, at: datetime) -> None:
    """Somebody has looked at what a walk could not cover. Raises Conflict when that was done."""
    if gap.settled_at is not None:
        raise Conflict("This was settled already.")
    gap.settled_at = at
    record(session, "settle", "gap", gap.id, office_id=gap.office_id, by=by)


def poll_now(session: Session, account: Account, at: datetime) -> None:
    """Every stream is due at once, but for those that the platform has limited until a moment it named."""
    session.execute(
        sa.update(Stream)
        .where(
            Stream.account_id == account.id,
            sa.or_(Stream.trouble_kind != "rate_limited", Stream.next_at.is_(None), Stream.next_at <= at),
        )
        .values(next_at=at)
    )
    jobs.defer(session, jobs.Kind.POLL_ACCOUNT, account.id)


def _split(manifest: Manifest, answers: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers to the manifest's fields: what may be read again, and what is sealed."""
    given: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    for field in manifest.asked(manifest.kind(answers)):
        answer = _answer(field, answers.get(field.key, ""))
        (secrets if field.kind is FieldKind.SECRET else given)[field.key] = answer
    return given, secrets


def _answer(field: Field, answer: str) -> str:
    answer = answer.replace("\0", "")
    if field.kind is not FieldKind.SECRET:
        answer = answer.strip() or field.default
    if field.required and not answer:
        raise Invalid("This is needed.", field=field.key)
    if field.kind is FieldKind.CHOICE and answer and answer not in {value for value, _ in field.choices}:
        raise Invalid("Choose one of the list.", field=field.key)
    if field.kind is not FieldKind.LIST and len(answer.splitlines()) > 1:
        raise Invalid("This is one line only.", field=field.key)
    return answer


def _keeps_a_secret(manifest: Manifest, options: Mapping[str, str]) -> bool:
    """Whether a secret is left as it was: only then is the old seal opened, which may be impossible."""
    asked = manifest.asked(manifest.kind(options))
    return any(field.kind is FieldKind.SECRET and not options.get(field.key) for field in asked)


def _name(manifest: Manifest, given: Mapping[str, Any]) -> str:
    """What people call the account until the platform says: its address, else the first thing that was asked."""
    first = sorted(
        (field for field in manifest.fields if field.key in given),
        key=lambda field: field.kind is not FieldKind.EMAIL,
    )
    return next((str(given[field.key]) for field in first if given[field.key]), manifest.name)
