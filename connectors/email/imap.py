"""A line to a mailbox over IMAP, and the short questions: which folders, the newest mail, one by its Message-ID.

A mailbox is looked at, never changed, but for the copy of a reply in the folder for sent mail.
"""

from __future__ import annotations

import imaplib
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from imapclient import IMAPClient

from connectors import AuthExpired, ConnectorError, Misconfigured, PermissionMissing, Transient
from connectors._address import trust
from connectors._oauth import Bearer
from connectors.email import consent
from connectors.email.line import be_patient, in_words, no_starttls, open_line
from connectors.email.settings import STARTTLS, Server

T = TypeVar("T")

_PREFIX: Final = re.compile(r"^[\w ]{1,40} (?:failed|error): |^b['\"]")
_CODE: Final = re.compile(r"\[([A-Z-]+)")
# RFC 5530: what a response code means for whoever owns the account.
SERVER_TROUBLE: Final = frozenset(
    {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN", "CORRUPTION", "OVERQUOTA"}
)
_NOT_OURS: Final = frozenset({"NOPERM", "NONEXISTENT", "AUTHORIZATIONFAILED", "TRYCREATE", "CANNOT"})
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


class Client(IMAPClient):  # type: ignore[misc]  # the library publishes no types
    """IMAPClient over the same. ``selections`` counts how often a folder was opened: a walk is of one opening."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._server, self._line = server, line
        self.selections = 0
        super().__init__(server.host, server.port, ssl=False)
        # It sets 5, and imaplib then formats every mail for a log that nobody reads: FETCH takes 5.9 times as long.
        self._imap.debug = 0
        self.normalise_times = False  # aware moments, not the machine's local time

    def _create_IMAP4(self) -> _Imap4:  # noqa: N802 - the library's name
        return _Imap4(self._server, self._line)

    def _set_read_timeout(self) -> None:
        """The usual patience: the library takes it away while it idles."""
        be_patient(self.socket())

    def select_folder(self, folder: str, readonly: bool = False) -> Mapping[bytes, Any]:  # noqa: FBT001, FBT002
        """What the server says of the folder that is open afterwards."""
        self.selections += 1
        found: Mapping[bytes, Any] = super().select_folder(folder, readonly)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    r"""A folder of the account. ``special`` are its attributes, such as ``\junk``, in lower case."""

    name: str
    special: frozenset[str]
    selectable: bool

    def is_a(self, use: str) -> bool:
        """Whether the server says that this is the account's folder for ``use``."""
        return use.lower() in self.special


class Imap:
    """A line to one account's mailbox, kept open between calls and dialled again once when it is found dead."""

    def __init__(self, server: Server, allowed: frozenset[str]) -> None:
        self._server, self._allowed = server, allowed
        self._client: Client | None = None

    # What is asked of a mailbox.

    def folders(self) -> tuple[Folder, ...]:
        """Every folder of the account."""
        return self.run(_folders)

    def newest(self, folder: str) -> tuple[bytes, datetime] | None:
        """The headers of the newest mail and when it arrived; ``None`` where the folder is empty."""
        return self.run(lambda client: _newest(client, folder))

    def find(self, folder: str, message_id: str) -> datetime | None:
        """When the mail of that Message-ID came to lie in the folder; ``None`` where it does not."""
        return self.run(lambda client: _find(client, folder, message_id))

    def file(self, folder: str, message_id: str, content: bytes, at: datetime) -> None:
        """Put a mail that we sent into the folder, read, unless it lies there already."""

        def put(client: Client) -> None:
            if _find(client, folder, message_id) is None:
                client.append(folder, content, (b"\\Seen",), at)

        self.run(put)

    def close(self) -> None:
        """Hang up; never raises."""
        client, self._client = self._client, None
        if client is not None:
            _drop(client, politely=True)

    # The line.

    def run(self, work: Callable[[Client], T]) -> T:
        """What ``work`` finds, on the kept line or, where that has died meanwhile, on a new one."""
        kept = self._client is not None
        try:
            return self.once(work)
        except Transient:
            if not kept or self._client is not None:
                raise
        return self.once(work)

    def once(self, work: Callable[[Client], T]) -> T:
        """What ``work`` finds, every failure as one of the interface's errors; a line in doubt is dropped."""
        try:
            if self._client is None:
                self._client = _signed_in(self._server, self._allowed)
            return work(self._client)
        except imaplib.IMAP4.abort as error:
            self.lose()
            raise Transient(f"“{self._server.host}” hung up{_said(error)}.") from error
        except imaplib.IMAP4.error as error:
            raise refusal(error, self._server) from error
        except OSError as error:
            found, dialled = in_words(error, self._server), self._client is not None
            self.lose()
            raise (Transient(str(found)) if dialled else found) from error
        except _NOT_UNDERSTOOD as error:  # the library's parsers raise all of these on a garbled answer
            self.lose()
            raise Transient(f"An answer of “{self._server.host}” could not be understood.") from error

    def lose(self) -> None:
        """Hang up without a word; never raises."""
        client, self._client = self._client, None
        if client is not None:
            _drop(client, politely=False)


# Opening.


def _signed_in(server: Server, allowed: frozenset[str]) -> Client:
    """A signed-in client over an encrypted line; raises the interface's errors, imaplib's, or OSError."""
    line = open_line(server, allowed)
    try:
        client = Client(server, line)
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


def _encrypt(client: Client, server: Server) -> None:
    """Be encrypted afterwards, or stop."""
    if server.security == STARTTLS:
        if not client.has_capability("STARTTLS"):
            raise no_starttls(server)
        client.starttls(trust())


def _sign_in(client: Client, server: Server) -> None:
    """By a token; or by AUTHENTICATE PLAIN, which takes every character, else by LOGIN. The line is encrypted."""
    bearer = server.bearer
    if bearer is not None:
        consent.present(bearer, lambda token: _show_token(client, server, bearer, token))
        return
    plain = client.has_capability("AUTH=PLAIN")
    if not plain and client.has_capability("LOGINDISABLED"):
        raise Misconfigured(f"“{server.host}” lets nobody sign in with a password.", "imap_host")
    try:
        (client.plain_login if plain else client.login)(server.user, server.password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if code(error) in SERVER_TROUBLE:
            raise Transient(f"“{server.host}” cannot check the password just now{_said(error)}.") from error
        raise AuthExpired(f"“{server.host}” does not accept the user name or the password{_said(error)}.") from error


def _show_token(client: Client, server: Server, bearer: Bearer, token: str) -> None:
    """AUTHENTICATE with an access token; raises AuthExpired where the server does not take it."""
    mechanism = consent.mechanism(lambda name: client.has_capability(f"AUTH={name}"), server)
    messages = iter((consent.token_message(mechanism, server, token),))
    try:
        # The second time it asks, it explains its refusal: only after our last word does it give its verdict.
        client._command_and_check(  # noqa: SLF001 - its own oauth2_login repeats the token instead
            "authenticate", mechanism, lambda _: next(messages, consent.last_word(mechanism))
        )
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if code(error) in SERVER_TROUBLE:
            raise Transient(f"“{server.host}” cannot check the sign-in just now{_said(error)}.") from error
        raise consent.refused(server, bearer.service, _text(error), _said(error)) from error


def _drop(client: Client, *, politely: bool) -> None:
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


def _folders(client: Client) -> tuple[Folder, ...]:
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


def _newest(client: Client, folder: str) -> tuple[bytes, datetime] | None:
    if not client.select_folder(folder, readonly=True).get(b"EXISTS"):
        return None
    uid = max(client.search("*"))
    answer = client.fetch([uid], ["BODY.PEEK[HEADER]", "INTERNALDATE"]).get(uid)
    return (answer[b"BODY[HEADER]"], aware(answer[b"INTERNALDATE"])) if answer else None


def _find(client: Client, folder: str, message_id: str) -> datetime | None:
    client.select_folder(folder, readonly=True)
    for uid in client.search(["HEADER", "Message-ID", message_id]):
        answer = client.fetch([uid], ["INTERNALDATE"]).get(uid)
        if answer:
            return aware(answer[b"INTERNALDATE"])
    return None


def aware(moment: datetime) -> datetime:
    """A moment of the server's in UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


# What a server's refusal means.


def refusal(error: imaplib.IMAP4.error, server: Server) -> ConnectorError:
    """The interface's error for a command that the server refused (NO or BAD)."""
    given = code(error)
    if given in {"AUTHENTICATIONFAILED", "EXPIRED"}:
        return AuthExpired(f"“{server.host}” does not accept the user name or the password any more.")
    if given in _NOT_OURS:
        return PermissionMissing(f"“{server.host}” does not let us do that{_said(error)}.")
    return Transient(f"“{server.host}” could not do it just now{_said(error)}.")


def code(error: BaseException) -> str:
    """The response code (RFC 5530) in what the server said, "" where there is none."""
    found = _CODE.search(_text(error))
    return found[1] if found else ""


def is_the_lines_fault(error: BaseException) -> bool:
    """Whether the line broke, rather than that the server gave an answer (perhaps hanging up after it)."""
    return "socket error" in _text(error)  # imaplib's words for it


def _text(error: BaseException) -> str:
    """What the server said; imaplib passes bytes in some places."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _said(error: BaseException) -> str:
    """The server's own words, in brackets."""
    words = _PREFIX.sub("", " ".join(_text(error).split()))
    words = "".join(c for c in words if c.isprintable()).rstrip(".")
    return f" ({words[:200]})" if words else ""
