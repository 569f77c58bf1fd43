"""A mailbox on Dovecot and Exim, for the contract suite."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime

import pytest

from connectors import Draft
from tests.connectors.email import box
from tests.servers.dovecot import Dovecot
from tests.servers.faulty import Fault, Line
from tests.servers.smtp import Smtp


class EmailPeer:
    """One address; residents write to it by APPEND."""

    stream = "INBOX"
    secret = "password"

    def __init__(self, dovecot: Dovecot, smtp: Smtp, lines: tuple[Line, Line]) -> None:
        self._dovecot, self._smtp, self._lines = dovecot, smtp, lines
        self._address = f"cllr-{uuid.uuid4().hex[:12]}@fernmoor.example"
        self._resident = f"hester-{self._address}"
        self._numbers = itertools.count()

    @property
    def options(self) -> Mapping[str, str]:
        imap, smtp = self._lines
        ports = {"imap_port": str(imap.port), "smtp_port": str(smtp.port)}
        return box.options(self._address, self._dovecot, self._smtp, **ports)

    def put(self, count: int, at: datetime | None = None) -> None:
        numbers = itertools.islice(self._numbers, count)
        mails = [(box.mail(f"Bin {n}", Message_ID=f"<{n}@{self._resident}>"), "INBOX", at) for n in numbers]
        self._dovecot.deliver_all(self._address, mails)

    def draft(self, key: str) -> Draft:
        return box.draft(self._address, self._resident, key=key)

    def arrived(self) -> int:
        return len(self._smtp.inbox(self._resident, wait=0.5))

    def fail(self, fault: Fault) -> None:
        for line in self._lines:
            line.fail(fault)

    def lines(self) -> int:
        return sum(line.taken for line in self._lines)

    def hurry(self, patch: pytest.MonkeyPatch, seconds: float) -> None:
        patch.setattr("connectors.email.line.READ_SECONDS", seconds)


@contextlib.contextmanager
def peer(request: pytest.FixtureRequest) -> Iterator[EmailPeer]:
    dovecot, smtp = request.getfixturevalue("dovecot"), request.getfixturevalue("smtp")
    with Line(dovecot.imaps_port) as imap, Line(smtp.starttls_port) as submission:
        yield EmailPeer(dovecot, smtp, (imap, submission))
