"""A sign-in service, such as Microsoft's and Google's, over TLS with the certificate of the mail servers.

It speaks RFC 6749 (code with PKCE, refresh), RFC 8628 (a code to type) and RFC 7662 (what Dovecot and Exim ask about a
token), and refuses in the words of Microsoft or of Google. Refresh tokens rotate: one that is used twice ends all that
came of it, as strict services do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from connectors import Client
from tests.servers.certificates import Authority

CLIENT_ID = "postbag-at-fernmoor"
# What Microsoft says: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "withdrawn": ("invalid_grant", "AADSTS65001: The user or administrator has not consented to use the application."),
    "password changed": ("invalid_grant", "AADSTS50173: The provided grant has expired due to it being revoked."),
    "unused": ("invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity."),
    "wrong tenant": ("invalid_request", "AADSTS90002: Tenant 'fernmore.example' not found."),
    "unknown client": ("unauthorized_client", "AADSTS700016: Application with identifier 'postbag' was not found."),
    "no public client": ("invalid_client", "AADSTS7000218: The request body must contain 'client_secret'."),
    "secret expired": ("invalid_client", "AADSTS7000222: The provided client secret keys are expired."),
    "not agreed": ("invalid_grant", "AADSTS65001: The user or administrator has not consented to use the application."),
    "conditional access": ("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access policies."),
    # What Google says.
    "revoked at Google": ("invalid_grant", "Token has been expired or revoked."),
    "unknown client at Google": ("invalid_client", "The OAuth client was not found."),
}


@dataclass
class _Consent:
    """What one person has agreed to, and the tokens that came of it."""

    who: str
    access: set[str] = field(default_factory=set)
    refresh: str = ""
    ended: str = ""  # which refusal a refresh gets


@dataclass
class _Device:
    """A code that somebody may type."""

    user_code: str
    who: str = ""
    declined: bool = False
    slow_down: int = 0


class Issuer:
    """Runs between ``start`` and ``stop``."""

    host = "127.0.0.1"

    def __init__(self, authority: Authority) -> None:
        made = authority.good()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        handler = type("Handler", (_Handler,), {"issuer": self})
        self._https = _Server((self.host, 0), handler)
        self._https.socket = context.wrap_socket(self._https.socket, server_side=True, do_handshake_on_connect=False)
        self._http = _Server((self.host, 0), handler)  # for the mail servers' questions
        self.port, self.plain_port = self._https.server_port, self._http.server_port
        self._lock = threading.Lock()
        self._consents: list[_Consent] = []
        self._devices: dict[str, _Device] = {}
        self._pages: dict[str, dict[str, str]] = {}
        self.refuses = ""  # a refusal that everything meets
        self.is_down = False
        self.life = 3600  # seconds, of an access token
        self.interval = 1
        self.rotates = True
        self.asked: list[str] = []  # the paths of the questions, in their order

    def start(self) -> None:
        for server in (self._https, self._http):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        for server in (self._https, self._http):
            server.shutdown()
            server.server_close()

    def client(self, name: str = "Microsoft", **other: str) -> Client:
        """What an administrator sets about this service."""
        root = f"https://{self.host}:{self.port}"
        addresses = {
            "authorize_url": f"{root}/authorize",
            "token_url": f"{root}/token",
            "device_url": f"{root}/devicecode",
        }
        return Client(**{"id": CLIENT_ID, "name": name, "scope": "mail", **addresses, **other})

    # What people do.

    def mend(self) -> None:
        """As at the start, but for the consents."""
        self.refuses, self.is_down, self.life, self.interval, self.rotates = "", False, 3600, 1, True
        self.asked.clear()

    def type_code(self, user_code: str, who: str, *, declines: bool = False) -> None:
        """Somebody opens the page, types the code and agrees."""
        device = next(one for one in self._devices.values() if one.user_code == user_code)
        device.who, device.declined = who, declines

    def codes(self) -> list[str]:
        """The codes that wait for somebody to type them."""
        return [one.user_code for one in list(self._devices.values()) if not one.who]

    def ask_for_patience(self, user_code: str, times: int = 1) -> None:
        next(one for one in self._devices.values() if one.user_code == user_code).slow_down = times

    def agree(self, url: str, *, declines: bool = False) -> str:
        """Somebody opens the page of that address and agrees: where their browser is sent."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        answer = {"state": asked["state"]}
        if declines:
            answer |= {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."}
        else:
            code = secrets.token_urlsafe(24)
            self._pages[code] = asked
            answer["code"] = code
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def tokens(self, who: str) -> dict[str, str]:
        """Tokens for somebody who has agreed already."""
        with self._lock:
            return self._give(self._agreed(who))

    def end_access(self, who: str) -> None:
        """Let the access tokens of somebody end before their time; the refresh tokens stand."""
        for consent in self._of(who):
            consent.access.clear()

    def withdraw(self, who: str, refusal: str = "withdrawn") -> None:
        """Let somebody take their consent back."""
        for consent in self._of(who):
            consent.access.clear()
            consent.ended = refusal

    def is_good(self, token: str) -> str:
        """Whose token that is; empty where it is nobody's any more."""
        return next((one.who for one in self._consents if token in one.access), "")

    def _of(self, who: str) -> list[_Consent]:
        return [one for one in self._consents if one.who == who]

    # What it answers.

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if path == "/introspect":
            return self._introspect(form)
        if self.is_down:
            return 503, {}
        if self.refuses or form.get("client_id") != CLIENT_ID:
            return _refused(self.refuses or "unknown client")
        kinds = {
            "refresh_token": self._refreshed,
            "authorization_code": self._for_page,
            "urn:ietf:params:oauth:grant-type:device_code": self._for_device,
        }
        with self._lock:
            return self._new_device() if path == "/devicecode" else kinds[form["grant_type"]](form)

    def _new_device(self) -> tuple[int, dict[str, Any]]:
        code = secrets.token_urlsafe(24)
        device = self._devices[code] = _Device(user_code=secrets.token_hex(4).upper())
        page = f"https://{self.host}:{self.port}/device"
        found = {"device_code": code, "user_code": device.user_code, "verification_uri": page}
        return 200, {**found, "expires_in": 900, "interval": self.interval, "message": "To sign in, open the page."}

    def _for_device(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        device = self._devices.get(form["device_code"])
        if device is None:
            return 400, {"error": "bad_verification_code", "error_description": "AADSTS70019: unknown code"}
        if device.declined:
            return 400, {"error": "authorization_declined", "error_description": "AADSTS65004: User declined."}
        if device.slow_down:
            device.slow_down -= 1
            return 400, {"error": "slow_down"}
        if not device.who:
            return 400, {"error": "authorization_pending", "error_description": "AADSTS70016: pending."}
        del self._devices[form["device_code"]]
        return 200, self._give(self._agreed(device.who))

    def _for_page(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self._pages.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "AADSTS501481: The code does not match."}
        return 200, self._give(self._agreed(asked["login_hint"]))

    def _refreshed(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        used = form["refresh_token"]
        consent = next((one for one in self._consents if one.refresh.split(".")[0] == used.split(".")[0]), None)
        if consent is None:
            return _refused("revoked at Google")
        if consent.ended:
            return _refused(consent.ended)
        if consent.refresh != used:  # used before: whoever did it first may be a thief
            consent.access.clear()
            consent.ended = "revoked at Google"
            return _refused(consent.ended)
        return 200, self._give(consent, again=self.rotates)

    def _introspect(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.is_down:
            return 503, {}
        who = self.is_good(form.get("token", ""))
        return 200, {"active": "true" if who else "false", "email": who or "nobody@fernmoor.example"}

    def verdict(self, who: str, token: str) -> bytes:
        """What Exim takes for yes, for no, and for trouble."""
        if self.is_down:
            return b"trouble"
        return b"yes" if who and self.is_good(token) == who else b"no"

    def _agreed(self, who: str) -> _Consent:
        self._consents.append(_Consent(who=who, refresh=f"{secrets.token_urlsafe(24)}.0".replace("_", "-")))
        return self._consents[-1]

    def _give(self, consent: _Consent, *, again: bool = False) -> dict[str, Any]:
        token = secrets.token_urlsafe(900)  # Microsoft's are about that long
        consent.access.add(token)
        found = {"token_type": "Bearer", "access_token": token, "expires_in": self.life, "scope": "mail"}
        if again:
            family, _, number = consent.refresh.partition(".")
            consent.refresh = f"{family}.{int(number) + 1}"
        elif self.rotates is False and len(consent.access) > 1:
            return found  # Google gives it once
        return {**found, "refresh_token": consent.refresh}


def _refused(refusal: str) -> tuple[int, dict[str, Any]]:
    error, said = _REFUSALS[refusal]
    if said.startswith("AADSTS"):
        said += " Trace ID: 4d3f2c1b-0000 Correlation ID: 11112222-0000 Timestamp: 2026-04-07 08:00:00Z"
    return 401 if error == "invalid_client" else 400, {"error": error, "error_description": said}


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing: a client that does not trust the certificate hangs up."""


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer
    timeout = 10

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._answer({key: values[0] for key, values in query.items()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        self._answer(form)

    def _answer(self, form: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        if path == "/authorize":  # whoever opens it agrees
            self.send_response(302)
            self.send_header("Location", self.issuer.agree(self.path))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        form = {"token": self.headers.get("Authorization", "").removeprefix("Bearer "), **form}
        if path == "/verdict":  # Exim takes what comes back as it is, headers and all
            self.wfile.write(self.issuer.verdict(form.get("user", ""), form.get("token", "")))
            return
        status, found = self.issuer.answer(path, form)
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: a test that fails says why itself."""
