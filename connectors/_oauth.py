"""Signing in at a platform's own page (OAuth 2): what a person is asked, and the tokens that come of it.

    begin ─→ a code to type (RFC 8628) ────────────────┐
         └─→ a page that comes back (RFC 6749, 7636) ──┴─→ finish ─→ tokens ─(they end)─→ renewed ─→ …
                                                                           └─(consent ended)─→ sign in again

Tokens are a mapping: ``access_token``, ``refresh_token`` and ``ends_at`` (ISO 8601).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from connectors import (
    Asking,
    AuthExpired,
    Client,
    ConnectorError,
    Host,
    Misconfigured,
    NotYet,
    PermissionMissing,
    Transient,
)
from connectors._http import Answer, post_form

MICROSOFT: Final = "microsoft"
GOOGLE: Final = "google"

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_PAGE_STAYS: Final = timedelta(minutes=30)  # how long we wait for a browser to come back
_EARLY: Final = timedelta(minutes=5)  # renewed before it ends, so that no mail waits for it
_USUAL_LIFE: Final = 3600.0  # seconds; RFC 6749 lets a service leave it out
_INTERVAL: Final = 5.0  # seconds, and how much longer to wait when it was too often (RFC 8628 section 3.5)
_SLOWEST: Final = 60.0
_FAILED: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A sign-in service and what we ask of it. ``page`` is what its page is asked beside what the standard names."""

    name: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    authorize_url: str
    token_url: str
    device_url: str
    scope: str
    page: Mapping[str, str] = field(default_factory=dict)


_LOGIN: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code
# https://developers.google.com/identity/protocols/oauth2/native-app
_KNOWN: Final[Mapping[str, Client]] = {
    MICROSOFT: Client(
        id="",
        name="Microsoft",
        tenant="common",
        authorize_url=f"{_LOGIN}/authorize",
        token_url=f"{_LOGIN}/token",
        device_url=f"{_LOGIN}/devicecode",
    ),
    GOOGLE: Client(
        id="",
        name="Google",
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
        device_url="https://oauth2.googleapis.com/device/code",
    ),
}
# Google gives a refresh token only where it is asked for, and a second time only with a new consent.
_PAGE: Final[Mapping[str, Mapping[str, str]]] = {GOOGLE: {"access_type": "offline", "prompt": "consent"}}
_TENANT: Final = re.compile(r"[A-Za-z0-9.-]{1,100}")


def service(key: str, host: Host, own: Client, scope: str) -> Service:
    """The service of that name. What ``own`` (the account's) leaves empty is the installation's, then the service's.

    Raises Misconfigured where nobody has registered this installation with it, or its addresses are not known.
    """
    known, lent = _KNOWN.get(key, Client(id="")), host.clients.get(key, Client(id=""))
    name = lent.name or known.name or "The sign-in service"
    tenant = own.tenant or lent.tenant or known.tenant
    if not own.id and not lent.id:
        raise Misconfigured(
            f"{name} does not know this Postbag yet. Whoever looks after it registers it there once, and sets the "
            "client id; the page about e-mail says how.",
            "client_id",
        )
    if tenant and not _TENANT.fullmatch(tenant):
        raise Misconfigured("This is neither the domain nor the id of an organisation.", "tenant")
    addresses = [
        (given or usual).replace("{tenant}", tenant)
        for given, usual in (
            (lent.authorize_url, known.authorize_url),
            (lent.token_url, known.token_url),
            (lent.device_url, known.device_url),
        )
    ]
    if not addresses[1]:
        raise Misconfigured("Nobody has set the addresses of the sign-in service.", "sign_in")
    return Service(
        name=name,
        client_id=own.id or lent.id,
        client_secret=own.secret if own.id else lent.secret,  # an id and its secret belong together
        authorize_url=addresses[0],
        token_url=addresses[1],
        device_url=addresses[2],
        scope=scope or lent.scope,
        page=_PAGE.get(key, {}),
    )


# Asking a person.


def begin_code(asked: Service, host: Host) -> Asking:
    """A code that a person types at the service's page; raises Misconfigured, PermissionMissing, Transient."""
    form = _filled({"client_id": asked.client_id, "scope": asked.scope})
    answer = post_form(asked.device_url, form, host.allowed_hosts)
    told = answer.content
    url = _text(told, "verification_uri") or _text(told, "verification_url")  # Google calls it so
    if not _text(told, "device_code"):
        raise _refusal(asked, answer)
    if not url.startswith("https://"):
        raise Transient(f"{asked.name} gave no page at which to type the code.")
    return Asking(
        url=url,
        code=_text(told, "user_code"),
        ends_at=host.now() + timedelta(seconds=_number(told, "expires_in", 900.0)),
        interval=timedelta(seconds=min(_number(told, "interval", _INTERVAL), _SLOWEST)),
        secrets={"device_code": _text(told, "device_code")},
    )


def begin_page(asked: Service, host: Host, *, back: str, state: str, who: str) -> Asking:
    """The service's page, which sends the browser to ``back``; no network. ``who`` is suggested there."""
    verifier = secrets.token_urlsafe(64)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "client_id": asked.client_id,
        "response_type": "code",
        "redirect_uri": back,
        "scope": asked.scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": who,
        **asked.page,
    }
    if not asked.authorize_url.startswith("https://"):
        raise Misconfigured("The address of the sign-in service has to begin with https://.")
    joint = "&" if "?" in asked.authorize_url else "?"
    return Asking(
        url=f"{asked.authorize_url}{joint}{urlencode(_filled(query))}",
        ends_at=host.now() + _PAGE_STAYS,
        secrets={"verifier": verifier, "back": back},
    )


def finish(asked: Service, host: Host, asking: Asking, answer: Mapping[str, str]) -> Mapping[str, str]:
    """The tokens, once the person has done it; raises as ``Authorises.finish`` does."""
    if host.now() >= asking.ends_at:
        raise AuthExpired(f"Nobody has signed in at {asked.name} in time. Begin again.")
    if "device_code" in asking.secrets:
        form = {"grant_type": _DEVICE_GRANT, "device_code": asking.secrets["device_code"]}
    elif answer.get("code"):
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": asking.secrets["back"],
            "code_verifier": asking.secrets["verifier"],
        }
    else:
        raise _refusal(asked, Answer(status=400, content=answer))
    came = _post(asked, form, host.allowed_hosts)
    error = _text(came.content, "error")
    if error == "authorization_pending":
        raise NotYet(asking.interval)
    if error == "slow_down":
        raise NotYet(min(asking.interval + timedelta(seconds=_INTERVAL), timedelta(seconds=_SLOWEST)))
    given = _tokens(asked, came, host.now())
    if not given.get("refresh_token"):
        raise PermissionMissing(
            f"{asked.name} let us in for an hour only. Its administrator has to allow lasting access."
        )
    return given


# Being signed in.


class Bearer:
    """The access token of one account, renewed when its time is over or a server does not take it any more."""

    def __init__(self, asked: Service, host: Host) -> None:
        self._service, self._host = asked, host

    @property
    def service(self) -> str:
        """The service's name."""
        return self._service.name

    def token(self) -> str:
        """A token that has not ended; raises AuthExpired, PermissionMissing, Transient."""
        held = self._held()
        left = datetime.fromisoformat(held["ends_at"]) - self._host.now()
        if left > _EARLY:
            return held["access_token"]
        try:
            return self._renewed(held)
        except Transient:
            if left <= timedelta(0):
                raise
            return held["access_token"]  # the service is away, and the old one is good for some minutes

    def renewed(self, refused: str) -> str:
        """Another token in place of one that a server has refused; raises as :meth:`token` does."""
        held = self._held()
        return self._renewed(held) if held["access_token"] == refused else held["access_token"]

    def _held(self) -> Mapping[str, str]:
        held = self._host.tokens.read() if self._host.tokens else {}
        if not held:
            raise AuthExpired(f"Nobody has signed in at {self._service.name} for this account yet.")
        return held

    def _renewed(self, held: Mapping[str, str]) -> str:
        if self._host.tokens is None:
            raise self._over()
        return self._host.tokens.renew(held, self._fetch)["access_token"]

    def _fetch(self, held: Mapping[str, str]) -> Mapping[str, str]:
        """New tokens by the refresh token; a service that gives no other one lets the old one stand."""
        form = {"grant_type": "refresh_token", "refresh_token": held["refresh_token"], "scope": self._service.scope}
        try:
            came = _post(self._service, form, self._host.allowed_hosts)
            given = _tokens(self._service, came, self._host.now(), renewing=True)
        except Misconfigured as error:  # once it worked: what is wrong now is the installation's, not this account's
            raise PermissionMissing(str(error)) from error
        return {**held, **given}

    def _over(self) -> AuthExpired:
        return AuthExpired(_over(self._service))


# What the service says.


def _post(asked: Service, form: Mapping[str, str], allowed: Collection[str]) -> Answer:
    """One question to the token endpoint. The client's secret goes in the form: both services take it there."""
    own = {"client_id": asked.client_id, "client_secret": asked.client_secret}
    return post_form(asked.token_url, _filled({**own, **form}), allowed)


def _filled(form: Mapping[str, str]) -> dict[str, str]:
    """Without what is empty: services tell "no scope" from "the scope of no name"."""
    return {key: value for key, value in form.items() if value}


def _tokens(asked: Service, came: Answer, at: datetime, *, renewing: bool = False) -> dict[str, str]:
    """The tokens of an answer; raises what it says instead."""
    token = _text(came.content, "access_token")
    if not token:
        raise _refusal(asked, came, renewing=renewing)
    if not token.isascii() or not token.isprintable():  # it becomes part of a command to a mail server
        raise Transient(f"{asked.name} gave a token that cannot be used.")
    ends_at = at + timedelta(seconds=_number(came.content, "expires_in", _USUAL_LIFE))
    found = {"access_token": token, "ends_at": ends_at.isoformat()}
    refresh = _text(came.content, "refresh_token")
    return {**found, "refresh_token": refresh} if refresh else found


# Microsoft's codes, as https://learn.microsoft.com/entra/identity-platform/reference-error-codes lists them.
_BY_RULE: Final = (
    "The organisation's rules at Microsoft (Conditional Access) keep Postbag out{said}. Its administrator can allow it."
)
_CLIENT: Final = (
    "Microsoft does not know this client id in this organisation. Is it the application's, and the tenant right?"
)
_SECRET: Final = (
    "Microsoft does not take the client's secret: it is wrong, or has expired. The administrator sets another."  # noqa: S105
)

_WRONG_SETTING: Final[Mapping[int, tuple[str, str]]] = {
    50194: ("tenant", "The application is for one organisation only: its tenant has to be named."),
    90002: ("tenant", "Microsoft knows no organisation of that name."),
    50020: ("tenant", "That sign-in belongs to another organisation than the one named as tenant."),
    700016: ("client_id", _CLIENT),
    70001: ("client_id", _CLIENT),
    7000215: ("client_secret", _SECRET),
    7000222: ("client_secret", _SECRET),
    7000218: (
        "client_id",
        "The application at Microsoft wants a secret: its administrator allows “public client flows”, or sets one.",
    ),
    50011: ("client_id", "The address of this Postbag is not among the application's redirect addresses at Microsoft."),
}
_NOT_ALLOWED: Final[Mapping[int, str]] = {
    65001: "The organisation has not agreed that Postbag reads mail: its Microsoft administrator does that once.",
    90094: "The organisation lets only its Microsoft administrator agree that Postbag reads mail.",
    50105: "The organisation's Microsoft administrator has to assign Postbag to this person first.",
    50131: _BY_RULE,
    53000: _BY_RULE,
    53001: _BY_RULE,
    53003: _BY_RULE,
    530035: _BY_RULE,
}
_WHY_OVER: Final[Mapping[int, str]] = {
    50057: "the person's account is switched off",
    50173: "the password was changed",
    70043: "the organisation asks for it regularly",
    700082: "it was not used for too long",
    65001: "the consent was withdrawn",
    50076: "it asks for a second step",
    50079: "it asks for a second step",
}
_DECLINED: Final = (AuthExpired, "The sign-in at {name} was declined. Nothing was changed.")
_TOO_LATE: Final = (AuthExpired, "Nobody has signed in at {name} in time. Begin again.")
_USED_UP: Final = (AuthExpired, "{name} does not take this sign-in any more{said}. Begin again.")
_UNKNOWN: Final = (Misconfigured, "{name} does not know this client id, or not its secret{said}.")
_NOT_TAKEN: Final = (Misconfigured, "{name} does not take what we ask{said}.")
_CLOSED: Final = (PermissionMissing, "The organisation's administrator at {name} has to allow Postbag first{said}.")
_BY_NAME: Final[Mapping[str, tuple[type[AuthExpired | Misconfigured | PermissionMissing | Transient], str]]] = {
    "access_denied": _DECLINED,
    "authorization_declined": _DECLINED,
    "expired_token": _TOO_LATE,
    "code_expired": _TOO_LATE,
    "invalid_grant": _USED_UP,
    "bad_verification_code": _USED_UP,
    "invalid_client": _UNKNOWN,
    "unauthorized_client": _UNKNOWN,
    "deleted_client": _UNKNOWN,
    "invalid_scope": _NOT_TAKEN,
    "invalid_request": _NOT_TAKEN,
    "redirect_uri_mismatch": _NOT_TAKEN,
    "unsupported_grant_type": _NOT_TAKEN,
    "admin_policy_enforced": _CLOSED,
    "org_internal": _CLOSED,
    "consent_required": _CLOSED,
    "interaction_required": _CLOSED,
    "login_required": _CLOSED,
}
_SIGN_IN_AGAIN: Final = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_AADSTS: Final = re.compile(r"\bAADSTS(\d{5,8})\b")


def _refusal(asked: Service, came: Answer, *, renewing: bool = False) -> ConnectorError:
    """The interface's error for an answer that holds no token."""
    error, said = _text(came.content, "error"), _text(came.content, "error_description")
    found = _AADSTS.search(said)
    code = int(found[1]) if found else 0
    if came.status >= _FAILED or error in {"server_error", "temporarily_unavailable"} or not error:
        return Transient(f"{asked.name} could not do it just now.")
    if code in _WRONG_SETTING:
        which, sentence = _WRONG_SETTING[code]
        return Misconfigured(sentence, which)
    if code in _NOT_ALLOWED and not (renewing and code in _WHY_OVER):
        return PermissionMissing(_NOT_ALLOWED[code].format(said=f" (AADSTS{code})"))
    if renewing and error in _SIGN_IN_AGAIN:
        return AuthExpired(_over(asked, _WHY_OVER.get(code, "")))
    return _by_name(asked, error, said)


def _by_name(asked: Service, error: str, said: str) -> ConnectorError:
    """What the standard's own names of errors mean (RFC 6749 section 5.2, RFC 8628 section 3.5)."""
    kind, sentence = _BY_NAME.get(error, (Transient, "{name} could not do it just now{said}."))
    words = sentence.format(name=asked.name, said=_in_brackets(said or error))
    return Misconfigured(words, "client_id") if kind is Misconfigured else kind(words)


def _over(asked: Service, why: str = "") -> str:
    return f"{asked.name} no longer lets Postbag into this account{_in_brackets(why)}: sign in again."


def _in_brackets(said: str) -> str:
    """The service's own first line, without the numbers that Microsoft adds for its support."""
    words = said.partition("Trace ID")[0].partition("\n")[0]
    words = "".join(letter for letter in words if letter.isprintable()).strip().rstrip(".")
    return f" ({words[:200]})" if words else ""


def _text(content: Mapping[str, object], key: str) -> str:
    found = content.get(key)
    return found if isinstance(found, str) else ""


def _number(content: Mapping[str, object], key: str, otherwise: float) -> float:
    """A span in seconds, between nothing and ninety days, whatever the service says."""
    found = content.get(key)
    if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) < 10:  # noqa: PLR2004
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
        return otherwise
    return min(float(found), 90 * 86400.0)
