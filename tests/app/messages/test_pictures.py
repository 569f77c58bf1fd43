"""Remote pictures: nothing is fetched until a reader asks, and then by us, within limits."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.deployment import Deployment
from app.messages import pictures
from app.messages.models import Fetching, Message
from app.messages.sanitise import sanitise
from connectors import _http
from tests import make

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class Gallery:
    """A web server with pictures, and what it was asked for."""

    at: str
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def gallery() -> Iterator[Gallery]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            path = self.path.partition("?")[0]
            if path == "/moved.png":
                self.send_response(302)
                self.send_header("Location", "/logo.png")
                self.end_headers()
            elif path == "/inside.png":
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/latest")
                self.end_headers()
            elif path == "/round.png":
                self.send_response(302)
                self.send_header("Location", "/round.png")
                self.end_headers()
            elif path == "/crooked.png":
                self.send_response(302)
                self.send_header("Location", "http://[")
                self.end_headers()
            elif path == "/slow.png":
                with contextlib.suppress(OSError):
                    for letter in b"HTTP/1.0 200 " + b"x" * 2_000:
                        self.wfile.write(bytes([letter]))
                        time.sleep(0.01)
            elif path in {"/logo.png", "/page.png", "/huge.png"}:
                self.send_response(200)
                self.end_headers()
                body = {"/logo.png": PNG, "/page.png": b"<html>no picture", "/huge.png": PNG + bytes(5 * 1024 * 1024)}
                self.wfile.write(body[path])
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Gallery(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def fetch(
    deployment: Deployment, gallery: Gallery, *names: str, html: str = "", allowed: bool = True
) -> dict[str, Fetching]:
    """What becomes of pictures of those names in a mail whose reader asks for them, by name."""
    host = replace(deployment.host, allowed_hosts=frozenset({gallery.at[7:]} if allowed else ()))
    with deployment.database.transaction() as session:
        shown = sanitise(html + "".join(f'<img src="{gallery.at}/{name}" alt="{name}">' for name in names))
        message = make.message(session, html=shown.html, remote_hosts=list(shown.remote_hosts))
        pictures.ask(session, message, by=make.staff(session).id)
        message_id = message.id
    pictures.fetch_pictures(replace(deployment, host=host), message_id)
    with deployment.database.reading() as session:
        return {one.url.rpartition("/")[2]: one.state for one in pictures.asked(session, message_id)}


@pytest.mark.db
def test_pictures_are_fetched_when_a_reader_asks_and_kept(deployment: Deployment, gallery: Gallery) -> None:
    found = fetch(deployment, gallery, "logo.png?a=1", "moved.png", "gone.png", "page.png", "huge.png", "round.png")
    assert found == {
        "logo.png?a=1": Fetching.KEPT,
        "moved.png": Fetching.KEPT,
        "gone.png": Fetching.REFUSED,
        "page.png": Fetching.REFUSED,
        "huge.png": Fetching.REFUSED,
        "round.png": Fetching.REFUSED,
    }
    headers = gallery.asked[0][1]
    assert set(headers) == {"host", "accept-encoding", "accept"}  # nothing of who asks


def test_our_own_network_is_not_asked_whatever_a_mail_says(deployment: Deployment, gallery: Gallery) -> None:
    assert fetch(deployment, gallery, "inside.png") == {"inside.png": Fetching.REFUSED}
    assert fetch(deployment, gallery, "logo.png", allowed=False) == {"logo.png": Fetching.REFUSED}
    assert [path for path, _ in gallery.asked] == ["/inside.png"]


def test_an_address_that_is_none_keeps_no_other_picture_away(deployment: Deployment, gallery: Gallery) -> None:
    crooked = f'<img src="https://{"ü" * 70}.example/no.png" alt="no">'
    assert fetch(deployment, gallery, "crooked.png", "logo.png", html=crooked) == {
        "no.png": Fetching.REFUSED,
        "crooked.png": Fetching.REFUSED,
        "logo.png": Fetching.KEPT,
    }


def test_a_server_that_answers_one_letter_at_a_time_is_hung_up_on(
    deployment: Deployment, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "WHOLE_SECONDS", 0.5)
    began = time.monotonic()
    assert fetch(deployment, gallery, "slow.png") == {"slow.png": Fetching.REFUSED}
    assert time.monotonic() - began < 10


def test_what_only_counts_readers_is_never_fetched(deployment: Deployment, gallery: Gallery) -> None:
    counting = f'<img src="{gallery.at}/open.gif" width="1" height="1">'
    assert fetch(deployment, gallery, "logo.png", html=counting) == {"logo.png": Fetching.KEPT}
    assert [path for path, _ in gallery.asked] == ["/logo.png"]


def test_a_reader_can_ask_once_more_for_what_did_not_come(deployment: Deployment, gallery: Gallery) -> None:
    with deployment.database.transaction() as session:
        html = sanitise(f'<img src="{gallery.at}/logo.png">').html
        message_id = make.message(session, html=html).id
        by = make.staff(session).id
    for allowed, state in ((False, Fetching.REFUSED), (True, Fetching.KEPT)):
        host = replace(deployment.host, allowed_hosts=frozenset({gallery.at[7:]} if allowed else ()))
        with deployment.database.transaction() as session:
            pictures.ask(session, session.get_one(Message, message_id), by=by)
        pictures.fetch_pictures(replace(deployment, host=host), message_id)
        with deployment.database.reading() as session:
            assert [one.state for one in pictures.asked(session, message_id)] == [state]
