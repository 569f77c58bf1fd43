"""An install that mails through a real server, over a protected line and signed in."""

from __future__ import annotations

import email
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default

import pytest
from pydantic import SecretStr

from app.deployment import Deployment, deploy
from app.settings import Settings
from tests.servers.account import free_port
from tests.servers.smtp import Smtp


class Post:
    """What came for an address since the test began."""

    def __init__(self, server: Smtp) -> None:
        self._server = server
        self._before = len(server.everything())

    @property
    def mails(self) -> list[EmailMessage]:
        return [email.message_from_bytes(mail, policy=default) for mail in self._server.everything()[self._before :]]

    def wait(self, count: int = 1) -> list[EmailMessage]:
        """The mails, once there are ``count`` of them: the server files them after it has taken them."""
        deadline = time.monotonic() + 10
        while len(self.mails) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.mails


@pytest.fixture
def post(smtp: Smtp) -> Post:
    return Post(smtp)


@pytest.fixture
def settings(settings: Settings, smtp: Smtp) -> Settings:
    return settings.model_copy(
        update={
            "mail_host": "localhost",
            "mail_port": smtp.starttls_port,
            "mail_user": "postbag@fernmoor.example",
            "mail_password": SecretStr("secret"),
            "mail_from": "Postbag <postbag@fernmoor.example>",
        }
    )


@pytest.fixture
def silent(settings: Settings) -> Iterator[Deployment]:
    """An install over the same data whose mail server does not answer."""
    opened = deploy(settings.model_copy(update={"mail_port": free_port()}))
    yield opened
    opened.close()
