"""One mailbox: read over IMAP, answered over SMTP."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, TypeVar

from connectors import (
    UNKNOWABLE,
    Actor,
    Batch,
    Budget,
    Checked,
    Cursor,
    Draft,
    Host,
    Misconfigured,
    PermissionMissing,
    Prepared,
    Raw,
    Receipt,
    StreamSpec,
    Transient,
    Unknowable,
)
from connectors.email import submission, writing
from connectors.email.addresses import actors
from connectors.email.idle import Ears
from connectors.email.imap import JUNK, SENT, Folder, Imap, special
from connectors.email.settings import Settings
from connectors.email.structure import first, head
from connectors.email.text import decode_header
from connectors.email.walking import Folders

T = TypeVar("T")

_INBOX: Final = "INBOX"
_INBOX_INTERVAL: Final = timedelta(minutes=1)  # one STATUS on a line that stays open
_INTERVAL: Final = timedelta(minutes=5)
_NAMED_AT_MOST: Final = 12


class Mailbox:
    """A :class:`~connectors.Connection` that also files copies, listens, and fetches again what was withheld."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._host = settings, host
        self._imap = Imap(settings.imap, host.allowed_hosts)
        self._folders = Folders(self._imap, host.spool, host.now)
        self._ears = Ears(settings.imap, host.allowed_hosts)
        self._sent: str | None = None  # the folder for sent mail, once looked for; "" where there is none

    def check(self) -> Checked:
        """Sign in on both servers, look at every folder and read the newest mail; nothing is sent or changed."""
        folders = self._imap.folders()
        sent = self._sent_among(folders)
        if self._settings.sent_folder and not sent:
            raise Misconfigured(_no_such_folder(self._settings.sent_folder, folders), "sent_folder")
        streams = self._streams(folders, sent)
        newest = ""
        for stream in streams:
            found = self._imap.newest(stream.key)
            newest = newest or (_described(*found) if found and not (stream.junk or stream.ours) else "")
        largest = submission.try_out(self._settings.smtp, self._host.allowed_hosts, self._settings.address)
        warnings = () if sent else ("There is no folder for sent mail: copies of replies are kept in Postbag only.",)
        return Checked(identity=self._identity(), streams=streams, newest=newest, warnings=warnings, largest=largest)

    def fetch(self, stream: str, cursor: Cursor | None, budget: Budget) -> Batch:
        """The next mails of a folder, by UID; one larger than 8 MB comes alone, in a file that is then the caller's."""
        return _nobodys_fault(lambda: self._folders.page(stream, cursor, budget))

    def again(self, stream: str, external_id: str) -> Raw | None:
        """One mail by its UIDVALIDITY and UID; a large one in a file that is then the caller's."""
        return _nobodys_fault(lambda: self._folders.one(stream, external_id))

    def wait(self, streams: Collection[str], seconds: float) -> frozenset[str]:
        """The folders in which mail came; each is listened to on a line of its own (IDLE)."""
        return _nobodys_fault(lambda: self._ears.wait(streams, seconds))

    def prepare(self, draft: Draft) -> Prepared:
        """The whole mail with its Message-ID; raises Refused."""
        return writing.prepare(draft, self._host.id_key)

    def send(self, prepared: Prepared) -> Receipt:
        """One submission to all recipients or none; raises Ambiguous where the server's last word did not come."""
        _nobodys_fault(lambda: submission.deliver(self._settings.smtp, self._host.allowed_hosts, prepared))
        return Receipt(platform_id=prepared.platform_id, accepted_at=self._host.now())

    def probe(self, prepared: Prepared) -> Receipt | Unknowable | None:
        """A receipt where the mail lies in the Sent folder; otherwise nobody can know."""
        found = _nobodys_fault(lambda: self._filed_at(prepared.platform_id))
        return Receipt(platform_id=prepared.platform_id, accepted_at=found) if found else UNKNOWABLE

    def file_copy(self, prepared: Prepared) -> bool:
        """A copy, marked as read, in the Sent folder, unless the server files its own or it lies there already."""
        if self._settings.server_files_copies:
            return True
        return _nobodys_fault(lambda: self._file(prepared))

    def close(self) -> None:
        """Hang up; never raises."""
        self._ears.close()
        self._imap.close()

    def _identity(self) -> Actor:
        address = self._settings.address
        return Actor(external_id=address.lower(), name=self._settings.name, handle=address)

    def _streams(self, folders: tuple[Folder, ...], sent: str) -> tuple[StreamSpec, ...]:
        """The folders that are wanted, each of which must be there, and the one for sent mail; raises Misconfigured."""
        by_name = {folder.name: folder for folder in folders if folder.selectable}
        junk = special(folders, JUNK)
        wanted = self._settings.folders or (_INBOX, *([junk.name] if junk else []))
        for name in wanted:
            if name not in by_name:
                raise Misconfigured(_no_such_folder(name, folders), "folders")
        wanted = tuple(dict.fromkeys((*wanted, *([sent] if sent else []))))
        return tuple(
            StreamSpec(
                key=name,
                name="Inbox" if name == _INBOX else name,
                interval=_INBOX_INTERVAL if name == _INBOX else _INTERVAL,
                junk=by_name[name] == junk,
                ours=name == sent,
            )
            for name in wanted
        )

    def _sent_among(self, folders: tuple[Folder, ...]) -> str:
        """The folder for sent mail, empty where there is none: as set, else as the server says."""
        if self._settings.sent_folder:
            return next((one.name for one in folders if one.name == self._settings.sent_folder), "")
        found = special(folders, SENT)
        return found.name if found else ""

    def _sent_folder(self) -> str:
        if self._sent is None:
            self._sent = self._sent_among(self._imap.folders())
        return self._sent

    def _filed_at(self, message_id: str) -> datetime | None:
        folder = self._sent_folder()
        return self._imap.find(folder, message_id) if folder else None

    def _file(self, prepared: Prepared) -> bool:
        folder = self._sent_folder()
        if not folder:
            return False
        try:
            self._imap.file(folder, prepared.platform_id, prepared.payload, self._host.now())
        except PermissionMissing:
            self._sent = None  # renamed or removed: look for it again next time
            raise
        return True


def _nobodys_fault(work: Callable[[], T]) -> T:
    """What ``work`` comes to, a wrong setting raised as Transient.

    Settings that were tried and right do not become wrong: a name that cannot be looked up or a certificate that has
    expired is by then the server's trouble, and is tried again.
    """
    try:
        return work()
    except Misconfigured as error:
        raise Transient(str(error)) from error


def _no_such_folder(name: str, folders: tuple[Folder, ...]) -> str:
    names = [folder.name for folder in folders if folder.selectable]
    listed = ", ".join(names[:_NAMED_AT_MOST]) + (" …" if len(names) > _NAMED_AT_MOST else "")
    return f"There is no folder “{name}” in this mailbox. It has: {listed}."


def _described(header: bytes, arrived_at: datetime) -> str:
    """One mail in a line: Brown bin, from Hester, Thu 2 Apr."""
    headers, _ = head(header, 0, len(header))
    subject = decode_header(first(headers, "subject")) or "(no subject)"
    author = next(iter(actors(first(headers, "from"))), None)
    by = f", from {author.name or author.handle}" if author else ""
    return f"{subject[:100]}{by[:100]}, {arrived_at:%a} {arrived_at.day} {arrived_at:%b}"
