"""A mailbox that is opened at its provider's own page: Microsoft 365, Google, or a service that an administrator names.

The token then goes to both mail servers by SASL: XOAUTH2, as both providers invented it
(https://developers.google.com/workspace/gmail/imap/xoauth2-protocol,
https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth),
or OAUTHBEARER (RFC 7628), which became the standard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from connectors import Asking, AuthExpired, ConnectorError, Host, Misconfigured, PermissionMissing, Way
from connectors._oauth import GOOGLE, MICROSOFT, Bearer, Service, begin_code, begin_page, service
from connectors._oauth import finish as finish_asking
from connectors.email.settings import OTHER, PASSWORD, Server, Settings

XOAUTH2: Final = "XOAUTH2"
OAUTHBEARER: Final = "OAUTHBEARER"

_SCOPES: Final[Mapping[str, str]] = {
    MICROSOFT: "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access",
    GOOGLE: "https://mail.google.com/",
}
# Google gives no code for mail (few scopes are allowed for it); many organisations have Microsoft's codes switched off,
# so that its page is offered as well.
_WAYS: Final[Mapping[str, tuple[Way, ...]]] = {
    PASSWORD: (),
    MICROSOFT: (Way.CODE, Way.PAGE),
    GOOGLE: (Way.PAGE,),
    OTHER: (Way.PAGE, Way.CODE),
}
# What Exchange says where the token is good and the mailbox is closed to it: signing in again would change nothing.
_CLOSED_FOR_READING: Final = "authenticated but not connected"
_CLOSED_FOR_SENDING: Final = ("5.7.139", "SmtpClientAuthentication is disabled")


def ways(sign_in: str) -> tuple[Way, ...]:
    """How an account of that kind is let in, the usual way first."""
    return _WAYS[sign_in]


def begin(settings: Settings, host: Host, way: Way, *, back: str, state: str) -> Asking:
    """What a person is asked to do; raises as ``Authorises.begin``."""
    asked = _service(settings, host)
    if way is Way.PAGE:
        return begin_page(asked, host, back=back, state=state, who=settings.imap.user)
    return begin_code(asked, host)


def finish(settings: Settings, host: Host, asking: Asking, answer: Mapping[str, str]) -> Mapping[str, str]:
    """The tokens; raises as ``Authorises.finish``."""
    return finish_asking(_service(settings, host), host, asking, answer)


def borne(settings: Settings, host: Host) -> Settings:
    """The settings with a token for both servers, where the mailbox is not opened by a password.

    Raises Misconfigured where this installation is not registered with the sign-in service.
    """
    if settings.sign_in == PASSWORD:
        return settings
    bearer = Bearer(_service(settings, host), host)
    return replace(settings, imap=replace(settings.imap, bearer=bearer), smtp=replace(settings.smtp, bearer=bearer))


def _service(settings: Settings, host: Host) -> Service:
    return service(settings.sign_in, host, settings.client, _SCOPES.get(settings.sign_in, ""))


# At the mail servers.


def mechanism(offered: Callable[[str], bool], server: Server) -> str:
    """The mechanism to use among those that ``offered`` says yes to; raises Misconfigured where there is neither."""
    found = next((one for one in (XOAUTH2, OAUTHBEARER) if offered(one)), "")
    if not found:
        sentence = f"“{server.host}” does not let anybody in by a provider's sign-in page (XOAUTH2)."
        raise Misconfigured(sentence, f"{server.protocol}_host")
    return found


def token_message(name: str, server: Server, token: str) -> bytes:
    """What a mechanism sends first."""
    if name == XOAUTH2:
        return f"user={server.user}\1auth=Bearer {token}\1\1".encode()
    who = server.user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 section 4
    return f"n,a={who},\1host={server.host}\1port={server.port}\1auth=Bearer {token}\1\1".encode()


def last_word(name: str) -> bytes:
    """What a mechanism answers where the server explains its refusal: only then comes the verdict."""
    return b"" if name == XOAUTH2 else b"\1"


def present(bearer: Bearer, show: Callable[[str], None]) -> None:
    """Show the server our token, and once more a fresh one where it does not take the first.

    A server may end a token before its time: a password was changed, an administrator has signed everybody out.
    """
    token = bearer.token()
    try:
        show(token)
    except AuthExpired:
        show(bearer.renewed(token))


def refused(server: Server, service_name: str, said: str, words: str) -> ConnectorError:
    """The interface's error for a token that a server did not take; ``words`` are its own, in brackets."""
    if _CLOSED_FOR_READING in said:
        return PermissionMissing(
            f"{service_name} lets us in, but not into the mailbox {server.user}: is IMAP allowed for it, and is that "
            "its address?"
        )
    if any(one in said for one in _CLOSED_FOR_SENDING):
        return PermissionMissing(
            f"{service_name} lets {server.user} send nothing by SMTP. Its administrator can allow “Authenticated SMTP”."
        )
    return AuthExpired(
        f"“{server.host}” does not take the sign-in at {service_name} for {server.user}{words}. Sign in again, as "
        f"{server.user}."
    )
