"""The e-mail channel: IMAP in, SMTP out, for any mailbox that a password or a provider's sign-in page opens.

``settings`` says what is asked for, ``consent`` how a provider's page lets us in, ``imap`` speaks IMAP,
``submission`` speaks SMTP, ``connection`` joins the two, ``reading`` turns a mail into an :class:`~connectors.Item` and
``writing`` a :class:`~connectors.Draft` into a mail.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors import Asking, Connection, Host, Manifest, Way
from connectors.email import consent
from connectors.email.reading import read
from connectors.email.settings import MANIFEST, Settings


class Email:
    """The channel that :func:`connectors.all_connectors` finds."""

    read = staticmethod(read)

    @property
    def manifest(self) -> Manifest:
        """What a mailbox is, asks for, can and cannot do."""
        return MANIFEST

    def connect(self, options: Mapping[str, str], host: Host) -> Connection:
        """A line to one mailbox; dials when first used. Raises Misconfigured where an option cannot be right."""
        from connectors.email.connection import Mailbox

        return Mailbox(consent.borne(Settings.parse(options), host), host)

    def ways(self, options: Mapping[str, str]) -> tuple[Way, ...]:
        """None for a mailbox with a password."""
        return consent.ways(MANIFEST.kind(options))

    def begin(self, options: Mapping[str, str], host: Host, way: Way, *, back: str, state: str) -> Asking:
        """A code to type, or the provider's page with the mailbox's address filled in."""
        return consent.begin(Settings.parse(options), host, way, back=back, state=state)

    def finish(
        self, options: Mapping[str, str], host: Host, asking: Asking, answer: Mapping[str, str]
    ) -> Mapping[str, str]:
        """The tokens that open the mailbox for reading and for sending."""
        return consent.finish(Settings.parse(options), host, asking, answer)


connector = Email()
