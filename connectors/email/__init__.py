"""The e-mail channel: IMAP in, SMTP out, for any mailbox that a name and a password open.

``settings`` says what is asked for, ``mailbox`` speaks IMAP, ``submission`` speaks SMTP, ``connection`` joins the two,
``reading`` turns a mail into an :class:`~connectors.Item` and ``writing`` a :class:`~connectors.Draft` into a mail.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors import Connection, Host, Item, Manifest, Raw
from connectors.email.reading import read
from connectors.email.settings import MANIFEST, Settings


class Email:
    """The channel that :func:`connectors.all_connectors` finds."""

    @property
    def manifest(self) -> Manifest:
        """What a mailbox is, asks for, can and cannot do."""
        return MANIFEST

    def connect(self, options: Mapping[str, str], host: Host) -> Connection:
        """A line to one mailbox; dials when first used. Raises Misconfigured where an option cannot be right."""
        from connectors.email.connection import Mailbox

        return Mailbox(Settings.parse(options), host)

    def read(self, raw: Raw) -> Item:
        """What a mail says. Pure; raises Unreadable."""
        return read(raw)


connector = Email()
