"""Servers for the tests of channels."""

from tests.servers.fixtures import address, dovecot, smtp

__all__ = ["address", "dovecot", "smtp"]
