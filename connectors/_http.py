"""Forms posted to a platform and pictures fetched for a reader: only where we may dial, and within limits."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Timer
from typing import Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

from connectors import Json, Misconfigured, Refused, Transient
from connectors._address import NotAllowed, dial, trust

READ_SECONDS: Final = 20.0  # without a word
WHOLE_SECONDS: Final = 30.0  # of one question and its answer
MOST: Final = 256 * 1024  # bytes; an answer to a form is a few kilobytes
_HTTP, _HTTPS = 80, 443
_FOUND: Final = 200
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS: Final = 3
_PLAIN: Final = "!#$%&'()*+,/:;=?@[]~"  # what a path may hold beside letters and digits, escapes among it
_PIECE: Final = 16 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back. ``content`` is an object's members, empty where the answer is no JSON object."""

    status: int
    content: Mapping[str, Json]


class _Plain(http.client.HTTPConnection):
    """HTTP over a socket of our own making: its address checked and pinned."""

    def __init__(self, host: str, port: int, allowed: Collection[str]) -> None:
        super().__init__(host, port, timeout=READ_SECONDS)
        self._allowed = allowed

    def connect(self) -> None:
        self.sock = dial(self.host, self.port, self._allowed)
        self.sock.settimeout(READ_SECONDS)


class _Line(http.client.HTTPSConnection):
    """HTTPS over the same, its certificate checked."""

    def __init__(self, host: str, port: int, allowed: Collection[str]) -> None:
        super().__init__(host, port, timeout=READ_SECONDS)
        self._allowed = allowed

    def connect(self) -> None:
        line = dial(self.host, self.port, self._allowed)
        try:
            line.settimeout(READ_SECONDS)
            self.sock = trust().wrap_socket(line, server_hostname=self.host)
        except OSError:
            line.close()
            raise


def post_form(url: str, form: Mapping[str, str], allowed: Collection[str]) -> Answer:
    """The answer to one POST, whatever its status; a redirect is an answer like any other.

    Raises Misconfigured where the address cannot be right, Transient where no whole answer came in time.
    """
    host, port, path = _parts(url)
    line = _Line(host, port, allowed)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        with _bounded(line):
            line.request("POST", path, urlencode(form).encode(), headers)
            answer = line.getresponse()
            return Answer(status=answer.status, content=_members(_body(answer, host)))
    except NotAllowed as error:
        raise Misconfigured(f"“{host}” lies inside a private network. An administrator can allow it.") from error
    except socket.gaierror as error:
        raise Transient(f"The name “{host}” cannot be looked up just now.") from error
    except TimeoutError as error:
        raise Transient(f"“{host}” did not answer in time.") from error
    except (OSError, http.client.HTTPException) as error:
        raise Transient(f"“{host}” could not be reached.") from error


def get(url: str, allowed: Collection[str], *, most: int) -> bytes:
    """What lies at a web address, ``most`` bytes of it at the most, after a few redirects, each of them checked anew.

    Tells nothing of who asks: no cookie, no referrer, no name of a program. Raises Refused where there is nothing to be
    had, Transient where no whole answer came in time.
    """
    for _ in range(_REDIRECTS + 1):
        answer = _get_once(url, allowed, most)
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise Refused("It leads from one address to the next.")


def _get_once(url: str, allowed: Collection[str], most: int) -> bytes | str:
    """The content, or where it leads to."""
    line, path = _dialled(url, allowed)
    try:
        with _bounded(line):
            line.request("GET", path, headers={"Accept": "image/*"})
            answer = line.getresponse()
            if answer.status in _MOVED and (target := answer.getheader("Location")):
                return urljoin(url, target)
            if answer.status != _FOUND:
                raise Refused(f"“{line.host}” does not have it any more.")
            return _body(answer, line.host, most)
    except NotAllowed as error:
        raise Refused(f"“{line.host}” lies inside a private network.") from error
    except (OSError, http.client.HTTPException) as error:
        raise Transient(f"“{line.host}” could not be reached.") from error
    except ValueError as error:  # a name that none can be, or a way on that is no address
        raise Refused("That is not an address.") from error


@contextmanager
def _bounded(line: http.client.HTTPConnection) -> Iterator[None]:
    """Hang up at the end, and before it where the whole takes too long.

    The limit of a socket is one of silence, and whoever says a letter now and then never reaches it.
    """
    watch = Timer(WHOLE_SECONDS, _hang_up, [line])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        line.close()


def _hang_up(line: http.client.HTTPConnection) -> None:
    """Have whoever waits for the other side wait no longer."""
    with suppress(OSError, AttributeError):  # over by itself just now
        line.sock.shutdown(socket.SHUT_RDWR)


def _dialled(url: str, allowed: Collection[str]) -> tuple[http.client.HTTPConnection, str]:
    """A line for a web address, not yet open, and the path; raises Refused for what is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        path = quote(parts.path or "/", safe=_PLAIN) + (f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else "")
        if parts.scheme == "https" and host:
            return _Line(host, port or _HTTPS, allowed), path
        if parts.scheme == "http" and host:
            return _Plain(host, port or _HTTP, allowed), path
    except (ValueError, http.client.InvalidURL) as error:
        raise Refused("That is not an address.") from error
    raise Refused("That is not an address of the web.")


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and path of an https address; raises Misconfigured for any other."""
    wrong = Misconfigured("The address of the sign-in service has to begin with https://.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _HTTPS
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "https" or not host or not url.isascii() or any(letter.isspace() for letter in url):
        raise wrong
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _body(answer: http.client.HTTPResponse, host: str, most: int = MOST) -> bytes:
    """The whole body; raises Transient for one that is too large, or comes too slowly."""
    until = time.monotonic() + READ_SECONDS
    body = b""
    while piece := answer.read1(_PIECE):
        body += piece
        if len(body) > most or time.monotonic() > until:
            raise Transient(f"“{host}” sent more than an answer should hold, or sent it too slowly.")
    return body


def _members(body: bytes) -> Mapping[str, Json]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
