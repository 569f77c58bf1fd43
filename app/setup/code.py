"""Who may begin an install that nobody looks after yet: whoever sits at the machine, or can read its files."""

from __future__ import annotations

import hmac
import os
import secrets
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_log = structlog.stdlib.get_logger(__name__)


def is_here(remote: str | None, host: str, forwarded: str | None) -> bool:
    """Whether a request comes from the machine itself: from its own address, by its own name, through nobody else."""
    try:
        is_own = ip_address(remote or "").is_loopback
    except ValueError:
        return False
    return is_own and forwarded is None and host.rpartition(":")[0] in {"localhost", "127.0.0.1", "[::1]"}


def announce(folder: Path) -> None:
    """Make the code when there is none, and say in the log where it is: somebody from elsewhere has asked for it."""
    path = _path(folder)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(made, "w") as file:
            groups = ["".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3)]
            file.write("-".join(groups))
    _log.warning("set-up asked for from another machine", code=path.read_text(), file=str(path))


def fits(folder: Path, given: str) -> bool:
    """Whether ``given`` is the code; there is none until it was announced."""
    try:
        code = _path(folder).read_text()
    except FileNotFoundError:
        return False
    return hmac.compare_digest(_plain(code), _plain(given))


def forget(folder: Path) -> None:
    """The install is begun: the code is good for nothing any more."""
    _path(folder).unlink(missing_ok=True)


def _plain(code: str) -> bytes:
    return "".join(letter for letter in code.upper() if letter.isalnum()).encode()


def _path(folder: Path) -> Path:
    return folder / "setup-code"
