"""A real SMTP server in this process, and an install that mails through it."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from app.deployment import Deployment, deploy
from app.settings import Settings
from tests.servers.account import free_port


class Post:
    """Takes every mail but those to somebody "unknown" (for good) and "busy" (for now)."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's own names and order
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        del server, session, options
        if address.startswith("unknown"):
            return "550 There is nobody of that name"
        if address.startswith("busy"):
            return "451 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        self.mails.append(message_from_bytes(cast("bytes", envelope.content), policy=default))
        return "250 OK"


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def settings(settings: Settings, post: Post) -> Iterator[Settings]:
    port = free_port()
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    yield settings.model_copy(
        update={
            "mail_host": "127.0.0.1",
            "mail_port": port,
            "mail_security": "none",
            "mail_from": "Postbag <postbag@fernmoor.example>",
        }
    )
    controller.stop()


@pytest.fixture
def silent(settings: Settings) -> Iterator[Deployment]:
    """An install over the same data whose mail server does not answer."""
    opened = deploy(settings.model_copy(update={"mail_port": free_port()}))
    yield opened
    opened.close()
