"""Hosts that a person typed in: the machine's own network stays out of reach."""

from __future__ import annotations

import socket

import pytest

from connectors._address import NotAllowed, addresses, dial, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - refused, not bound
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "2001:db8::1",
    ],
)
def test_a_private_or_special_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_out_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "::1", "[::1]"])
def test_no_way_of_writing_this_machine_gets_through(host: str) -> None:
    with pytest.raises((NotAllowed, socket.gaierror)):
        addresses(host, 993, frozenset())


def test_an_administrator_allows_a_host_or_one_port_of_it() -> None:
    assert addresses("127.0.0.1", 993, {"127.0.0.1"}) == ("127.0.0.1",)
    assert addresses("127.0.0.1", 993, {"127.0.0.1:993"}) == ("127.0.0.1",)
    with pytest.raises(NotAllowed):
        addresses("127.0.0.1", 143, {"127.0.0.1:993"})


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", "nothing.invalid"])
def test_a_name_that_is_no_host_is_unknown(host: str) -> None:
    with pytest.raises(socket.gaierror):
        addresses(host, 993, frozenset())


def test_what_is_dialled_is_one_of_the_addresses_that_were_checked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with dial("localhost", port, {"localhost"}) as line:
            assert line.getpeername() == ("127.0.0.1", port)
        with pytest.raises(NotAllowed):
            dial("localhost", port, frozenset())
