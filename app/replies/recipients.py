"""Whom an answer goes to: shown before it is sent, and nobody else.

It goes to the person who is answered, at the address they last wrote from, and never by itself to everybody. A Reply-To
counts where it is known to be theirs; one that nobody here has seen before is shown beside the known address, because
whoever writes in somebody's name can put any address there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.channels.models import Account
from app.errors import Conflict, Invalid
from app.messages.models import Conversation, Direction, Message
from app.people.models import Identity, Person
from connectors import Kind

MOST_COPIES: Final = 20
_LOOKED_AT: Final = 200  # messages of a conversation, the newest ones
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]+\.[^\s@<>()\[\],;:\\\"]{2,}")
# Ends a line, or turns its direction, which nobody sees: no header takes either.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with an address; ``external_id`` is it folded, ``handle`` as it is shown."""

    name: str
    external_id: str
    handle: str

    def row(self) -> list[str]:
        """As replies and messages keep it."""
        return [self.name, self.external_id, self.handle]

    @property
    def written(self) -> str:
        """In one line, as a form sends it back: ``Hester <hester@larkrise.example>``."""
        name = self.name.replace("\\", "").replace('"', "")
        return f'"{name}" <{self.handle}>' if name else self.handle


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressing:
    """Where an answer can go. ``choices`` begin with the usual address; empty where there is nobody to answer.

    ``unseen`` is a Reply-To that is not known to be theirs: the last of the choices. ``others`` were addressed by the
    message that is answered; ``seen`` is everybody who took part in the conversation; ``has_copies``: mail only.
    """

    choices: tuple[Party, ...]
    unseen: Party | None
    others: tuple[Party, ...]
    seen: frozenset[str]
    has_copies: bool

    def chosen(self, to: str) -> Party | None:
        """The choice with that folded address, the usual one for ""; None where there is none."""
        if not to:
            return next(iter(self.choices), None)
        return next((one for one in self.choices if one.external_id == to), None)


def addressing(session: Session, conversation: Conversation) -> Addressing:
    """Whom an answer in ``conversation`` can go to, from what was said in it and what is known of its person."""
    said = session.execute(_SAID, {"conversation_id": conversation.id}).all()
    known = _known(session, conversation)
    own = _own(session, conversation.office_id)
    answered = next((one for one in said if _is_theirs(one, conversation)), None)
    if answered is None:
        usual, unseen = _where_we_wrote(said) or next(iter(known), None), None
    else:
        usual, unseen = _where_to_answer(answered, said, known, own)
    choices = _each_once([*([usual] if usual else []), *known, *([unseen] if unseen else [])])
    at_first = {usual.external_id} if usual else set()
    others = _everybody(answered) if answered is not None else []
    return Addressing(
        choices=tuple(choices),
        unseen=unseen,
        others=tuple(one for one in _each_once(others) if one.external_id not in own | at_first),
        seen=frozenset(_took_part(said)) | {one.external_id for one in known},
        has_copies=conversation.kind is Kind.MAIL,
    )


def resolve(found: Addressing, *, to: str, cc: Sequence[Party]) -> dict[str, list[list[str]]]:
    """The recipients as a reply keeps them.

    Raises Conflict when there is nobody to answer, Invalid for an address that is none of the choices, and for copies
    where the channel has none or of which there are too many.
    """
    if not found.choices:
        raise Conflict("There is nobody here to answer.")
    first = found.chosen(to)
    if first is None:
        raise Invalid("Choose one of the addresses.", field="to")
    copies = [one for one in _each_once(cc) if one.external_id != first.external_id]
    if copies and not found.has_copies:
        raise Invalid("Nobody else can be sent a copy of this.", field="add_cc")
    if len(copies) > MOST_COPIES:
        raise Invalid(
            "Copies to %(most)s people at most: no bulk mail is sent from a case.", field="add_cc", most=MOST_COPIES
        )
    return {"to": [first.row()], "cc": [one.row() for one in copies]}


def parties(typed: Iterable[str], *, field: str = "add_cc") -> tuple[Party, ...]:
    """The people that were typed, as mail programs write them; raises Invalid for what is no address."""
    found = []
    for name, address in getaddresses([_UNFIT.sub(" ", one) for one in typed if one.strip()]):
        if not _ADDRESS.fullmatch(address):
            raise Invalid("“%(address)s” is not an email address.", field=field, address=address or name)
        found.append(Party(" ".join(name.split())[:200], address.lower(), address))
    if not found and any(one.strip() for one in typed):
        raise Invalid("This is not an email address.", field=field)
    return tuple(found)


def kept(rows: Iterable[Sequence[str]]) -> tuple[Party, ...]:
    """People from how rows keep them."""
    return tuple(Party(name, external_id, handle or external_id) for name, external_id, handle in rows)


# Said once: every page of a case asks them, and putting a statement together costs more than running it.
_SAID: Final = (
    sa.select(
        Message.direction,
        Message.person_id,
        Message.author_handle,
        Message.recipients,
        Identity.name,
        Identity.external_id,
        Identity.handle,
    )
    .outerjoin(Identity, Identity.id == Message.identity_id)
    .where(Message.conversation_id == sa.bindparam("conversation_id"))
    .order_by(Message.id.desc())
    .limit(_LOOKED_AT)
)
_KNOWN: Final = (
    sa.select(Identity.name, Identity.external_id, Identity.handle)
    .join(Account, sa.and_(Account.id == sa.bindparam("account_id"), Account.channel == Identity.channel))
    .join(Person, Person.id == Identity.person_id)
    .where(Identity.person_id == sa.bindparam("person_id"), Person.erased_at.is_(None))
    .order_by(Identity.first_seen_at, Identity.id)
)
_OWN: Final = sa.select(Account.own_ids).where(Account.office_id == sa.bindparam("office_id"))


def _known(session: Session, conversation: Conversation) -> list[Party]:
    """The person's addresses on the channel by which the answer goes out, the oldest first."""
    given = {"account_id": conversation.reply_account_id, "person_id": conversation.person_id}
    return [Party(*row) for row in session.execute(_KNOWN, given)]


def _own(session: Session, office_id: int) -> set[str]:
    return {str(one) for some in session.scalars(_OWN, {"office_id": office_id}) for one in some}


def _is_theirs(said: sa.Row[Any], conversation: Conversation) -> bool:
    is_theirs = said.direction is Direction.INBOUND and said.person_id == conversation.person_id
    return is_theirs and said.external_id is not None


def _where_to_answer(
    answered: sa.Row[Any], said: Sequence[sa.Row[Any]], known: Iterable[Party], own: set[str]
) -> tuple[Party, Party | None]:
    """The usual address, and a Reply-To that is not known to be theirs."""
    author = Party(answered.name, answered.external_id, answered.handle)
    wanted = next(iter(kept(answered.recipients.get("reply_to", ()))), None)
    if wanted is None or wanted.external_id in own | {author.external_id} or not wanted.external_id:
        return author, None
    if author.external_id in own:  # a form on a page of ours, which names its visitor in Reply-To
        return wanted, None
    # A Reply-To of an earlier message proves no more than this one: only an author, or whom we answered before, does.
    proven = {one.external_id for one in known} | set(_written_to(said)) | _authors(said, answered.person_id)
    return (wanted, None) if wanted.external_id in proven else (author, wanted)


def _where_we_wrote(said: Iterable[sa.Row[Any]]) -> Party | None:
    ours = (kept(one.recipients.get("to", ())) for one in said if one.direction is Direction.OUTBOUND)
    return next((some[0] for some in ours if some), None)


def _written_to(said: Iterable[sa.Row[Any]]) -> Iterator[str]:
    for one in said:
        if one.direction is Direction.OUTBOUND:
            yield from (party.external_id for party in kept(one.recipients.get("to", ())))


def _authors(said: Iterable[sa.Row[Any]], person_id: int) -> set[str]:
    theirs = (one for one in said if one.direction is Direction.INBOUND and one.person_id == person_id)
    return {one.author_handle.lower() for one in theirs}


def _took_part(said: Iterable[sa.Row[Any]]) -> Iterator[str]:
    for one in said:
        yield one.author_handle.lower()
        yield from (party.external_id for party in _everybody(one))


def _everybody(said: sa.Row[Any]) -> list[Party]:
    return [*kept(said.recipients.get("to", ())), *kept(said.recipients.get("cc", ()))]


def _each_once(parties: Iterable[Party]) -> list[Party]:
    found: dict[str, Party] = {}
    for one in parties:
        if one.external_id:
            found.setdefault(one.external_id, one)
    return list(found.values())
