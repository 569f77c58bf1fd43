"""Trying an account: proof that it works, or a sentence that names what is wrong and the setting to look at."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors import AuthExpired, Misconfigured, StreamSpec, Transient
from tests.connectors.email.box import host, mail, mailbox, options
from tests.servers.dovecot import Dovecot
from tests.servers.faulty import Fault, Line
from tests.servers.smtp import SIZE_MOST, Smtp


def wrong(given: dict[str, str], allowed: frozenset[str] | None = None) -> tuple[str, str]:
    """The field and the sentence that trying these settings ends with."""
    box = mailbox(given, host(allowed=allowed) if allowed is not None else None)
    with pytest.raises(Misconfigured) as caught:
        box.check()
    box.close()
    return caught.value.field, str(caught.value)


def test_a_mailbox_that_works_shows_who_we_are_what_we_read_and_the_newest_mail(
    dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    dovecot.deliver(
        address, mail("Brown bin", sender="Hester <hester@larkrise.example>"), at=datetime(2026, 4, 2, 15, tzinfo=UTC)
    )
    box = mailbox(options(address, dovecot, smtp))
    found = box.check()
    box.close()
    assert (found.identity.external_id, found.identity.name) == (address, "Cllr Tansy Quillfeather")
    assert found.streams == (
        StreamSpec(key="INBOX", name="Inbox", interval=timedelta(minutes=1)),
        StreamSpec(key="Junk", name="Junk", interval=timedelta(minutes=5), junk=True),
        StreamSpec(key="Sent", name="Sent", interval=timedelta(minutes=5), ours=True),
    )
    assert found.newest == "Brown bin, from Hester, Thu 2 Apr"
    assert (found.missing, found.warnings) == ((), ())
    assert found.largest == SIZE_MOST
    assert dovecot.flags(address) == [()]


def test_trying_a_mailbox_sends_nothing(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    before = len(smtp.everything())
    box = mailbox(options(address, dovecot, smtp))
    box.check()
    box.close()
    assert len(smtp.everything()) == before


def test_starttls_and_tls_both_work_on_both_servers(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(
        options(
            address,
            dovecot,
            smtp,
            imap_security="starttls",
            imap_port=str(dovecot.imap_port),
            smtp_security="tls",
            smtp_port=str(smtp.tls_port),
        )
    )
    assert box.check().identity.handle == address
    box.close()


def test_other_folders_can_be_chosen(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, folders="inbox\nArchive\n"))
    assert [stream.key for stream in box.check().streams] == ["INBOX", "Archive", "Sent"]
    box.close()


def test_a_folder_that_is_not_there_is_named_with_those_that_are(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    field, sentence = wrong(options(address, dovecot, smtp, folders="Casework"))
    assert field == "folders"
    assert "no folder “Casework”" in sentence
    assert "Archive" in sentence
    assert wrong(options(address, dovecot, smtp, sent_folder="Out"))[0] == "sent_folder"


def test_an_unknown_server_is_named(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    assert wrong(options(address, dovecot, smtp, imap_host="imap.fernmoor.invalid")) == (
        "imap_host",
        "There is no server called “imap.fernmoor.invalid”.",
    )


def test_a_port_that_nobody_answers_is_named(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    assert wrong(options(address, dovecot, smtp, imap_port="1"))[0] == "imap_port"
    assert wrong(options(address, dovecot, smtp, smtp_port="1")) == (
        "smtp_port",
        "“127.0.0.1” does not answer on port 1.",
    )


def test_an_address_inside_the_network_is_refused_unless_it_is_allowed(
    dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    field, sentence = wrong(options(address, dovecot, smtp), allowed=frozenset())
    assert field == "imap_host"
    assert "private network" in sentence
    only_imap = frozenset({f"127.0.0.1:{dovecot.imaps_port}"})
    assert wrong(options(address, dovecot, smtp), allowed=only_imap)[0] == "smtp_host"


def test_the_wrong_encryption_for_a_port_is_named(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    assert wrong(options(address, dovecot, smtp, imap_port=str(dovecot.imap_port)))[0] == "imap_security"


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("expired", "has expired"),
        ("for_another_name", "is not for “127.0.0.1”"),
        ("self_signed", "signed by itself"),
    ],
)
def test_a_certificate_that_is_not_right_is_never_accepted(
    smtp: Smtp, certificate: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Dovecot(certificate=certificate) as other:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.ca_file))
        for security, port in (("tls", other.imaps_port), ("starttls", other.imap_port)):
            given = options("cllr@fernmoor.example", other, smtp, imap_security=security, imap_port=str(port))
            field, sentence = wrong(given)
            assert field == "imap_host"
            assert words in sentence
        assert "Login" not in other.log()


def test_a_certificate_of_an_unknown_authority_is_never_accepted(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    with Dovecot() as other:
        field, sentence = wrong(options(address, other, smtp))
        assert (field, "nobody this machine trusts" in sentence) == ("imap_host", True)
    with Smtp(certificate="self_signed") as sender:
        assert wrong(options(address, dovecot, sender))[0] == "smtp_host"


def test_a_password_never_goes_out_without_encryption(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    with Dovecot(tls=False) as other:
        given = options(address, other, smtp, imap_security="starttls", imap_port=str(other.imap_port))
        field, sentence = wrong(given)
        assert (field, "STARTTLS" in sentence) == ("imap_security", True)
        assert "Login" not in other.log()
    with Smtp(tls=False) as sender:
        assert wrong(options(address, dovecot, sender))[0] == "smtp_security"


def test_a_wrong_password_is_told_for_reading_and_for_sending(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, password="wrong"))
    with pytest.raises(AuthExpired, match="does not accept the user name or the password"):
        box.check()
    box.close()
    box = mailbox(options(address, dovecot, smtp, smtp_password="wrong"))
    with pytest.raises(AuthExpired, match="for sending"):
        box.check()
    box.close()


def test_a_server_that_cannot_check_passwords_is_no_wrong_password(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    for given in ({"user": "unavailable", "password": "wrong"}, {"smtp_user": "unavailable"}):
        box = mailbox(options(address, dovecot, smtp, **given))
        with pytest.raises(Transient, match="cannot check the password"):
            box.check()
        box.close()


def test_an_address_that_the_server_lets_nobody_send_from_is_named(dovecot: Dovecot, smtp: Smtp) -> None:
    given = options("forbidden@fernmoor.example", dovecot, smtp)
    field, sentence = wrong(given)
    assert field == "address"
    assert "not owned by user" in sentence


def test_passwords_may_hold_any_letter(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, password="pàsswôrd ŵ £"))
    with pytest.raises(AuthExpired):
        box.check()
    box.close()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes calls and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_server_that_never_speaks_is_given_up(
    dovecot: Dovecot, smtp: Smtp, address: str, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors._address.CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("connectors.email.line.READ_SECONDS", 0.3)
    field, sentence = wrong(options(address, dovecot, smtp, imap_port=str(silent)))
    assert (field, "in time" in sentence) == ("imap_port", True)
    field, sentence = wrong(options(address, dovecot, smtp, smtp_port=str(silent)))
    assert (field, "in time" in sentence) == ("smtp_port", True)


def test_a_line_that_breaks_is_nobodys_fault(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    with Line(dovecot.imaps_port) as line:
        line.fail(Fault(refuse=True))
        box = mailbox(options(address, dovecot, smtp, imap_port=str(line.port)))
        with pytest.raises(Transient):
            box.check()
        box.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "not an address"),
        ("address", "ann@example.org\r\nBcc: all@example.org"),
        ("password", ""),
        ("imap_port", "0"),
        ("imap_port", "99999"),
        ("smtp_port", "५८७"),
        ("imap_security", "none"),
        ("smtp_host", "evil host"),
        ("name", "Ann\r\nBcc: x@example.org"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_before_anything_is_dialled(
    dovecot: Dovecot, address: str, field: str, value: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        mailbox(options(address, dovecot, None) | {field: value})
    assert caught.value.field == field


def test_servers_are_guessed_from_the_address() -> None:
    from connectors.email.settings import Settings

    own = Settings.parse({"address": "cllr@fernmoor.example", "password": "secret"})
    assert (own.imap.host, own.imap.port, own.imap.user) == ("imap.fernmoor.example", 993, "cllr@fernmoor.example")
    assert (own.smtp.host, own.smtp.port, own.smtp.security) == ("smtp.fernmoor.example", 587, "starttls")
    assert not own.server_files_copies
    gmail = Settings.parse({"address": "Tansy@gmail.com", "password": "secret"})
    assert (gmail.imap.host, gmail.smtp.host, gmail.server_files_copies) == ("imap.gmail.com", "smtp.gmail.com", True)
    assert not re.search("secret", repr(own))
