"""A mailbox over IMAP: looked at, never changed, but for the copy of a reply in the folder for sent mail.

What it costs: STATUS; where something is new EXAMINE, SEARCH, for each page FETCH of sizes and FETCH of bodies, at the
end CLOSE. Folders are opened with EXAMINE and bodies asked for with PEEK, so that nothing is marked as read.
"""

from __future__ import annotations

import imaplib
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from imapclient import IMAPClient

from connectors import (
    AuthExpired,
    Batch,
    Budget,
    ConnectorError,
    Cursor,
    Misconfigured,
    PermissionMissing,
    Raw,
    Transient,
)
from connectors._address import trust
from connectors.email.line import in_words, no_starttls, open_line
from connectors.email.settings import STARTTLS, Server

T = TypeVar("T")

LARGE: Final = 8 * 1024 * 1024  # bytes; a larger mail is fetched alone, in pieces, into a file
PIECE: Final = 1024 * 1024
_VERSION: Final = 1

_PREFIX: Final = re.compile(r"^[\w ]{1,40} (?:failed|error): |^b['\"]")
_CODE: Final = re.compile(r"\[([A-Z-]+)")
# RFC 5530: what a response code means for whoever owns the account.
_SERVER_TROUBLE: Final = frozenset(
    {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN", "CORRUPTION", "OVERQUOTA"}
)
_NOT_OURS: Final = frozenset({"NOPERM", "NONEXISTENT", "AUTHORIZATIONFAILED", "TRYCREATE", "CANNOT"})
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_UNDERSTOOD: Final = (ValueError, LookupError, TypeError, AssertionError, AttributeError)

SENT: Final = "\\Sent"
JUNK: Final = "\\Junk"
# Where a server does not name its special folders (RFC 6154), the names that mail programs give them.
_USUAL_NAMES: Final = {
    SENT: frozenset({"sent", "sent items", "sent mail", "sent messages", "anfonwyd", "eitemau a anfonwyd"}),
    JUNK: frozenset({"junk", "spam", "junk e-mail", "junk email", "bulk mail", "sothach", "e-bost sothach"}),
}


class _Imap4(imaplib.IMAP4):
    """imaplib over a socket of our own making: its address checked and pinned, its certificate checked."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._line = line
        super().__init__(server.host, server.port)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:  # noqa: ARG002 - the library's signature
        return self._line


class _Client(IMAPClient):  # type: ignore[misc]  # the library publishes no types
    """IMAPClient over the same."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._server, self._line = server, line
        super().__init__(server.host, server.port, ssl=False)
        # It sets 5, and imaplib then formats every mail for a log that nobody reads: FETCH takes 5.9 times as long.
        self._imap.debug = 0
        self.normalise_times = False  # aware moments, not the machine's local time

    def _create_IMAP4(self) -> _Imap4:  # noqa: N802 - the library's name
        return _Imap4(self._server, self._line)

    def _set_read_timeout(self) -> None:
        """Ours is set on the socket already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    r"""A folder of the account. ``special`` are its attributes, such as ``\junk``, in lower case."""

    name: str
    special: frozenset[str]
    selectable: bool

    def is_a(self, use: str) -> bool:
        """Whether the server says that this is the account's folder for ``use``."""
        return use.lower() in self.special


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """How far a folder has been read: the last UID under a UIDVALIDITY, and UIDNEXT where the walk is over, else 0.

    What arrived before ``since`` is not wanted, while its UID is below ``until``: it lay there when we first looked.
    """

    uidvalidity: int
    uid: int = 0
    uidnext: int = 0
    since: datetime | None = None
    until: int = 0

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
        )

    def cursor(self) -> Cursor:
        """What is stored."""
        found: dict[str, Any] = {"v": _VERSION, "uidvalidity": self.uidvalidity, "uid": self.uid}
        if self.uidnext:
            found["uidnext"] = self.uidnext
        if self.since:
            found |= {"since": self.since.isoformat(), "until": self.until}
        return found

    def wants(self, uid: int, arrived_at: datetime) -> bool:
        """Whether a mail is recent enough."""
        return self.since is None or uid >= self.until or arrived_at >= self.since

    def at(self, uid: int, uidnext: int = 0) -> Place:
        """The same walk, further on."""
        return Place(uidvalidity=self.uidvalidity, uid=uid, uidnext=uidnext, since=self.since, until=self.until)


@dataclass(slots=True)
class _Walk:
    """A folder that is open, and the UIDs in it that are still to be fetched, oldest first from ``next``."""

    folder: str
    place: Place
    uidnext: int
    uids: Sequence[int]
    next: int = 0
    seen: dict[int, tuple[int, datetime]] = field(default_factory=dict)  # size and arrival of some of them

    @property
    def left(self) -> int:
        return len(self.uids) - self.next

    def goes_on_from(self, folder: str, place: Place | None) -> bool:
        """Whether the next page after ``place`` is the next one of this walk."""
        return self.folder == folder and self.place == place


class Imap:
    """A line to one account's mailbox, kept open between calls and dialled again once when it is found dead."""

    def __init__(self, server: Server, allowed: frozenset[str], spool: Path) -> None:
        self._server, self._allowed, self._spool = server, allowed, spool
        self._client: _Client | None = None
        self._walk: _Walk | None = None

    # What is asked of a mailbox.

    def folders(self) -> tuple[Folder, ...]:
        """Every folder of the account."""
        return self._run(_folders)

    def page(self, folder: str, cursor: Cursor | None, budget: Budget) -> Batch:
        """The next mails of a folder after ``cursor``, in the order of their UIDs."""
        return self._run(lambda client: self._page(client, folder, Place.of(cursor), budget))

    def newest(self, folder: str) -> tuple[bytes, datetime] | None:
        """The headers of the newest mail and when it arrived; ``None`` where the folder is empty."""
        return self._run(lambda client: self._newest(client, folder))

    def find(self, folder: str, message_id: str) -> datetime | None:
        """When the mail of that Message-ID came to lie in the folder; ``None`` where it does not."""
        return self._run(lambda client: self._find(client, folder, message_id))

    def file(self, folder: str, message_id: str, content: bytes, at: datetime) -> None:
        """Put a mail that we sent into the folder, read, unless it lies there already."""

        def put(client: _Client) -> None:
            if self._find(client, folder, message_id) is None:
                client.append(folder, content, (b"\\Seen",), at)

        self._run(put)

    def close(self) -> None:
        """Hang up; never raises."""
        client, self._client, self._walk = self._client, None, None
        if client is not None:
            _drop(client, politely=True)

    # The line.

    def _run(self, work: Callable[[_Client], T]) -> T:
        """What ``work`` finds, on the kept line or, where that has died meanwhile, on a new one."""
        kept = self._client is not None
        try:
            return self._in_words(work)
        except Transient:
            if not kept or self._client is not None:
                raise
        return self._in_words(work)

    def _in_words(self, work: Callable[[_Client], T]) -> T:
        """What ``work`` finds, every failure as one of the interface's errors; a line in doubt is dropped."""
        try:
            if self._client is None:
                self._client = _signed_in(self._server, self._allowed)
            return work(self._client)
        except ConnectorError:
            self._walk = None
            raise
        except imaplib.IMAP4.abort as error:
            self._lose()
            raise Transient(f"“{self._server.host}” hung up{_said(error)}.") from error
        except imaplib.IMAP4.error as error:
            self._walk = None
            raise refusal(error, self._server) from error
        except OSError as error:
            found, dialled = in_words(error, self._server), self._client is not None
            self._lose()
            raise (Transient(str(found)) if dialled else found) from error
        except _NOT_UNDERSTOOD as error:  # the library's parsers raise all of these on a garbled answer
            self._lose()
            raise Transient(f"An answer of “{self._server.host}” could not be understood.") from error

    def _lose(self) -> None:
        client, self._client, self._walk = self._client, None, None
        if client is not None:
            _drop(client, politely=False)

    # Reading.

    def _page(self, client: _Client, folder: str, place: Place | None, budget: Budget) -> Batch:
        walk = self._walk
        if walk is None or not walk.goes_on_from(folder, place):
            self._walk = None
            status = _status(client, folder)
            known = (status.get(b"UIDVALIDITY"), status.get(b"UIDNEXT"))
            if place is not None and place.uidnext and known == (place.uidvalidity, place.uidnext):
                return Batch(raws=(), cursor=place.cursor(), waiting=0)
            walk = self._walk = _begin(client, folder, place, budget.since)
        raws, last = self._next(client, walk, budget)
        walk.place = walk.place.at(last)
        if walk.left:
            return Batch(raws=raws, cursor=walk.place.cursor(), more=True, waiting=walk.left)
        self._walk = None
        client.close_folder()  # opened with EXAMINE, so that this expunges nothing; STATUS is for folders not open
        return Batch(raws=raws, cursor=walk.place.at(last, walk.uidnext).cursor(), waiting=0)

    def _next(self, client: _Client, walk: _Walk, budget: Budget) -> tuple[tuple[Raw, ...], int]:
        """The mails that fit one page, and the last UID that is done with; ``walk`` has moved on when this returns."""
        uids = walk.uids[walk.next : walk.next + max(1, budget.items)]
        walk.seen |= _sizes(client, [uid for uid in uids if uid not in walk.seen])
        chosen: list[int] = []
        size = taken = 0
        for uid in uids:
            known = walk.seen.get(uid)
            if known is not None and walk.place.wants(uid, known[1]):
                alone = known[0] > LARGE
                if chosen and (alone or size + known[0] > budget.size):
                    break
                chosen.append(uid)
                size += known[0]
                if alone:
                    taken += 1
                    break
            taken += 1
        raws = self._raws(client, walk, chosen)
        for uid in uids[:taken]:
            walk.seen.pop(uid, None)
        last = uids[taken - 1] if taken else walk.place.uid
        walk.next += taken
        return raws, last

    def _raws(self, client: _Client, walk: _Walk, uids: list[int]) -> tuple[Raw, ...]:
        """The mails of those UIDs, but for those that were removed meanwhile."""
        if len(uids) == 1 and walk.seen[uids[0]][0] > LARGE:
            bodies: Mapping[int, bytes | Path | None] = {uids[0]: _in_pieces(client, uids[0], self._spool)}
        else:
            answer = client.fetch(uids, ["BODY.PEEK[]"])
            bodies = {uid: _body(found, walk.seen[uid][0]) for uid, found in answer.items() if uid in walk.seen}
        _sure_to_be_gone(client, [uid for uid in uids if bodies.get(uid) is None])
        return tuple(
            Raw(external_id=f"{walk.place.uidvalidity}:{uid}", content=content, arrived_at=walk.seen[uid][1])
            for uid in uids
            if (content := bodies.get(uid)) is not None
        )

    def _newest(self, client: _Client, folder: str) -> tuple[bytes, datetime] | None:
        self._walk = None
        if not client.select_folder(folder, readonly=True).get(b"EXISTS"):
            return None
        uid = max(client.search("*"))
        answer = client.fetch([uid], ["BODY.PEEK[HEADER]", "INTERNALDATE"]).get(uid)
        return (answer[b"BODY[HEADER]"], _aware(answer[b"INTERNALDATE"])) if answer else None

    def _find(self, client: _Client, folder: str, message_id: str) -> datetime | None:
        self._walk = None
        client.select_folder(folder, readonly=True)
        for uid in client.search(["HEADER", "Message-ID", message_id]):
            answer = client.fetch([uid], ["INTERNALDATE"]).get(uid)
            if answer:
                return _aware(answer[b"INTERNALDATE"])
        return None


# Opening.


def _signed_in(server: Server, allowed: frozenset[str]) -> _Client:
    """A signed-in client over an encrypted line; raises the interface's errors, imaplib's, or OSError."""
    line = open_line(server, allowed)
    try:
        client = _Client(server, line)
    except BaseException:
        line.close()
        raise
    try:
        _encrypt(client, server)
        _sign_in(client, server)
    except BaseException:
        _drop(client, politely=False)
        raise
    return client


def _encrypt(client: _Client, server: Server) -> None:
    """Be encrypted afterwards, or stop."""
    if server.security == STARTTLS:
        if not client.has_capability("STARTTLS"):
            raise no_starttls(server)
        client.starttls(trust())


def _sign_in(client: _Client, server: Server) -> None:
    """By AUTHENTICATE PLAIN, which takes every character, else by LOGIN; the line is encrypted by now."""
    plain = client.has_capability("AUTH=PLAIN")
    if not plain and client.has_capability("LOGINDISABLED"):
        raise Misconfigured(f"“{server.host}” lets nobody sign in with a password.", "imap_host")
    try:
        (client.plain_login if plain else client.login)(server.user, server.password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if _code(error) in _SERVER_TROUBLE:
            raise Transient(f"“{server.host}” cannot check the password just now{_said(error)}.") from error
        raise AuthExpired(f"“{server.host}” does not accept the user name or the password{_said(error)}.") from error


def _drop(client: _Client, *, politely: bool) -> None:
    """Hang up, whatever state the line is in."""
    try:
        if politely:
            client.socket().settimeout(5)
            client.logout()
        else:
            client.shutdown()
    except (OSError, imaplib.IMAP4.error, *_NOT_UNDERSTOOD):
        client._imap.file.close()  # noqa: SLF001 - imaplib closes neither when the line is already broken
        client.socket().close()


# Questions to an open mailbox.


def _folders(client: _Client) -> tuple[Folder, ...]:
    found = []
    for flags, _, name in client.list_folders():
        special = frozenset(flag.decode("ascii", "replace").lower() for flag in flags)
        inbox = str(name).upper() == "INBOX"
        selectable = not special & {"\\noselect", "\\nonexistent"}
        found.append(Folder(name="INBOX" if inbox else str(name), special=special, selectable=selectable))
    return tuple(found)


def special(folders: Iterable[Folder], use: str) -> Folder | None:
    """The folder for ``use``: as the server says, else the first with a usual name; ``None`` where neither is."""
    usable = [folder for folder in folders if folder.selectable]
    named = (folder for folder in usable if re.split(r"[/.]", folder.name)[-1].casefold() in _USUAL_NAMES[use])
    return next((folder for folder in usable if folder.is_a(use)), None) or next(named, None)


def _status(client: _Client, folder: str) -> Mapping[bytes, int]:
    """UIDVALIDITY and UIDNEXT of a folder; raises PermissionMissing where it is gone (not every server says so)."""
    try:
        found: Mapping[bytes, int] = client.folder_status(folder, ("UIDVALIDITY", "UIDNEXT"))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if _code(error) in _SERVER_TROUBLE or client.folder_exists(folder):
            raise
        raise PermissionMissing(f"There is no folder “{folder}” in this mailbox any more.") from error
    return found


def _begin(client: _Client, folder: str, place: Place | None, since: datetime | None) -> _Walk:
    """Open a folder and see what lies in it after ``place``; from its start where the server has numbered it anew."""
    opened = client.select_folder(folder, readonly=True)
    uidvalidity, uidnext = int(opened[b"UIDVALIDITY"]), int(opened.get(b"UIDNEXT") or 0)
    if place is None or place.uidvalidity != uidvalidity:
        since = place.since if place is not None else since
        place = Place(uidvalidity=uidvalidity, since=since, until=uidnext if since else 0)
    uids = sorted(uid for uid in _after(client, place) if uid > place.uid) if opened[b"EXISTS"] else []
    return _Walk(folder=folder, place=place, uidnext=uidnext, uids=uids)


def _after(client: _Client, place: Place) -> Iterable[int]:
    """The UIDs after a place, and perhaps the last one before it: "n:*" names the last mail whatever its UID."""
    criteria = f"UID {place.uid + 1}:*"
    if place.since is not None and place.uid + 1 < place.until:
        # SINCE knows days only, in whatever time zone the server likes: ask for a day more, look at the moment later.
        day = (place.since.astimezone(UTC) - timedelta(days=1)).date()
        criteria += f" OR SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year} UID {place.until}:*"
    found: Iterable[int] = client.search(criteria)
    return found


def _sizes(client: _Client, uids: list[int]) -> dict[int, tuple[int, datetime]]:
    """How large each mail is and when it arrived; those that were removed meanwhile are missing."""
    answer = client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
    found = {
        uid: (int(one[b"RFC822.SIZE"]), _aware(one[b"INTERNALDATE"]))
        for uid, one in answer.items()
        if b"RFC822.SIZE" in one and b"INTERNALDATE" in one
    }
    _sure_to_be_gone(client, [uid for uid in uids if uid not in found])
    return found


def _body(answer: Mapping[bytes, Any], size: int) -> bytes | None:
    """A mail's bytes; ``None`` where the server hands out none.

    A mail of no bytes is one as well (a full disk leaves them behind): the office is to see it, once.
    """
    body: bytes | None = answer.get(b"BODY[]")
    return body or (None if size else b"")


def _sure_to_be_gone(client: _Client, uids: list[int]) -> None:
    """Raises Transient where the server did not hand out a mail that it still has: passed over, it would be lost."""
    if uids and set(client.search(f"UID {','.join(map(str, uids))}")) & set(uids):
        raise Transient("The mail server did not hand out a mail that it has.")


def _in_pieces(client: _Client, uid: int, spool: Path) -> Path | None:
    """A large mail in a file of the spool folder, which is then the caller's; ``None`` where the mail is gone.

    The size that the server claims is not relied on: pieces are fetched until one is short.
    """
    path = spool / f"{uuid.uuid4().hex}.eml"
    try:
        with path.open("xb") as file:
            while True:
                answer = client.fetch([uid], [f"BODY.PEEK[]<{file.tell()}.{PIECE}>"]).get(uid, {})
                piece = next((data for key, data in answer.items() if key.startswith(b"BODY[]")), None) or b""
                file.write(piece)
                if len(piece) < PIECE:
                    break
            size = file.tell()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not size:
        path.unlink()
        return None
    return path


def _aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


# What a server's refusal means.


def refusal(error: imaplib.IMAP4.error, server: Server) -> ConnectorError:
    """The interface's error for a command that the server refused (NO or BAD)."""
    code = _code(error)
    if code in {"AUTHENTICATIONFAILED", "EXPIRED"}:
        return AuthExpired(f"“{server.host}” does not accept the user name or the password any more.")
    if code in _NOT_OURS:
        return PermissionMissing(f"“{server.host}” does not let us do that{_said(error)}.")
    return Transient(f"“{server.host}” could not do it just now{_said(error)}.")


def _code(error: BaseException) -> str:
    found = _CODE.search(_text(error))
    return found[1] if found else ""


def _text(error: BaseException) -> str:
    """What the server said; imaplib passes bytes in some places."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _said(error: BaseException) -> str:
    """The server's own words, in brackets."""
    words = _PREFIX.sub("", " ".join(_text(error).split()))
    words = "".join(c for c in words if c.isprintable()).rstrip(".")
    return f" ({words[:200]})" if words else ""
