"""The envelope of a backup: age (age-encryption.org/v1), so that any age program opens it as well.

For a recipient (``age1…``) the file is one age stream. The library streams for keys only, so for a passphrase every
file has a key of its own: sealed by the passphrase it stands first, armoured, and the stream that follows is for it.
Encrypting and decrypting are done in a thread at the other end of a pipe: nothing is held but what is in the pipe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import pyrage

from app.errors import Invalid, Problem

_BUFFER: Final = 512 * 1024  # bytes
_BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
_END: Final = b"-----END AGE ENCRYPTED FILE-----\n"
_HEAD_MOST: Final = 64  # lines; a sealed key takes about ten


class Damaged(Problem):
    """What stands in the file is not what was written there: the fault lies within 64 KiB before byte ``at``."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(
            "The backup is damaged shortly before byte %(at)s, in %(what)s. It cannot be restored.", at=at, what=what
        )
        self.at = at


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Lock:
    """How a backup is closed: with a passphrase, or for the recipients whose public keys (``age1…``) are given."""

    passphrase: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Key:
    """What opens it: the passphrase, or the secret keys of a recipient (``AGE-SECRET-KEY-1…``)."""

    passphrase: str = ""
    identities: tuple[str, ...] = ()


def check(lock: Lock) -> None:
    """Raises Invalid for a recipient that is none, and for no passphrase: before any work is done."""
    if lock.recipients:
        _recipients(lock)
    elif not lock.passphrase:
        raise Invalid("Give a passphrase for the backup, or a recipient.")


@contextmanager
def sealed(file: BinaryIO, lock: Lock) -> Iterator[BinaryIO]:
    """Where to write what is to stand in ``file``, encrypted. Raises Invalid for a recipient that is none.

    What writing to ``file`` raises is raised here as it is.
    """
    recipients = _recipients(lock) if lock.recipients else [_own_key(file, lock.passphrase)]
    source, sink = os.pipe()
    with ThreadPoolExecutor(1, "encrypting") as thread:
        work = thread.submit(_encrypt, source, file, recipients)
        try:
            with open(sink, "wb", buffering=_BUFFER) as plain:  # noqa: PTH123 - a descriptor has no path
                yield plain
        except BrokenPipeError:  # the thread has ended, and knows why
            work.result()
            raise
        work.result()


@contextmanager
def opened(file: BinaryIO, key: Key) -> Iterator[Plain]:
    """What stands in ``file``. Raises Problem where ``key`` does not open it, and Damaged at a read."""
    counted = _Remembered(file)
    identities = _identities(counted, key)
    source, sink = os.pipe()
    with ThreadPoolExecutor(1, "decrypting") as thread:
        work = thread.submit(_decrypt, counted, sink, identities)
        with open(source, "rb", buffering=_BUFFER) as pipe:  # noqa: PTH123 - a descriptor has no path
            yield Plain(pipe, work, counted)


class Plain:
    """A backup, decrypted while it is read. A short read is its end, or raises why there is no more."""

    def __init__(self, pipe: BinaryIO, work: Future[None], source: _Remembered) -> None:
        self._pipe = pipe
        self._work = work
        self._source = source

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end only."""
        data = self._pipe.read(size)
        if len(data) < size:
            self._work.result()
        return data

    @property
    def position(self) -> int:
        """How much of the file was read."""
        return self._source.position


class _Remembered:
    """A file, and how far it was read or written. The library makes words of what it raises: the error is kept here."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        self.error: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            self.error = error
            raise
        self.position += len(data)
        return data

    def readline(self) -> bytes:
        line = self._file.readline()
        self.position += len(line)
        return line

    def write(self, data: bytes) -> int:
        try:
            self.position += self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def _encrypt(source: int, file: BinaryIO, recipients: list[pyrage.x25519.Recipient]) -> None:
    target = _Remembered(file)
    with open(source, "rb", buffering=_BUFFER) as plain:
        try:
            pyrage.encrypt_io(plain, target, recipients)
        except (pyrage.EncryptError, OSError) as error:
            raise target.error or error from error


def _decrypt(source: _Remembered, sink: int, identities: list[pyrage.x25519.Identity]) -> None:
    with open(sink, "wb", buffering=_BUFFER) as plain:
        try:
            pyrage.decrypt_io(source, plain, identities)
        except pyrage.DecryptError as error:
            if "matching" in str(error):
                raise Problem("This key does not open the backup.") from error
            raise Problem("This is not a backup of Postbag, or its beginning is damaged.") from error
        except OSError as error:
            if source.error is not None:
                raise source.error from error
            raise Damaged(source.position, "its encryption") from error


def _recipients(lock: Lock) -> list[pyrage.x25519.Recipient]:
    try:
        return [pyrage.x25519.Recipient.from_str(one) for one in lock.recipients]
    except pyrage.RecipientError as error:
        raise Invalid("A recipient is a public key of age: age1…") from error


def _own_key(file: BinaryIO, passphrase: str) -> pyrage.x25519.Recipient:
    """A key for this file alone, sealed by the passphrase at its beginning. Takes a second: that is what guards it."""
    made = pyrage.x25519.Identity.generate()
    file.write(pyrage.passphrase.encrypt(str(made).encode(), passphrase, armored=True))
    return made.to_public()


def _identities(file: _Remembered, key: Key) -> list[pyrage.x25519.Identity]:
    if not key.passphrase:
        try:
            return [pyrage.x25519.Identity.from_str(one) for one in key.identities]
        except pyrage.IdentityError as error:
            raise Invalid("A key of age begins with AGE-SECRET-KEY-1.") from error
    if file.readline() != _BEGIN:
        raise Problem("This is not a backup that was closed with a passphrase.")
    head = [_BEGIN]
    while head[-1] != _END:
        head.append(file.readline())
        if len(head) > _HEAD_MOST:
            raise Problem("This is not a backup of Postbag, or its beginning is damaged.")
    try:
        secret = pyrage.passphrase.decrypt(b"".join(head), key.passphrase)
        return [pyrage.x25519.Identity.from_str(secret.decode())]
    except pyrage.DecryptError as error:
        raise Problem("The passphrase does not open this backup.") from error
