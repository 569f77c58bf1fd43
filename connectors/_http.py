"""A form posted to a platform: only where we may dial, over TLS, within limits; no redirect, no repeat."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from connectors import Json, Misconfigured, Transient
from connectors._address import NotAllowed, dial, trust

READ_SECONDS: Final = 20.0
MOST: Final = 256 * 1024  # bytes; an answer to a form is a few kilobytes
_HTTPS: Final = 443
_PIECE: Final = 16 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back. ``content`` is an object's members, empty where the answer is no JSON object."""

    status: int
    content: Mapping[str, Json]


class _Line(http.client.HTTPSConnection):
    """HTTPS over a socket of our own making: its address checked and pinned, its certificate checked."""

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
    finally:
        line.close()


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


def _body(answer: http.client.HTTPResponse, host: str) -> bytes:
    """The whole body; raises Transient for one that is too large, or comes too slowly."""
    until = time.monotonic() + READ_SECONDS
    body = b""
    while piece := answer.read1(_PIECE):
        body += piece
        if len(body) > MOST or time.monotonic() > until:
            raise Transient(f"“{host}” sent more than an answer should hold, or sent it too slowly.")
    return body


def _members(body: bytes) -> Mapping[str, Json]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
