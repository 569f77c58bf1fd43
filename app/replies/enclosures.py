"""Files that go with a reply. They belong to the draft until it is sent, and come back to it when it is taken back."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Invalid, Missing
from app.messages.models import File
from app.messages.sanitise import media_type
from app.replies.models import Draft, Enclosure, Reply
from app.store import Store

MOST_BYTES: Final = 24_000_000  # together: few mail servers take more, whatever the first of them says
MOST_FILES: Final = 30
_NAME_MOST: Final = 200
_NOT_IN_A_NAME: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a browser sent it."""

    name: str
    content: bytes


def room(largest: int) -> int:
    """How many bytes of files fit into a message of ``largest`` bytes: mail carries three bytes as four, in lines."""
    return max(min(largest * 73 // 100 - 200_000, MOST_BYTES), 0)


def add(session: Session, store: Store, draft: Draft, uploads: Sequence[Upload], *, most: int) -> None:
    """Put files to a draft. Those that fit are kept; raises Invalid, which names the first that does not."""
    if most <= 0:
        raise Invalid("No files can be sent on this channel.", field="file")
    held = of_draft(session, draft.id)
    size, count = sum(one.size for one in held), len(held)
    refused = [one for one in uploads if not one.content]
    for upload in uploads:
        if size + len(upload.content) > most or count >= MOST_FILES:
            refused.append(upload)
        elif upload.content:
            size, count = size + len(upload.content), count + 1
            session.add(_kept(store, draft, upload))
    session.flush()
    if refused:
        raise _refusal(refused[0], most, count)


def borrow(session: Session, draft: Draft, files: Collection[File]) -> None:
    """Put files that came with messages of the office to a draft; their bytes are in the store already."""
    for file in files:
        session.add(
            Enclosure(
                office_id=draft.office_id,
                draft_id=draft.id,
                name=_name(file.name),
                media_type=file.media_type,
                size=file.size,
                sha256=file.sha256,
            )
        )
    session.flush()


def remove(session: Session, enclosure: Enclosure) -> None:
    """Take a file away; its bytes go with the next sweep where nothing else names them."""
    session.delete(enclosure)
    session.flush()


def drop(session: Session, draft: Draft) -> None:
    """Take all away."""
    session.execute(sa.delete(Enclosure).where(Enclosure.draft_id == draft.id))


def send_along(session: Session, draft: Draft, reply: Reply) -> None:
    """The draft is being sent: its files are the reply's."""
    session.execute(sa.update(Enclosure).where(Enclosure.draft_id == draft.id).values(draft_id=None, reply_id=reply.id))


def give_back(session: Session, reply: Reply, draft: Draft) -> None:
    """The reply was taken back: its files are the draft's, beside those that were put there meanwhile."""
    session.execute(sa.update(Enclosure).where(Enclosure.reply_id == reply.id).values(draft_id=draft.id, reply_id=None))


def of_draft(session: Session, draft_id: int) -> list[Enclosure]:
    """The files of a draft, in the order in which they were put there."""
    return list(session.scalars(sa.select(Enclosure).where(Enclosure.draft_id == draft_id).order_by(Enclosure.id)))


def of_reply(session: Session, reply_id: int) -> list[Enclosure]:
    """The files of a reply."""
    return list(session.scalars(sa.select(Enclosure).where(Enclosure.reply_id == reply_id).order_by(Enclosure.id)))


def enclosure(session: Session, enclosure_id: int, offices: Collection[int]) -> Enclosure:
    """A file of a draft or reply of one of ``offices``; raises Missing otherwise."""
    found = session.get(Enclosure, enclosure_id)
    if found is None or found.office_id not in offices:
        raise Missing
    return found


def own(session: Session, enclosure_id: int, staff_id: int) -> tuple[Enclosure, Draft]:
    """A file of somebody's own draft, and the draft; raises Missing for anything else."""
    query = sa.select(Enclosure, Draft).join(Draft, Draft.id == Enclosure.draft_id)
    found = session.execute(query.where(Enclosure.id == enclosure_id, Draft.staff_id == staff_id)).one_or_none()
    if found is None:
        raise Missing
    return found[0], found[1]


def _kept(store: Store, draft: Draft, upload: Upload) -> Enclosure:
    """The row of a file whose bytes are in the store by then."""
    return Enclosure(
        office_id=draft.office_id,
        draft_id=draft.id,
        name=_name(upload.name),
        media_type=media_type(upload.content),
        size=len(upload.content),
        sha256=store.put(draft.office_id, upload.content),
    )


def _name(given: str) -> str:
    """The name alone, of whatever path a browser sent, fit to be shown."""
    name = _NOT_IN_A_NAME.sub(" ", given.replace("\\", "/").rpartition("/")[2]).strip()
    stem, dot, ending = name.rpartition(".")
    if len(name) > _NAME_MOST and dot:
        name = f"{stem[: _NAME_MOST - len(ending) - 1]}.{ending}"[:_NAME_MOST]
    return name[:_NAME_MOST] or "file"


def _refusal(upload: Upload, most: int, count: int) -> Invalid:
    if not upload.content:
        return Invalid("“%(name)s” is empty, so it was not attached.", field="file", name=_name(upload.name))
    if count >= MOST_FILES:
        return Invalid("%(most)s files at most go with one message.", field="file", most=MOST_FILES)
    return Invalid(
        "“%(name)s” does not fit: this account sends %(most).1f MB of files with one message. Make it smaller, send it "
        "in a second message, or write where it can be found.",
        field="file",
        name=_name(upload.name),
        most=most / 1024**2,
    )
