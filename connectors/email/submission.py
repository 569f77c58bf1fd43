"""A mail handed to the account's own server over SMTP: one attempt, and exactly what became of it."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from connectors import Ambiguous, AuthExpired, ConnectorError, Misconfigured, Prepared, Refused, TooLong, Transient
from connectors._address import trust
from connectors._oauth import Bearer
from connectors.email import consent
from connectors.email.line import READ_SECONDS, in_words, no_starttls, open_line
from connectors.email.settings import STARTTLS, Server

_VERDICT_SECONDS: Final = 120.0  # some servers look for viruses before they answer the final dot
_GOODBYE_SECONDS: Final = 5.0
_ACCEPTED, _GO_AHEAD, _CONTINUE, _SIGNED_IN = 250, 354, 334, 235
_FINAL: Final = 500  # from here on a reply code means: never (RFC 5321 section 4.2.1)
_TOO_LARGE: Final = 552
_WRONG_PASSWORD: Final = frozenset({530, 534, 535, 538})


class _Lines:
    """What the server says, line by line, and whether the last line was one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.is_whole = True

    def readline(self, most: int) -> bytes:
        line = self._file.readline(most)
        self.is_whole = line.endswith(b"\n")
        return line

    def close(self) -> None:
        self._file.close()


class _Smtp(smtplib.SMTP):
    """smtplib over a socket of our own making. Says nothing of this machine in its greeting."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._line = line
        super().__init__(local_hostname="[127.0.0.1]", timeout=READ_SECONDS)
        self._host = server.host  # what starttls() checks the certificate against

    def _get_socket(self, *_: object) -> socket.socket:
        return self._line

    def getreply(self) -> tuple[int, bytes]:
        """The next reply. smtplib takes half a line for one as well: ``is_whole`` tells."""
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock.makefile("rb"))
        return super().getreply()

    @property
    def is_whole(self) -> bool:
        return not isinstance(self.file, _Lines) or self.file.is_whole


def deliver(server: Server, allowed: frozenset[str], prepared: Prepared) -> None:
    """Hand over one mail to all its recipients or to none.

    Raises Ambiguous where the answer to the final dot did not come; before that nothing has got out: Refused or TooLong
    (never), Transient (later), AuthExpired, Misconfigured.
    """
    with _signed_in(server, allowed) as smtp:
        most = _largest(smtp)
        if most is not None and most < len(prepared.payload):
            raise TooLong(f"This mail is larger than “{server.host}” takes ({most // 1_000_000} MB).")
        with _before_the_dot(server):
            _sender(smtp, prepared.meta["from"])
            for recipient in prepared.meta["to"]:
                _accepted(smtp.rcpt(recipient), f"The mail server does not take mail to {recipient}")
            _accepted(smtp.docmd("DATA"), "The mail server did not want the mail", wanted=_GO_AHEAD)
            if not smtp.is_whole:
                raise smtplib.SMTPServerDisconnected("cut in the middle of its answer")
            body = smtplib._quote_periods(prepared.payload)  # type: ignore[attr-defined]  # noqa: SLF001
            smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")
        _accepted(_verdict(smtp), "The mail server did not take the mail")


def try_out(server: Server, allowed: frozenset[str], address: str) -> int | None:
    """Sign in and ask whether we may send as ``address``, without sending; raises as :func:`deliver` does.

    Returns how many bytes a mail may have, ``None`` where the server does not say.
    """
    with _signed_in(server, allowed) as smtp, _before_the_dot(server):
        try:
            _sender(smtp, address)
        except Refused as error:
            raise Misconfigured(str(error), "address") from error
        smtp.rset()
        return _largest(smtp)


def _largest(smtp: smtplib.SMTP) -> int | None:
    """What the server takes at most (SIZE, RFC 1870); 0 there means that it sets no limit of its own."""
    most = smtp.esmtp_features.get("size", "")
    return int(most) if most.isdecimal() and int(most) > 0 else None


def _verdict(smtp: smtplib.SMTP) -> tuple[int, bytes]:
    """What the server says to the final dot. From the moment it is on its way we cannot know without an answer."""
    try:
        if smtp.sock is not None:
            smtp.sock.settimeout(_VERDICT_SECONDS)
        smtp.send(b".\r\n")
        code, text = smtp.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise Ambiguous("The mail server took the mail but did not say that it accepted it.") from error
    if not 200 <= code < 600:  # noqa: PLR2004 - the range of reply codes
        raise Ambiguous("The mail server's answer to the mail could not be understood.")
    return code, text


@contextmanager
def _signed_in(server: Server, allowed: frozenset[str]) -> Iterator[_Smtp]:
    """A signed-in, encrypted line; hung up at the end, with a goodbye only where all went well."""
    with _before_the_dot(server):
        smtp = _Smtp(server, open_line(server, allowed))
    try:
        with _before_the_dot(server):
            _greet(smtp, server)
            _sign_in(smtp, server)
        yield smtp
        _say_goodbye(smtp)
    finally:
        smtp.close()


def _greet(smtp: smtplib.SMTP, server: Server) -> None:
    """Exchange greetings and be encrypted afterwards, or stop. Nothing said here is about the mail, however final."""
    _accepted(
        smtp.connect(server.host, server.port), "The mail server is not taking calls", wanted=220, never=Transient
    )
    _accepted(smtp.ehlo(), "The mail server did not greet us", never=Transient)
    if server.security == STARTTLS:
        if not smtp.has_extn("starttls"):
            raise no_starttls(server)
        smtp.starttls(context=trust())
        _accepted(smtp.ehlo(), "The mail server did not greet us", never=Transient)


def _sign_in(smtp: smtplib.SMTP, server: Server) -> None:
    """By a token; or by PLAIN or LOGIN, in UTF-8 (smtplib's own login takes ASCII passwords alone)."""
    bearer = server.bearer
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    if bearer is not None:
        consent.present(bearer, lambda token: _show_token(smtp, server, bearer, token))
        return
    if "PLAIN" in offered:
        whole = b"\0".join((b"", server.user.encode(), server.password.encode()))
        code, text = smtp.docmd("AUTH", f"PLAIN {base64.b64encode(whole).decode()}")
    elif "LOGIN" in offered:
        code, text = smtp.docmd("AUTH", "LOGIN")
        for secret in (server.user, server.password):
            if code == _CONTINUE:
                code, text = smtp.docmd(base64.b64encode(secret.encode()).decode())
    else:
        raise Misconfigured(f"“{server.host}” lets nobody sign in with a password.", "smtp_host")
    if code in _WRONG_PASSWORD or code >= _FINAL:
        raise AuthExpired(f"“{server.host}” does not accept the user name or the password for sending{_said(text)}.")
    if code != _SIGNED_IN:
        raise Transient(f"“{server.host}” cannot check the password just now{_said(text)}.")


def _show_token(smtp: smtplib.SMTP, server: Server, bearer: Bearer, token: str) -> None:
    """AUTH with an access token; raises AuthExpired where the server does not take it.

    The token goes in a line of its own: with it AUTH would be longer than a command may be (RFC 4954 section 4).
    """
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    mechanism = consent.mechanism(lambda name: name in offered, server)
    code, text = smtp.docmd("AUTH", mechanism)
    for message in (consent.token_message(mechanism, server, token), consent.last_word(mechanism)):
        if code == _CONTINUE:  # the second time it explains its refusal, and waits before it gives its verdict
            code, text = smtp.docmd(base64.b64encode(message).decode())
    if code in _WRONG_PASSWORD or code >= _FINAL:
        raise consent.refused(server, bearer.service, text.decode("utf-8", "replace"), _said(text))
    if code != _SIGNED_IN:
        raise Transient(f"“{server.host}” cannot check the sign-in just now{_said(text)}.")


def _sender(smtp: smtplib.SMTP, address: str) -> None:
    _accepted(smtp.mail(address), f"The mail server does not let us send as {address}")


def _accepted(
    reply: tuple[int, bytes], otherwise: str, wanted: int = _ACCEPTED, never: type[ConnectorError] = Refused
) -> None:
    """Nothing where the server agreed; raises what its reply code means."""
    code, text = reply
    if code == wanted or (wanted == _ACCEPTED and 200 <= code < 300):  # noqa: PLR2004 - the range that means yes
        return
    sentence = f"{otherwise}{_said(text)}."
    if code == _TOO_LARGE:
        raise TooLong(sentence)
    if code in _WRONG_PASSWORD:
        raise AuthExpired(sentence)
    raise never(sentence) if code >= _FINAL else Transient(sentence)


def _said(text: bytes) -> str:
    """The server's own words, in brackets; they are often the only clue."""
    words = " ".join(text.decode("utf-8", "replace").split())
    words = "".join(c for c in words if c.isprintable()).rstrip(".")
    return f" ({words[:200]})" if words else ""


@contextmanager
def _before_the_dot(server: Server) -> Iterator[None]:
    """Failures while certainly nothing has got out, in the interface's terms."""
    try:
        yield
    except ConnectorError:
        raise
    except smtplib.SMTPServerDisconnected as error:
        if isinstance(error.__context__, OSError):
            raise in_words(error.__context__, server) from error
        raise Transient(f"“{server.host}” hung up.") from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        raise Transient(f"“{server.host}” gave an answer that does not help{_said(said)}.") from error
    except smtplib.SMTPException as error:
        raise Transient(f"“{server.host}” gave an answer that does not help.") from error
    except OSError as error:
        raise in_words(error, server) from error


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    """QUIT, as the server expects; what comes back does not matter any more."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        if smtp.sock is not None:
            smtp.sock.settimeout(_GOODBYE_SECONDS)
        smtp.quit()
