"""A mailbox at a provider, added from the command line: somebody types a code, somewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from app.settings import Settings
from tests.app.program import CommandLine
from tests.connectors.email.box import options
from tests.servers.dovecot import Dovecot
from tests.servers.issuer import Issuer
from tests.servers.smtp import Smtp


@pytest.fixture
def postbag(
    settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """The commands of an install that is registered with a sign-in service."""
    found = CommandLine(settings, monkeypatch, capsysbinary)
    client = issuer.client("Fernmoor")
    for name in ("name", "authorize_url", "token_url", "device_url", "scope"):
        monkeypatch.setenv(f"POSTBAG_OAUTH_{name.upper()}", getattr(client, name))
    monkeypatch.setenv("POSTBAG_OAUTH_CLIENT_ID", client.id)
    return found


@pytest.fixture
def adding(postbag: CommandLine, address: str, dovecot: Dovecot, smtp: Smtp) -> tuple[str, ...]:
    """The command, but for the kind of account."""
    office = postbag.done("office", "add", "Cllr Tansy Quillfeather", "--prefix", "MA").text.strip()
    given = {key: value for key, value in options(address, dovecot, smtp).items() if key != "password"}
    words = [word for key, value in given.items() for word in ("--option", f"{key}={value}")]
    return ("account", "add", "email", "--office", office, "--since", "all", *words)


@pytest.fixture
def somebody(issuer: Issuer, address: str) -> Iterator[list[str]]:
    """Types every code that is asked for, as the mailbox's owner."""
    typed: list[str] = []
    is_over = threading.Event()

    def types() -> None:
        while not is_over.is_set():
            for code in issuer.codes():
                issuer.type_code(code, address)
                typed.append(code)
            time.sleep(0.05)

    thread = threading.Thread(target=types)
    thread.start()
    yield typed
    is_over.set()
    thread.join()


def test_a_code_is_printed_and_the_account_connected_once_somebody_has_typed_it(
    postbag: CommandLine, adding: tuple[str, ...], somebody: list[str], address: str, issuer: Issuer
) -> None:
    added = postbag(*adding, "--option", "sign_in=oauth")
    assert added.status == 0
    assert added.error == f"Open https://127.0.0.1:{issuer.port}/device and type {somebody[-1]} there.\n"
    listed = postbag.done("account", "list", "--json").lines
    assert {(one["account"], one["health"]) for one in listed} == {(address, "ok")}


def test_what_the_provider_refuses_is_one_sentence(
    postbag: CommandLine, adding: tuple[str, ...], issuer: Issuer
) -> None:
    issuer.refuses = "unknown client at Google"
    refused = postbag(*adding, "--option", "sign_in=oauth")
    assert (refused.status, "does not know this client id" in refused.error, refused.error.count("\n")) == (1, True, 1)
    assert postbag.done("account", "list", "--json").lines == []


def test_a_provider_without_codes_is_added_on_the_pages(postbag: CommandLine, adding: tuple[str, ...]) -> None:
    refused = postbag(*adding, "--option", "sign_in=google")
    assert refused.status == 1
    assert refused.error == "This provider gives no code to type. Add the account on the page “Accounts”.\n"
    assert postbag.done("account", "list", "--json").lines == []
