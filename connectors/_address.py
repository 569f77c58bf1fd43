"""A line to a host that a person typed in: never into the machine's own network, unless an administrator allows it.

The name is resolved once, its addresses are checked, and one of those is dialled: a name that answers differently the
second time gains nothing. TLS still checks the certificate against the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection
from typing import Final

CONNECT_SECONDS: Final = 15.0
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address stands in the last 32 bits


class NotAllowed(OSError):  # noqa: N818 - reads as a finding
    """Every address of the host is private or special, and nobody has allowed it."""


def is_public(address: str) -> bool:
    """Whether an address is out on the internet: global unicast, whatever IPv4 address it carries inside as well."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in _NAT64:
            inside = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inside and not is_public(str(inside)):
            return False
    return found.is_global and not found.is_multicast


def is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Whether an administrator's list names the host, alone or with this port."""
    return host.lower() in allowed or f"{host.lower()}:{port}" in allowed


def addresses(host: str, port: int, allowed: Collection[str]) -> tuple[str, ...]:
    """The addresses of a host that may be dialled, in the resolver's order.

    Raises socket.gaierror where the name is unknown, NotAllowed where every address is private or special.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that no host name can have
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    every = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    usable = every if is_allowed(host, port, allowed) else tuple(one for one in every if is_public(one))
    if not usable:
        raise NotAllowed(f"{host} has private or special addresses only")
    return usable


def dial(host: str, port: int, allowed: Collection[str]) -> socket.socket:
    """A connected socket, its time limit set; raises what :func:`addresses` raises, or OSError."""
    failure: OSError = NotAllowed(host)
    for address in addresses(host, port, allowed):
        try:
            return socket.create_connection((address, port), CONNECT_SECONDS)
        except OSError as error:
            failure = error
    raise failure


def trust() -> ssl.SSLContext:
    """Certificates checked against the system's authorities and the name dialled, TLS 1.2 or newer.

    OpenSSL's own variables ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other authorities, for an office with its own.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
