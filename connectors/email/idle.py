"""Hearing of new mail as it comes (IMAP IDLE, RFC 2177): a line of its own for each folder.

    dial ─→ EXAMINE ─→ IDLE ─every 5 minutes─→ DONE ─→ IDLE …

RFC 2177 lets a server hang up after 29 minutes. Long before, DONE has to be answered within seconds: a line on which
news no longer comes looks just like one without news.
"""

from __future__ import annotations

import imaplib
import select
from collections.abc import Collection, Sequence
from time import monotonic
from typing import Any, Final

from connectors import PermissionMissing
from connectors.email.imap import Client, Imap
from connectors.email.line import be_patient, keep_alive
from connectors.email.settings import Server

RENEW_SECONDS: Final = 5 * 60.0
ANSWER_SECONDS: Final = 10.0


class Ears:
    """The folders of one account that are listened to."""

    def __init__(self, server: Server, allowed: frozenset[str]) -> None:
        self._server, self._allowed = server, allowed
        self._ears: dict[str, _Ear] = {}

    def wait(self, folders: Collection[str], seconds: float) -> frozenset[str]:
        """See :class:`~connectors.Listens`: the folders in which mail came, and those listened to from now on."""
        until = monotonic() + seconds
        self._listen_only_to(folders)
        heard = {folder for folder in folders if self._begin(folder)}
        while not heard and (left := until - monotonic()) > 0:
            heard = self._heard(min(left, *(ear.rests() for ear in self._ears.values())))
        return frozenset(heard)

    def close(self) -> None:
        """Hang up; never raises."""
        self._listen_only_to(())

    def _listen_only_to(self, folders: Collection[str]) -> None:
        for folder in set(self._ears) - set(folders):
            self._ears.pop(folder).close()

    def _begin(self, folder: str) -> bool:
        """Whether listening to a folder began just now."""
        if folder in self._ears:
            return False
        ear = _Ear(Imap(self._server, self._allowed), folder)
        try:
            ear.begin()
        except BaseException:
            ear.close()
            raise
        self._ears[folder] = ear
        return True

    def _heard(self, seconds: float) -> set[str]:
        """The folders in which mail came within ``seconds``; raises where a line has died, which is then hung up."""
        poll = select.poll()
        by_file = {ear.file(): folder for folder, ear in self._ears.items()}
        for file in by_file:
            poll.register(file, select.POLLIN)
        spoke = {by_file[file] for file, _ in poll.poll(max(0.0, seconds) * 1_000)}
        return {folder for folder in list(self._ears) if self._has_news(folder, spoke=folder in spoke)}

    def _has_news(self, folder: str, *, spoke: bool) -> bool:
        ear = self._ears[folder]
        try:
            return (spoke and ear.has_news()) or (ear.rests() <= 0 and ear.renew())
        except BaseException:
            del self._ears[folder]
            ear.close()
            raise


class _Ear:
    """One folder on a line that idles."""

    def __init__(self, imap: Imap, folder: str) -> None:
        self._imap, self._folder = imap, folder
        self._renew_at = 0.0

    def begin(self) -> None:
        """Open the folder and idle."""
        self._imap.once(self._begin)

    def file(self) -> int:
        """The number under which the operating system knows the line."""
        return self._imap.once(lambda client: int(client.socket().fileno()))

    def rests(self) -> float:
        """Seconds until it is to be renewed."""
        return self._renew_at - monotonic()

    def has_news(self) -> bool:
        """Whether what the server has just said is that mail came."""
        said = self._imap.once(lambda client: client.idle_check(timeout=0))
        # Nothing, although there was something to read: the line has ended, which renewing finds out, or TLS spoke.
        return _tells_of_mail(said) if said else self.renew()

    def renew(self) -> bool:
        """Idle anew, and so find out whether anybody is there; whether mail came meanwhile."""
        return self._imap.once(self._renew)

    def close(self) -> None:
        """Hang up, which ends idling as well; never raises."""
        self._imap.lose()

    def _begin(self, client: Client) -> None:
        if not client.has_capability("IDLE"):
            raise PermissionMissing("This mail server does not tell of new mail by itself (IDLE).")
        keep_alive(client.socket())
        client.select_folder(self._folder, readonly=True)
        self._idle(client)

    def _renew(self, client: Client) -> bool:
        be_patient(client.socket(), ANSWER_SECONDS)
        _, said = client.idle_done()
        has_news = _tells_of_mail(said)
        self._idle(client)
        return has_news

    def _idle(self, client: Client) -> None:
        be_patient(client.socket(), ANSWER_SECONDS)
        client.idle()
        self._renew_at = monotonic() + RENEW_SECONDS


def _tells_of_mail(said: Sequence[Any]) -> bool:
    """Whether a folder has grown; raises imaplib's abort where the server takes its leave."""
    for one in said:
        if one and one[0] == b"BYE":
            raise imaplib.IMAP4.abort(b" ".join(word for word in one if isinstance(word, bytes)))
    return any(len(one) > 1 and one[1] == b"EXISTS" for one in said)
