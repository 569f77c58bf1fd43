"""The servers as pytest fixtures, one of each for a whole run; every test uses addresses of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.servers.dovecot import Dovecot
from tests.servers.issuer import Issuer
from tests.servers.smtp import Smtp


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A mailbox server whose certificate this process trusts."""
    with Dovecot() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(server.ca_file))
        yield server


@pytest.fixture(scope="session")
def smtp(dovecot: Dovecot) -> Iterator[Smtp]:
    """A mail server that delivers into Dovecot's mailboxes."""
    with Smtp(dovecot) as server:
        yield server


@pytest.fixture
def issuer(dovecot: Dovecot) -> Iterator[Issuer]:
    """The sign-in service that the mail servers ask about tokens; every test finds it in order."""
    dovecot.issuer.mend()
    yield dovecot.issuer
    dovecot.issuer.mend()


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return f"cllr-{uuid.uuid4().hex[:12]}@fernmoor.example"
