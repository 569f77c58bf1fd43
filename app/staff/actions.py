"""Changing who may sign in, what they may do, and how they prove who they are. A change of rights ends sessions."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.errors import Conflict, Invalid, Missing
from app.office.models import Office
from app.staff import queries
from app.staff.models import Attempt, Link, Membership, Purpose, Role, SignIn, Staff
from app.staff.passwords import PasswordHash, Passwords

INVITATION_HOLDS: Final = timedelta(hours=48)
RESET_HOLDS: Final = timedelta(hours=1)
RESETS_AN_HOUR: Final = 3
TINTS: Final = 6
LANGUAGES: Final = ("en", "cy")
THEMES: Final = ("auto", "light", "dark")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^@\s]+@localhost")
_LONGEST_ADDRESS: Final = 254
_LONGEST_NAME: Final = 120
_FORGOTTEN_AFTER: Final = timedelta(days=30)


# ── People and their seats ────────────────────────────────────────────────────────────────────────────────────────


def create_staff(
    session: Session,
    *,
    email: str,
    name: str,
    password: PasswordHash | None = None,
    is_administrator: bool = False,
    by: int | None = None,
    at: datetime,
) -> Staff:
    """Somebody new; has an id. ``password`` comes from ``Passwords.hash``; without one they join by an invitation.

    Raises Invalid for an address that cannot be one or is taken, or no name.
    """
    address = queries.folded(email)
    if not _ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS:
        raise Invalid("That is not an email address.", field="email")
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise Invalid("Give the name that colleagues will see.", field="name")
    if queries.by_email(session, address) is not None:
        raise Invalid("Somebody with this address is known already.", field="email")
    count = session.scalar(sa.select(sa.func.count()).select_from(Staff)) or 0
    staff = Staff(
        email=address,
        name=name.strip(),
        created_at=at,
        password=password,
        is_administrator=is_administrator,
        tint=count % TINTS,
    )
    session.add(staff)
    session.flush()
    record(session, "create", "staff", staff.id, office_id=0, by=by, administrator=is_administrator)
    return staff


def add_member(
    session: Session, *, office_id: int, staff_id: int, role: Role, by: int | None, at: datetime
) -> Membership:
    """Give somebody a seat in an office; raises Conflict when they have one."""
    query = sa.select(Membership.id).where(
        Membership.office_id == office_id, Membership.staff_id == staff_id, Membership.ended_at.is_(None)
    )
    if session.scalar(query) is not None:
        raise Conflict("They belong to this office already.")
    seat = Membership(office_id=office_id, staff_id=staff_id, role=role, began_at=at)
    session.add(seat)
    session.flush()
    record(session, "add_member", "staff", staff_id, office_id=office_id, by=by, role=role.value)
    return seat


def invite(
    session: Session, office: Office, *, email: str, name: str, role: Role, by: int, at: datetime
) -> tuple[Staff, Link | None]:
    """Bring somebody into an office. Who has joined the install already needs no invitation: no link comes back."""
    known = queries.by_email(session, email)
    staff = known or create_staff(session, email=email, name=name, by=by, at=at)
    add_member(session, office_id=office.id, staff_id=staff.id, role=role, by=by, at=at)
    link = None if staff.password is not None else invitation(session, staff, by=by, at=at)
    return staff, link


def change_role(session: Session, seat: Membership, role: Role, *, open_cases: int, by: int, at: datetime) -> None:
    """Another role in an office. Their sessions end, so that it counts at once.

    Raises Conflict for the last councillor, and for a viewer-to-be who still has open cases.
    """
    if role is seat.role:
        return
    if role is Role.VIEWER:
        _must_have_none(open_cases)
    if seat.role is Role.COUNCILLOR:
        _must_not_be_last(session, seat)
    before, seat.role = seat.role, role
    end_sign_ins(session, seat.staff_id, at=at)
    record(
        session,
        "change_role",
        "staff",
        seat.staff_id,
        office_id=seat.office_id,
        by=by,
        role=role.value,
        before=before.value,
    )


def end_membership(session: Session, seat: Membership, *, open_cases: int, by: int, at: datetime) -> None:
    """Somebody leaves an office. Raises Conflict while they have open cases there, and for its last councillor."""
    _must_have_none(open_cases)
    if seat.role is Role.COUNCILLOR:
        _must_not_be_last(session, seat)
    seat.ended_at = at
    end_sign_ins(session, seat.staff_id, at=at)
    record(session, "end_membership", "staff", seat.staff_id, office_id=seat.office_id, by=by, role=seat.role.value)


def block(session: Session, staff: Staff, *, by: int, at: datetime) -> None:
    """Somebody can no longer sign in; their sessions end now. Raises Conflict for the last administrator."""
    if staff.is_administrator and staff.active and queries.administrators(session) == 1:
        raise Conflict("Somebody has to look after this install. Make another person an administrator first.")
    staff.active = False
    end_sign_ins(session, staff.id, at=at)
    record(session, "block", "staff", staff.id, office_id=0, by=by)


def unblock(session: Session, staff: Staff, *, by: int) -> None:
    """Somebody can sign in again."""
    staff.active = True
    record(session, "unblock", "staff", staff.id, office_id=0, by=by)


def set_administrator(session: Session, staff: Staff, *, is_administrator: bool, by: int, at: datetime) -> None:
    """Give somebody the install to look after, or take it from them; raises Conflict for the last one."""
    if staff.is_administrator and not is_administrator and queries.administrators(session) == 1:
        raise Conflict("Somebody has to look after this install. Make another person an administrator first.")
    staff.is_administrator = is_administrator
    end_sign_ins(session, staff.id, at=at)
    record(session, "set_administrator", "staff", staff.id, office_id=0, by=by, administrator=is_administrator)


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """What somebody likes: the language of pages, light or dark, single keys."""

    name: str
    language: str
    theme: str
    single_keys: bool


def set_habits(session: Session, staff: Staff, habits: Habits) -> None:
    """Keep what somebody likes; raises Invalid for a language or theme there is not."""
    if not habits.name.strip() or len(habits.name) > _LONGEST_NAME:
        raise Invalid("Give the name that colleagues will see.", field="name")
    if habits.language not in LANGUAGES:
        raise Invalid("That language is not there yet.", field="language")
    if habits.theme not in THEMES:
        raise Invalid("Choose one of the three.", field="theme")
    staff.name, staff.language, staff.theme = habits.name.strip(), habits.language, habits.theme
    staff.single_keys = habits.single_keys
    session.flush()


def set_single_keys(staff: Staff, *, on: bool) -> None:
    """The one switch that turns single keys off for good (WCAG 2.1.4)."""
    staff.single_keys = on


# ── Signing in ────────────────────────────────────────────────────────────────────────────────────────────────────


def key_for(pepper: str, what: str) -> str:
    """What stands for an address or a machine in the rows of attempts: nobody reads from them who tried what."""
    return hmac.new(pepper.encode(), what.encode(), sha256).hexdigest()


def tried(session: Session, key_hash: str, purpose: str, *, succeeded: bool, at: datetime) -> None:
    """Write a try down, and forget those that no limit looks at any more."""
    session.add(Attempt(key_hash=key_hash, purpose=purpose, made_at=at, succeeded=succeeded))
    session.execute(sa.delete(Attempt).where(Attempt.key_hash == key_hash, Attempt.made_at < at - _FORGOTTEN_AFTER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What tries are counted under: a key of ``key_for``, what was tried, and how many may fail in a row."""

    key_hash: str
    purpose: str
    most: int = queries.TRIES


def passes(session: Session, check: Callable[[], bool], *tallies: Tally, at: datetime) -> bool:
    """Whether a try is right, as ``check`` says; written down under each tally, for the caller to keep in any case.

    Raises Invalid, in the same words for everybody and without asking ``check``, after one too many.
    """
    for tally in tallies:
        _take_turns(session, tally.key_hash)
        _must_not_wait(session, tally, at)
    is_right = check()
    for tally in tallies:
        tried(session, tally.key_hash, tally.purpose, succeeded=is_right, at=at)
    return is_right


def begin_sign_in(session: Session, staff: Staff, *, browser: str, at: datetime) -> str:
    """A new session; its token comes back once and is kept as a hash."""
    token = secrets.token_urlsafe(32)
    session.add(
        SignIn(
            staff_id=staff.id,
            token_hash=queries.hashed(token),
            began_at=at,
            seen_at=at,
            fresh_at=at,
            browser=browser[:120],
        )
    )
    session.flush()
    record(session, "sign_in", "staff", staff.id, office_id=0, by=staff.id)
    return token


def seen(session: Session, sign_in_id: int, at: datetime) -> None:
    """The session is in use."""
    session.execute(sa.update(SignIn).where(SignIn.id == sign_in_id).values(seen_at=at))


def freshen(session: Session, sign_in_id: int, at: datetime) -> None:
    """The password was given again."""
    session.execute(sa.update(SignIn).where(SignIn.id == sign_in_id).values(fresh_at=at))


def choose_office(session: Session, sign_in_id: int, office_id: int | None) -> None:
    """Work for one office until told otherwise; ``None``: for all of them."""
    session.execute(sa.update(SignIn).where(SignIn.id == sign_in_id).values(office_id=office_id))


def end_sign_in(session: Session, staff_id: int, sign_in_id: int, *, at: datetime) -> None:
    """End one session of a person; raises Missing when it is none of theirs."""
    found = session.scalar(sa.select(SignIn).where(SignIn.id == sign_in_id, SignIn.staff_id == staff_id))
    if found is None:
        raise Missing
    found.ended_at = found.ended_at or at
    record(session, "sign_out", "staff", staff_id, office_id=0, by=staff_id)


def end_sign_ins(session: Session, staff_id: int, *, at: datetime, but_not: int | None = None) -> None:
    """End every session of a person, this one kept where it is named."""
    query = sa.update(SignIn).where(SignIn.staff_id == staff_id, SignIn.ended_at.is_(None), SignIn.id != (but_not or 0))
    session.execute(query.values(ended_at=at))


# ── Passwords and links ───────────────────────────────────────────────────────────────────────────────────────────


def set_password(
    session: Session, staff: Staff, password: str, passwords: Passwords, *, by: int | None, at: datetime
) -> None:
    """Another password; raises Invalid when it is easily guessed."""
    staff.password = passwords.hash(password, own_words=(staff.name, staff.email))
    password_changed(session, staff, by=by, at=at)


def password_changed(session: Session, staff: Staff, *, by: int | None, at: datetime) -> None:
    """What ends with a password: every session that was begun with it, and every link."""
    end_sign_ins(session, staff.id, at=at)
    query = sa.update(Link).where(Link.staff_id == staff.id, Link.used_at.is_(None))
    session.execute(query.values(used_at=at))
    record(session, "set_password", "staff", staff.id, office_id=0, by=by)


def invitation(session: Session, staff: Staff, *, by: int | None, at: datetime) -> Link:
    """A new invitation; the earlier ones are good for nothing any more. Raises Conflict for who has joined already."""
    if staff.password is not None:
        raise Conflict(
            "They have joined already. If the password is forgotten, they can ask for a new one when signing in."
        )
    old = sa.update(Link).where(Link.staff_id == staff.id, Link.purpose == Purpose.INVITATION, Link.used_at.is_(None))
    session.execute(old.values(used_at=at))
    link = Link(purpose=Purpose.INVITATION, staff_id=staff.id, made_at=at, ends_at=at + INVITATION_HOLDS, made_by_id=by)
    session.add(link)
    session.flush()
    record(session, "invite", "staff", staff.id, office_id=0, by=by)
    return link


def ask_for_reset(session: Session, email: str, key_hash: str, *, at: datetime) -> None:
    """Have a reset link mailed, if anybody is known by this address; asking takes as long for either.

    The fourth time within an hour nothing is sent; whoever asked is not told.
    """
    _take_turns(session, key_hash)
    asked = queries.tries_since(session, key_hash, "reset", at - timedelta(hours=1))
    tried(session, key_hash, "reset", succeeded=True, at=at)
    if asked >= RESETS_AN_HOUR:
        return
    staff = queries.by_email(session, email)
    known = staff.id if staff is not None and staff.active else None
    link = Link(purpose=Purpose.RESET, staff_id=known, made_at=at, ends_at=at + RESET_HOLDS)
    session.add(link)
    session.flush()
    mail_link(session, link)


def reset_link(session: Session, staff: Staff, *, by: int, at: datetime) -> Link:
    """A reset that an administrator hands on, where mail cannot; the earlier ones are good for nothing any more."""
    old = sa.update(Link).where(Link.staff_id == staff.id, Link.purpose == Purpose.RESET, Link.used_at.is_(None))
    session.execute(old.values(used_at=at))
    link = Link(purpose=Purpose.RESET, staff_id=staff.id, made_at=at, ends_at=at + RESET_HOLDS, made_by_id=by)
    session.add(link)
    session.flush()
    record(session, "reset_link", "staff", staff.id, office_id=0, by=by)
    return link


def mail_link(session: Session, link: Link) -> None:
    """Have a link mailed; its random part is made when the mail is written."""
    jobs.defer(session, jobs.Kind.MAIL_LINK, link.id)


def reveal(link: Link) -> str:
    """Make the random part of a link that is about to be shown or sent; one made earlier is good no more."""
    token = secrets.token_urlsafe(32)
    link.token_hash = queries.hashed(token)
    return token


def follow(session: Session, link: Link, password: str, passwords: Passwords, *, at: datetime) -> Staff:
    """Take up an invitation or a reset with a password of one's own; raises Invalid when it is easily guessed."""
    staff = queries.staff(session, link.staff_id or 0)
    set_password(session, staff, password, passwords, by=staff.id, at=at)
    return staff


# ── The second step ───────────────────────────────────────────────────────────────────────────────────────────────


def turn_on_second_step(session: Session, staff: Staff, secret: str) -> None:
    """Ask for a code from now on: the phone has shown that it can make one of ``secret``, which is sealed."""
    staff.totp_secret = secret
    record(session, "turn_on_second_step", "staff", staff.id, office_id=0, by=staff.id)


def turn_off_second_step(session: Session, staff: Staff, *, by: int, at: datetime) -> None:
    """Signing in takes the password alone again. An administrator may do it for who lost the phone."""
    staff.totp_secret = staff.totp_counter = None
    staff.recovery_codes = []
    if by != staff.id:
        end_sign_ins(session, staff.id, at=at)
    record(session, "turn_off_second_step", "staff", staff.id, office_id=0, by=by)


def set_recovery_codes(session: Session, staff: Staff, codes: Sequence[str]) -> None:
    """Recovery codes, sealed, in place of those before."""
    staff.recovery_codes = list(codes)
    record(session, "new_recovery_codes", "staff", staff.id, office_id=0, by=staff.id)


def hold(session: Session, staff: Staff) -> None:
    """Have their row as it is now, and to oneself until the end of the transaction: what is good once is used once."""
    session.refresh(staff, with_for_update=True)


def use_recovery_code(session: Session, staff: Staff, place: int) -> None:
    """The one at ``place`` of the list was used, and is good for nothing any more."""
    staff.recovery_codes = [code for at, code in enumerate(staff.recovery_codes) if at != place]
    record(session, "use_recovery_code", "staff", staff.id, office_id=0, by=staff.id, left=len(staff.recovery_codes))


def _take_turns(session: Session, key_hash: str) -> None:
    """Until the end of the transaction nobody else tries under this key: each try counts those before it.

    SQLite has one writer as it is. PostgreSQL's lock is for a number, here the key's first 64 bits.
    """
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(bytes.fromhex(key_hash[:16]), signed=True)
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _must_not_wait(session: Session, tally: Tally, at: datetime) -> None:
    until = queries.wait_until(session, tally.key_hash, tally.purpose, at, tries=tally.most)
    if until is not None:
        minutes = max(1, -(-(until - at) // timedelta(minutes=1)))
        raise Invalid(
            "That was tried too often. Try again in %(minutes)s min, or ask for a new password.", minutes=minutes
        )


def _must_have_none(open_cases: int) -> None:
    if open_cases:
        raise Conflict("They still have %(count)s open cases. Give those to somebody else first.", count=open_cases)


def _must_not_be_last(session: Session, seat: Membership) -> None:
    """An office is its councillor: it does not lose the last one by a click."""
    others = sa.select(Membership.id).where(
        Membership.office_id == seat.office_id,
        Membership.role == Role.COUNCILLOR,
        Membership.ended_at.is_(None),
        Membership.id != seat.id,
    )
    if session.scalar(others.limit(1)) is None:
        raise Conflict("An office needs its councillor. Add another one first.")
