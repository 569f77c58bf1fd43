"""A line to a mail server, and what went wrong with it in words that name the setting."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from connectors import ConnectorError, Misconfigured, Transient
from connectors._address import NotAllowed, dial, trust
from connectors.email.settings import TLS, Server

READ_SECONDS: Final = 45.0
# A line on which nobody speaks for long is asked for a sign of life by the operating system itself.
_QUIET_SECONDS, _ASKED_EVERY, _ASKED_TIMES = 60, 15, 4

# OpenSSL's verdicts on a certificate: https://docs.openssl.org/3.0/man1/openssl-verification-options/
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 9, 10, 18, 19
_OTHER_NAME, _OTHER_ADDRESS = 62, 64


def open_line(server: Server, allowed: frozenset[str]) -> socket.socket:
    """A socket to the server, already encrypted where that is wanted from the start; raises OSError."""
    line = dial(server.host, server.port, allowed)
    be_patient(line)
    if server.security != TLS:
        return line
    try:
        return trust().wrap_socket(line, server_hostname=server.host)
    except OSError:
        line.close()
        raise


def be_patient(line: socket.socket, seconds: float | None = None) -> None:
    """Wait as long as usual for each answer, or for ``seconds``."""
    line.settimeout(READ_SECONDS if seconds is None else seconds)


def keep_alive(line: socket.socket) -> None:
    """Have the operating system find out within two minutes that nobody is at the other end any more.

    It also keeps routers from forgetting a line on which nothing is said.
    """
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _QUIET_SECONDS),
        ("TCP_KEEPINTVL", _ASKED_EVERY),
        ("TCP_KEEPCNT", _ASKED_TIMES),
    ):
        if hasattr(socket, name):  # not every system lets a program choose
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def in_words(error: OSError, server: Server) -> ConnectorError:
    """The interface's error for a line that failed: Misconfigured names the setting, Transient is nobody's fault."""
    where = f"on port {server.port}"
    if isinstance(error, NotAllowed | socket.gaierror):
        return _of_name(error, server)
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, server)
    if isinstance(error, ConnectionRefusedError):
        return Misconfigured(f"“{server.host}” does not answer {where}.", f"{server.protocol}_port")
    if isinstance(error, TimeoutError):
        return Misconfigured(f"“{server.host}” did not answer {where} in time.", f"{server.protocol}_port")
    return Transient(f"The line to “{server.host}” broke: {error.strerror or error}.")


def _of_name(error: NotAllowed | socket.gaierror, server: Server) -> ConnectorError:
    field = f"{server.protocol}_host"
    if isinstance(error, NotAllowed):
        return Misconfigured(f"“{server.host}” lies inside a private network. An administrator can allow it.", field)
    if error.errno == socket.EAI_AGAIN:
        return Transient(f"The name “{server.host}” cannot be looked up just now.")
    return Misconfigured(f"There is no server called “{server.host}”.", field)


def _of_tls(error: ssl.SSLError, server: Server) -> ConnectorError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(_of_certificate(error, server.host), f"{server.protocol}_host")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Transient(f"“{server.host}” hung up.")
    sentence = f"“{server.host}” does not speak TLS on port {server.port}. Check the port and the encryption."
    return Misconfigured(sentence, f"{server.protocol}_security")


def no_starttls(server: Server) -> Misconfigured:
    """The server offers no encryption after its greeting; we never go on without."""
    return Misconfigured(
        f"“{server.host}” offers no encryption (STARTTLS) on port {server.port}; a password never goes out without.",
        f"{server.protocol}_security",
    )


def _of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code == _EXPIRED:
        return f"The certificate of “{host}” has expired."
    if error.verify_code == _NOT_YET_VALID:
        return f"The certificate of “{host}” is not valid yet. Is this machine's clock right?"
    if error.verify_code in {_OTHER_NAME, _OTHER_ADDRESS}:
        return f"The certificate is not for “{host}”. Is that the server's right name?"
    if error.verify_code in {_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN}:
        return f"The certificate of “{host}” is signed by itself, so nobody vouches for it."
    return f"The certificate of “{host}” is signed by nobody this machine trusts."
