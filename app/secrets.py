"""Keys of the deployment and what they seal. The keys lie beside the database, never in it."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Keys:
    """What must not be lost, and must be neither in the database nor in a log.

    Without ``seal`` no account can sign in, without ``audit`` no seal is checked.

    ``seal``: Fernet keys, newest first. ``session`` signs cookies, ``ids`` the Message-IDs we make, ``audit`` the audit
    chain, ``passwords`` is the pepper of password hashes.
    """

    seal: tuple[str, ...]
    session: str
    ids: str
    audit: str
    passwords: str


def keys(folder: Path) -> Keys:
    """The keys in ``folder``, made at the first start in a file that only its owner can read.

    Raises Problem when the file is there but cannot be used: making new keys then would lock out every account for
    good.
    """
    return found(folder) or put(folder, _made())


def found(folder: Path) -> Keys | None:
    """The keys in ``folder``, or ``None`` where there are none. Raises Problem as ``keys`` does."""
    path = key_file(folder)
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Problem("The key file %(path)s cannot be read: %(why)s", path=path, why=error) from error
    return from_text(text, path)


def put(folder: Path, made: Keys) -> Keys:
    """Keep keys in ``folder``: these, or those that somebody else has put there at the same moment."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _write(key_file(folder), made)


def key_file(folder: Path) -> Path:
    """Where they lie."""
    return folder / "keys.json"


def as_text(made: Keys) -> str:
    """Keys as they stand in the file."""
    return json.dumps({name: getattr(made, name) for name in Keys.__slots__}, indent=1)


def from_text(text: str, path: Path) -> Keys:
    """The keys that ``as_text`` wrote; raises Problem, naming the file, where they are not all there."""
    try:
        given = json.loads(text)
        return Keys(**{**given, "seal": tuple(given["seal"])})
    except ValueError as error:
        raise Problem("The key file %(path)s cannot be read: %(why)s", path=path, why=error) from error
    except (KeyError, TypeError) as error:
        raise Problem("The key file %(path)s is not complete.", path=path) from error


def keyed_hash(key: str, *words: object) -> str:
    """What stands for ``words`` where they must not be known: nobody without ``key`` can tell, or try, which they are.

    64 hex digits. The first word says what it is for.
    """
    return hmac.digest(key.encode(), json.dumps(words).encode(), "sha256").hex()


def _made() -> Keys:
    return Keys(
        seal=(Fernet.generate_key().decode(),),
        session=secrets.token_urlsafe(48),
        ids=secrets.token_urlsafe(48),
        audit=secrets.token_urlsafe(48),
        passwords=secrets.token_urlsafe(32),
    )


def _write(path: Path, made: Keys) -> Keys:
    """Write the whole file or nothing; when two processes start at once, the first wins and both use its keys."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")  # no process id: two containers have the same
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(as_text(made))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        return keys(path.parent)
    finally:
        new.unlink()
    _sync(path.parent)
    return made


def _sync(folder: Path) -> None:
    """Have the folder's own entries survive a power cut: what is sealed from here on opens with these keys only."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Sealer:
    """Seals the secrets of connected accounts. Old keys still open; the newest seals."""

    def __init__(self, seal_keys: tuple[str, ...]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in seal_keys])

    def seal(self, secret: Mapping[str, str]) -> bytes:
        """``secret`` as bytes that only this deployment's keys open."""
        return self._fernet.encrypt(json.dumps(dict(secret)).encode())

    def open(self, sealed: bytes) -> dict[str, str]:
        """What ``seal`` was given; raises Problem when none of the keys fits."""
        try:
            opened: dict[str, str] = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise Problem("The saved password was sealed with another key. Enter it again to reconnect.") from error
        return opened

    def rotate(self, sealed: bytes) -> bytes:
        """The same secret under the newest key."""
        return self._fernet.rotate(sealed)
