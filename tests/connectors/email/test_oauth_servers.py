"""A mailbox opened with a token, at real mail servers that ask the issuer about it."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Self

import pytest

from connectors import AuthExpired, Budget, Misconfigured, PermissionMissing, Transient
from connectors.email import connector, consent
from connectors.email.connection import Mailbox
from connectors.email.settings import Settings
from connectors.email.submission import try_out
from tests.connectors.email.box import NOW, draft, mail
from tests.connectors.email.box import options as box_options
from tests.connectors.email.tokens import Kept, lent
from tests.servers.certificates import Certificate
from tests.servers.dovecot import Dovecot
from tests.servers.issuer import Issuer
from tests.servers.smtp import Smtp


@pytest.fixture
def options(address: str, dovecot: Dovecot, smtp: Smtp) -> dict[str, str]:
    return {**box_options(address, dovecot, smtp), "password": "", "sign_in": "microsoft"}


def kept(issuer: Issuer, who: str, *, minutes: int = 60) -> Kept:
    """Tokens of somebody who has signed in."""
    given = issuer.tokens(who)
    ends_at = (NOW + timedelta(minutes=minutes)).isoformat()
    return Kept({"access_token": given["access_token"], "refresh_token": given["refresh_token"], "ends_at": ends_at})


def opened(options: dict[str, str], issuer: Issuer, tokens: Kept) -> Mailbox:
    found = connector.connect(options, lent(issuer, tokens))
    assert isinstance(found, Mailbox)
    return found


def test_mail_is_read_and_sent_with_a_token(
    options: dict[str, str], address: str, issuer: Issuer, dovecot: Dovecot, smtp: Smtp
) -> None:
    dovecot.deliver(address, mail("Brown bin"))
    box = opened(options, issuer, kept(issuer, address))
    assert box.check().newest.startswith("Brown bin")
    assert len(box.fetch("INBOX", None, Budget()).raws) == 1
    resident = f"hester-{address}"
    box.send(box.prepare(draft(address, resident)))
    box.close()
    assert len(smtp.inbox(resident, wait=5)) == 1


@pytest.mark.parametrize("offered", [("AUTH=OAUTHBEARER",), ("AUTH=XOAUTH2", "AUTH=OAUTHBEARER")])
def test_whichever_of_the_two_mechanisms_a_server_offers_is_used(
    options: dict[str, str], address: str, issuer: Issuer, offered: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.email.imap import Client

    has = Client.has_capability
    monkeypatch.setattr(
        Client,
        "has_capability",
        lambda client, name: name in offered if "OAUTH" in name else has(client, name),
    )
    box = opened(options, issuer, kept(issuer, address))
    assert box.fetch("INBOX", None, Budget()).raws == ()
    box.close()
    with pytest.raises(AuthExpired):  # the explanation of the refusal is answered, so that the verdict comes
        opened(options, issuer, kept(issuer, "somebody@else.example")).fetch("INBOX", None, Budget())


def test_a_token_that_the_server_ends_early_is_renewed_once_and_nobody_notices(
    options: dict[str, str], address: str, issuer: Issuer, dovecot: Dovecot, smtp: Smtp
) -> None:
    dovecot.deliver(address, mail("Brown bin"))
    tokens = kept(issuer, address)
    issuer.end_access(address)
    box = opened(options, issuer, tokens)
    assert len(box.fetch("INBOX", None, Budget()).raws) == 1
    assert tokens.renewals == 1
    issuer.end_access(address)
    resident = f"hester-{address}"
    box.send(box.prepare(draft(address, resident)))
    assert tokens.renewals == 2
    assert len(smtp.inbox(resident, wait=5)) == 1
    box.close()


def test_consent_that_was_withdrawn_is_said_in_reading_and_in_sending(
    options: dict[str, str], address: str, issuer: Issuer, smtp: Smtp
) -> None:
    tokens = kept(issuer, address)
    issuer.withdraw(address)
    box = opened(options, issuer, tokens)
    with pytest.raises(AuthExpired, match="no longer lets Postbag into this account"):
        box.fetch("INBOX", None, Budget())
    with pytest.raises(AuthExpired, match="sign in again"):
        box.send(box.prepare(draft(address, f"hester-{address}")))
    box.close()
    assert smtp.inbox(f"hester-{address}") == []


def test_somebody_elses_sign_in_does_not_open_the_mailbox(
    options: dict[str, str], address: str, issuer: Issuer
) -> None:
    box = opened(options, issuer, kept(issuer, "somebody@else.example"))
    with pytest.raises(AuthExpired, match=f"Sign in again, as {address}"):
        box.fetch("INBOX", None, Budget())
    with pytest.raises(AuthExpired, match=f"Sign in again, as {address}"):
        box.send(box.prepare(draft(address, f"hester-{address}")))
    box.close()


def test_servers_that_cannot_ask_about_the_token_are_no_refusal(
    options: dict[str, str], address: str, issuer: Issuer
) -> None:
    box = opened(options, issuer, kept(issuer, address))
    issuer.is_down = True
    with pytest.raises(Transient, match="cannot check the sign-in just now"):
        box.fetch("INBOX", None, Budget())
    with pytest.raises(Transient, match="cannot check the sign-in just now"):
        box.send(box.prepare(draft(address, f"hester-{address}")))
    issuer.is_down = False
    assert box.fetch("INBOX", None, Budget()).raws == ()
    box.close()


def test_a_server_without_these_mechanisms_is_named(options: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="sign-in page") as wrong:
        consent.mechanism(lambda _: False, Settings.parse(options).imap)
    assert wrong.value.field == "imap_host"


# ── What only the large providers say ─────────────────────────────────────────────────────────────────────────────


class Provider:
    """An SMTP server up to the end of AUTH XOAUTH2 that refuses every token, as Google does or as Exchange does."""

    def __init__(self, verdict: bytes, certificate: Certificate, explanation: bytes = b"") -> None:
        self._verdict, self._explanation = verdict, explanation
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self.heard: list[bytes] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        taken, _ = self._listener.accept()
        with self._context.wrap_socket(taken, server_side=True) as line, line.makefile("rwb") as file:
            file.write(b"220 mx\r\n")
            file.flush()
            for heard in file:
                self.heard.append(heard.rstrip())
                file.write(self._answer(heard.rstrip()) + b"\r\n")
                file.flush()

    def _answer(self, heard: bytes) -> bytes:
        if heard.startswith(b"ehlo"):
            return b"250-mx\r\n250 AUTH LOGIN XOAUTH2"
        if heard == b"AUTH XOAUTH2":
            return b"334 "
        return b"334 " + base64.b64encode(self._explanation) if heard and self._explanation else self._verdict


def refusal(
    provider: Provider, options: dict[str, str], issuer: Issuer, address: str
) -> type[AuthExpired | PermissionMissing]:
    """What kind of refusal trying to send there ends with."""
    given = {**options, "smtp_port": str(provider.port), "smtp_security": "tls"}
    lender = lent(issuer, kept(issuer, address))
    with pytest.raises((AuthExpired, PermissionMissing)) as caught:
        try_out(consent.borne(Settings.parse(given), lender).smtp, lender.allowed_hosts, address)
    assert caught.type in {AuthExpired, PermissionMissing}
    return caught.type


def test_googles_explanation_is_answered_with_an_empty_line_and_the_verdict_counts(
    options: dict[str, str], address: str, issuer: Issuer, dovecot: Dovecot
) -> None:
    said = b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'
    verdict = b"535 5.7.8 Username and Password not accepted. For more information, go to support.google.com"
    with Provider(verdict, dovecot.authority.good(), said) as provider:
        assert refusal(provider, options, issuer, address) is AuthExpired
    assert provider.heard[1] == b"AUTH XOAUTH2"  # the token does not fit into the command
    assert base64.b64decode(provider.heard[2]).startswith(f"user={address}\1auth=Bearer ".encode())
    assert provider.heard[3] == b""
    assert provider.heard[4] == b"AUTH XOAUTH2"  # once more, with a token that was renewed
    assert len(provider.heard) == 7


def test_a_mailbox_that_may_not_send_by_smtp_asks_nobody_to_sign_in_again(
    options: dict[str, str], address: str, issuer: Issuer, dovecot: Dovecot
) -> None:
    verdict = (
        b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
        b"Visit https://aka.ms/smtp_auth_disabled for more information."
    )
    with Provider(verdict, dovecot.authority.good()) as provider:
        assert refusal(provider, options, issuer, address) is PermissionMissing
    assert len(provider.heard) == 3  # a fresh token would change nothing


def test_a_mailbox_that_is_closed_to_imap_asks_nobody_to_sign_in_again(options: dict[str, str]) -> None:
    found = consent.refused(
        Settings.parse(options).imap,
        "Microsoft",
        "User is authenticated but not connected.",
        " (User is authenticated)",
    )
    assert isinstance(found, PermissionMissing)
    assert "is IMAP allowed for it" in str(found)
