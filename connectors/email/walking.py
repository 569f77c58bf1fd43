"""One folder, page by page: what lies in it after a place, each mail once, whatever happens to it meanwhile.

What it costs: STATUS; where something is new EXAMINE, SEARCH, for each page FETCH of sizes and FETCH of bodies, at the
end CLOSE. Folders are opened with EXAMINE and bodies asked for with PEEK, so that nothing is marked as read.

Of CONDSTORE (RFC 7162) one number is used, HIGHESTMODSEQ in the STATUS that is asked anyway: it only ever grows, so a
lower one says that the folder was put back to an older state under the same UIDVALIDITY, and UIDs may mean other mails.
QRESYNC would tell of flags and of what vanished, neither of which is anything to an office.
"""

from __future__ import annotations

import imaplib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from connectors import Batch, Budget, Cursor, PermissionMissing, Raw, Transient, Withheld
from connectors.email.imap import SERVER_TROUBLE, Client, Imap, aware, code, is_the_lines_fault

LARGE: Final = 8 * 1024 * 1024  # bytes; a larger mail is fetched alone, in pieces, into a file
PIECE: Final = 1024 * 1024
LARGEST: Final = 512 * 1024 * 1024  # bytes; a server that goes on after that repeats itself
HELD_TRIES: Final = 6  # of a mail that the server lists and does not hand out: over an hour
HELD_AGAIN: Final = timedelta(minutes=12)
HELD_MOST: Final = 20  # mails of one folder; where it is more, the server is in trouble and not the mails
HELD_IN_VAIN: Final = 3  # mails at once, where no other comes instead: the same
HANDS_OUT_NONE: Final = "The mail server does not hand out mails that it has."
NOT_HANDED_OUT: Final = "The server lists this mail but does not hand it out."

_VERSION: Final = 1
_MAILS_ASIDE: Final = SERVER_TROUBLE - {"SERVERBUG", "CONTACTADMIN", "CORRUPTION"}  # no single mail can be to blame
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ANSWERS: Final = "BODY.PEEK[HEADER.FIELDS (IN-REPLY-TO REFERENCES)]"
_ANSWERS_GIVEN: Final = b"BODY[HEADER.FIELDS"


@dataclass(frozen=True, slots=True)
class Held:
    """A mail that the server lists and did not hand out, since when, and how often it was asked."""

    uid: int
    since: datetime
    tries: int = 1

    def is_due(self, at: datetime) -> bool:
        """Whether it is time to ask again: it may cost the line."""
        return at >= self.since + self.tries * HELD_AGAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """How far a folder has been read: the last UID under a UIDVALIDITY, and UIDNEXT where the walk is over, else 0.

    What arrived before ``since`` is not wanted, while its UID is below ``until``: it lay there when we first looked.
    ``modseq`` is the folder's HIGHESTMODSEQ at the end of the last walk, 0 where the server has none. ``held`` are
    mails before ``uid`` that are still to come.
    """

    uidvalidity: int
    uid: int = 0
    uidnext: int = 0
    since: datetime | None = None
    until: int = 0
    modseq: int = 0
    held: tuple[Held, ...] = ()

    @classmethod
    def of(cls, cursor: Cursor | None) -> Self | None:
        """From a stored cursor; ``None`` where there is none, or none that this version understands."""
        if not cursor or cursor.get("v") != _VERSION:
            return None
        since = cursor.get("since")
        return cls(
            uidvalidity=cursor["uidvalidity"],
            uid=cursor["uid"],
            uidnext=cursor.get("uidnext", 0),
            since=datetime.fromisoformat(since) if since else None,
            until=cursor.get("until", 0),
            modseq=cursor.get("modseq", 0),
            held=tuple(Held(uid, datetime.fromisoformat(at), tries) for uid, at, tries in cursor.get("held", ())),
        )

    def cursor(self) -> Cursor:
        """What is stored."""
        found: dict[str, Any] = {"v": _VERSION, "uidvalidity": self.uidvalidity, "uid": self.uid}
        if self.uidnext:
            found["uidnext"] = self.uidnext
        if self.since:
            found |= {"since": self.since.isoformat(), "until": self.until}
        if self.modseq:
            found["modseq"] = self.modseq
        if self.held:
            found["held"] = [[one.uid, one.since.isoformat(), one.tries] for one in self.held]
        return found

    def wants(self, uid: int, arrived_at: datetime) -> bool:
        """Whether a mail is recent enough."""
        return self.since is None or uid >= self.until or arrived_at >= self.since

    def is_at_rest(self, status: Mapping[bytes, int], at: datetime) -> bool:
        """Whether nothing is new in a folder of that status, and nothing held that is to be asked for again."""
        known = (status.get(b"UIDVALIDITY"), status.get(b"UIDNEXT"))
        is_same = known == (self.uidvalidity, self.uidnext) and not self._was_put_back(status)
        return is_same and not any(one.is_due(at) for one in self.held)

    def is_of(self, status: Mapping[bytes, int]) -> bool:
        """Whether the UIDs before this place still mean the mails that were read: else all is read from the start."""
        return status.get(b"UIDVALIDITY") == self.uidvalidity and not self._was_put_back(status)

    def _was_put_back(self, status: Mapping[bytes, int]) -> bool:
        """Whether numbers that only grow have shrunk: a backup was restored, or the folder made again."""
        uidnext, modseq = status.get(b"UIDNEXT"), status.get(b"HIGHESTMODSEQ")
        return (uidnext is not None and uidnext < self.uidnext) or (modseq is not None and modseq < self.modseq)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ask:
    """Which page is wanted. ``refused`` are UIDs over which the server has given up just now."""

    folder: str
    place: Place | None
    budget: Budget
    refused: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What is known of a mail before it is fetched."""

    size: int
    arrived_at: datetime
    answers: bool = True  # whether it answers something, where that is asked for


@dataclass(slots=True)
class _Walk:
    """A folder that is open, and the UIDs in it that are still to be fetched, oldest first from ``next``."""

    client: Client
    selection: int
    folder: str
    place: Place
    uidnext: int
    modseq: int
    uids: Sequence[int]
    next: int = 0
    seen: dict[int, _Seen] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.uids) - self.next

    def goes_on_from(self, client: Client, folder: str, place: Place | None) -> bool:
        """Whether the next page after ``place`` is the next one of this walk, its folder still being open."""
        same = self.client is client and self.selection == client.selections
        return same and self.folder == folder and self.place == place


class _Stumbled(Exception):  # noqa: N818 - a finding
    """The server itself gave up, perhaps hanging up as well, when it was asked for these mails."""

    def __init__(self, uids: Sequence[int]) -> None:
        super().__init__()
        self.uids = uids


class Folders:
    """The folders of one account, walked over its line."""

    def __init__(self, imap: Imap, spool: Path, now: Callable[[], datetime]) -> None:
        self._imap, self._spool, self._now = imap, spool, now
        self._walk: _Walk | None = None

    def page(self, folder: str, cursor: Cursor | None, budget: Budget) -> Batch:
        """The next mails of a folder after ``cursor``, in the order of their UIDs.

        A mail that the server lists but does not hand out holds up no other: it is asked for again, and after an hour
        comes as withheld. Where the server gives up over a page (Dovecot hangs up when it cannot open one file), half
        as many are asked for, until it is one mail that is to blame.
        """
        before = Place.of(cursor)
        refused: set[int] = set()
        withheld: tuple[Withheld, ...] = ()
        left = budget
        while True:
            walk, self._walk = self._walk, None  # it goes on only when the page has come
            ask = _Ask(folder=folder, place=Place.of(cursor), budget=left, refused=frozenset(refused))
            try:
                batch, self._walk = self._imap.run(lambda client: self._page(client, walk, ask))  # noqa: B023
            except _Stumbled as stumble:
                self._imap.lose()
                refused |= set(stumble.uids) if len(stumble.uids) == 1 else set()
                left = replace(left, items=max(1, len(stumble.uids) // 2))
                continue
            withheld += batch.withheld
            if batch.raws or not _is_in_vain(before, batch) or not batch.more:
                return replace(batch, withheld=withheld)
            cursor = batch.cursor  # is it these mails, or does the server hand out none at all?

    def one(self, folder: str, external_id: str) -> Raw | None:
        """One mail once more; ``None`` where it is gone, Transient where it is still not handed out."""
        uidvalidity, _, uid = external_id.partition(":")
        try:
            return self._imap.run(lambda client: self._one(client, folder, int(uidvalidity), int(uid)))
        except _Stumbled as stumble:
            self._imap.lose()
            raise Transient(NOT_HANDED_OUT) from stumble

    def _page(self, client: Client, walk: _Walk | None, ask: _Ask) -> tuple[Batch, _Walk | None]:
        place = ask.place
        if walk is None or not walk.goes_on_from(client, ask.folder, place):
            status, at = _status(client, ask.folder), self._now()
            if place is not None and place.is_at_rest(status, at):
                return Batch(raws=(), cursor=place.cursor(), waiting=0), None
            walk = _begin(client, ask, status, at)
        first = walk.next
        raws, missing = self._next(client, walk, ask)
        withheld = self._hold(walk, walk.uids[first : walk.next], missing, raws)
        if walk.left:
            return Batch(raws=raws, withheld=withheld, cursor=walk.place.cursor(), more=True, waiting=walk.left), walk
        client.close_folder()  # opened with EXAMINE, so that this expunges nothing; STATUS is for folders not open
        end = replace(walk.place, uidnext=walk.uidnext, modseq=walk.modseq)
        return Batch(raws=raws, withheld=withheld, cursor=end.cursor(), waiting=0), None

    def _next(self, client: Client, walk: _Walk, ask: _Ask) -> tuple[tuple[Raw, ...], set[int]]:
        """The mails that fit one page, and the UIDs that were not handed out; ``walk`` has moved on afterwards."""
        budget = ask.budget
        uids = walk.uids[walk.next : walk.next + max(1, budget.items)]
        unknown = [uid for uid in uids if uid not in walk.seen and uid not in ask.refused]
        walk.seen |= _looked_at(client, unknown, answers_only=budget.answers_only)
        missing = _still_listed(client, [uid for uid in uids if uid not in walk.seen])
        chosen: list[int] = []
        size = taken = 0
        for uid in uids:
            known = walk.seen.get(uid)
            if known is not None and known.answers and walk.place.wants(uid, known.arrived_at):
                alone = known.size > LARGE
                if chosen and (alone or size + known.size > budget.size):
                    break
                chosen.append(uid)
                size += known.size
                if alone:
                    taken += 1
                    break
            taken += 1
        raws, more_missing = self._raws(client, walk, chosen)
        for uid in uids[:taken]:
            walk.seen.pop(uid, None)
        walk.next += taken
        walk.place = replace(walk.place, uid=max([walk.place.uid, *uids[:taken]]), uidnext=0)
        return raws, (missing & set(uids[:taken])) | more_missing

    def _raws(self, client: Client, walk: _Walk, uids: list[int]) -> tuple[tuple[Raw, ...], set[int]]:
        """The mails of those UIDs, and which of them the server did not hand out although it has them."""
        sizes = {uid: walk.seen[uid].size for uid in uids}
        bodies = _bodies(client, sizes, self._spool)
        raws = tuple(
            Raw(
                external_id=f"{walk.place.uidvalidity}:{uid}",
                content=content,
                arrived_at=walk.seen[uid].arrived_at,
            )
            for uid in uids
            if (content := bodies.get(uid)) is not None
        )
        return raws, _still_listed(client, [uid for uid in uids if bodies.get(uid) is None])

    def _hold(
        self, walk: _Walk, asked: Sequence[int], missing: set[int], raws: tuple[Raw, ...]
    ) -> tuple[Withheld, ...]:
        """Have ``walk`` hold back what is missing of what was asked for; what it has been long enough, given up now."""
        at = self._now()
        before = {one.uid: one for one in walk.place.held}
        again = [before[uid] if uid in before else Held(uid, at, 0) for uid in sorted(missing)]
        again = [replace(one, tries=one.tries + 1) for one in again]
        given_up = {one.uid for one in again if one.tries >= HELD_TRIES}
        held = [one for one in walk.place.held if one.uid not in asked] + again  # the rest has come now, or is gone
        walk.place = replace(walk.place, held=tuple(one for one in held if one.uid not in given_up))
        if len(walk.place.held) > HELD_MOST:
            _forget(raws)
            raise Transient(HANDS_OUT_NONE)
        validity = walk.place.uidvalidity
        return tuple(Withheld(external_id=f"{validity}:{uid}", reason=NOT_HANDED_OUT) for uid in sorted(given_up))

    def _one(self, client: Client, folder: str, uidvalidity: int, uid: int) -> Raw | None:
        opened = client.select_folder(folder, readonly=True)
        if int(opened[b"UIDVALIDITY"]) != uidvalidity:
            return None  # numbered anew since, and then read from its start
        seen = _looked_at(client, [uid], answers_only=False)
        content = _bodies(client, {uid: seen[uid].size}, self._spool).get(uid) if uid in seen else None
        if content is None:
            if _still_listed(client, [uid]):
                raise Transient(NOT_HANDED_OUT)
            return None
        return Raw(external_id=f"{uidvalidity}:{uid}", content=content, arrived_at=seen[uid].arrived_at)


def _is_in_vain(before: Place | None, batch: Batch) -> bool:
    """Whether a page that brings nothing holds mails back; raises Transient where that is all that it does.

    A server that hands out none of several mails is in trouble itself, and that is to be seen at once.
    """
    after = Place.of(batch.cursor)
    held = (len(after.held) if after else 0) - (len(before.held) if before else 0)
    if not batch.raws and held > HELD_IN_VAIN:
        raise Transient(HANDS_OUT_NONE)
    return held > 0


def _status(client: Client, folder: str) -> Mapping[bytes, int]:
    """UIDVALIDITY, UIDNEXT and perhaps HIGHESTMODSEQ of a folder.

    Raises PermissionMissing where it is gone (not every server says so).
    """
    wanted = ("UIDVALIDITY", "UIDNEXT", *(["HIGHESTMODSEQ"] if client.has_capability("CONDSTORE") else []))
    try:
        found: Mapping[bytes, int] = client.folder_status(folder, wanted)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if code(error) in SERVER_TROUBLE or client.folder_exists(folder):
            raise
        raise PermissionMissing(f"There is no folder “{folder}” in this mailbox any more.") from error
    return found


def _begin(client: Client, ask: _Ask, status: Mapping[bytes, int], at: datetime) -> _Walk:
    """Open a folder and see what lies in it after a place; from its start where its numbers mean other mails now."""
    place, since = ask.place, ask.budget.since
    opened = client.select_folder(ask.folder, readonly=True)
    uidvalidity, uidnext = int(opened[b"UIDVALIDITY"]), int(opened.get(b"UIDNEXT") or 0)
    if place is None or place.uidvalidity != uidvalidity or not place.is_of(status):
        since = place.since if place is not None else since
        place = Place(uidvalidity=uidvalidity, since=since, until=uidnext if since else 0)
    new = {uid for uid in _after(client, place) if uid > place.uid} if opened[b"EXISTS"] else set()
    return _Walk(
        client=client,
        selection=client.selections,
        folder=ask.folder,
        place=place,
        uidnext=uidnext,
        modseq=status.get(b"HIGHESTMODSEQ", 0),
        uids=sorted(new | {one.uid for one in place.held if one.is_due(at)}),
    )


def _after(client: Client, place: Place) -> Iterable[int]:
    """The UIDs after a place, and perhaps the last one before it: "n:*" names the last mail whatever its UID."""
    criteria = f"UID {place.uid + 1}:*"
    if place.since is not None and place.uid + 1 < place.until:
        # SINCE knows days only, in whatever time zone the server likes: ask for a day more, look at the moment later.
        day = (place.since.astimezone(UTC) - timedelta(days=1)).date()
        criteria += f" OR SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year} UID {place.until}:*"
    found: Iterable[int] = client.search(criteria)
    return found


def _fetch(client: Client, uids: Sequence[int], what: list[str]) -> Mapping[int, Mapping[bytes, Any]]:
    """What the server says of these mails; raises _Stumbled where it says, in whatever way, that it cannot."""
    try:
        found: Mapping[int, Mapping[bytes, Any]] = client.fetch(uids, what)
    except imaplib.IMAP4.error as error:
        if is_the_lines_fault(error) or code(error) in _MAILS_ASIDE:
            raise
        raise _Stumbled(uids) from error
    return found


def _looked_at(client: Client, uids: list[int], *, answers_only: bool) -> dict[int, _Seen]:
    """Each mail's size and arrival, and whether it answers anything; without those that were not handed out."""
    if not uids:
        return {}
    asked = ["RFC822.SIZE", "INTERNALDATE", *([_ANSWERS] if answers_only else [])]
    return {
        uid: _Seen(
            size=int(one[b"RFC822.SIZE"]),
            arrived_at=aware(one[b"INTERNALDATE"]),
            answers=not answers_only or _is_an_answer(one),
        )
        for uid, one in _fetch(client, uids, asked).items()
        if b"RFC822.SIZE" in one and b"INTERNALDATE" in one
    }


def _is_an_answer(fetched: Mapping[bytes, Any]) -> bool:
    headers = (value for key, value in fetched.items() if key.startswith(_ANSWERS_GIVEN))
    return any(header and b"<" in header for header in headers)


def _bodies(client: Client, sizes: Mapping[int, int], spool: Path) -> Mapping[int, bytes | Path | None]:
    """The mails of those UIDs: a single large one in a file, which is then the caller's."""
    uids = list(sizes)
    if not uids:
        return {}
    if len(uids) == 1 and sizes[uids[0]] > LARGE:
        return {uids[0]: _in_pieces(client, uids[0], spool)}
    answer = _fetch(client, uids, ["BODY.PEEK[]"])
    return {uid: _body(found, sizes[uid]) for uid, found in answer.items() if uid in sizes}


def _body(answer: Mapping[bytes, Any], size: int) -> bytes | None:
    """A mail's bytes; ``None`` where the server hands out none.

    A mail of no bytes is one as well (a full disk leaves them behind): the office is to see it, once.
    """
    body: bytes | None = answer.get(b"BODY[]")
    return body or (None if size else b"")


def _still_listed(client: Client, uids: list[int]) -> set[int]:
    """Those of ``uids`` that the folder still has: passed over, they would be lost."""
    return set(client.search(f"UID {','.join(map(str, uids))}")) & set(uids) if uids else set()


def _in_pieces(client: Client, uid: int, spool: Path) -> Path | None:
    """A large mail in a file of the spool folder, which is then the caller's; ``None`` where the mail is gone.

    The size that the server claims is not relied on: pieces are fetched until one is short.
    """
    path = spool / f"{uuid.uuid4().hex}.eml"
    try:
        with path.open("xb") as file:
            while len(piece := _piece(client, uid, file.tell())) >= PIECE:
                file.write(piece)
            file.write(piece)
            size = file.tell()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not size:
        path.unlink()
        return None
    return path


def _piece(client: Client, uid: int, at: int) -> bytes:
    """What a mail holds from there on, ``PIECE`` bytes of it; raises Transient beyond ``LARGEST``."""
    if at > LARGEST:
        raise Transient("The mail server hands out a mail without end.")
    answer = _fetch(client, [uid], [f"BODY.PEEK[]<{at}.{PIECE}>"]).get(uid, {})
    return next((data for key, data in answer.items() if key.startswith(b"BODY[]")), None) or b""


def _forget(raws: Iterable[Raw]) -> None:
    """Files that nobody will ask for."""
    for raw in raws:
        if isinstance(raw.content, Path):
            raw.content.unlink(missing_ok=True)
