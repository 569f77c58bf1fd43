"""A councillor's mailbox on the test servers, and the mail that residents write to it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from connectors import Actor, Audience, Draft, Host
from connectors.email import connector
from connectors.email.connection import Mailbox
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
ID_KEY = b"a key for tests of thirty-two by"


def options(address: str, dovecot: Dovecot, smtp: Smtp | None, **other: str) -> dict[str, str]:
    """What the form would hold for this mailbox."""
    return {
        "address": address,
        "name": "Cllr Tansy Quillfeather",
        "password": "secret",
        "imap_host": "127.0.0.1",
        "imap_port": str(dovecot.imaps_port),
        "imap_security": "tls",
        "smtp_host": "127.0.0.1",
        "smtp_port": str(smtp.starttls_port if smtp else 1),
        "smtp_security": "starttls",
        **other,
    }


def host(*, allowed: frozenset[str] = frozenset({"127.0.0.1", "localhost"})) -> Host:
    return Host(now=lambda: NOW, allowed_hosts=allowed, spool=Path(tempfile.mkdtemp(prefix="spool-")), id_key=ID_KEY)


def mailbox(given: Mapping[str, str], lent: Host | None = None) -> Mailbox:
    connection = connector.connect(given, lent or host())
    assert isinstance(connection, Mailbox)
    return connection


def mail(subject: str = "Brown bin", text: str = "It was missed again.\n", **headers: str) -> bytes:
    """What a resident's mail program sends."""
    made = EmailMessage()
    made["From"] = headers.pop("sender", "Hester Brindlecombe <hester@larkrise.example>")
    made["To"] = "cllr@fernmoor.example"
    made["Date"] = "Thu, 02 Apr 2026 16:20:00 +0100"
    made["Subject"] = subject
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made.as_bytes()


def draft(sender: str, to: str = "hester@larkrise.example", /, **other: Any) -> Draft:
    """A reply to Hester."""
    plain = Draft(
        key="reply-1",
        audience=Audience.DIRECT,
        sender=Actor(external_id=sender, name="Cllr Tansy Quillfeather", handle=sender),
        to=(Actor(external_id=to, name="Hester Brindlecombe", handle=to),),
        subject="Brown bin",
        text="Dear Hester,\n\nI have asked the depot.\n",
        in_reply_to="<bin-1@larkrise.example>",
        references=("<bin-0@larkrise.example>",),
        written_at=NOW,
    )
    return replace(plain, **other)
