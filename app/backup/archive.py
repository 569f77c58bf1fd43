"""What stands in a backup, and in which order: a tar archive, written and read from the front to the end.

about.json                 which version of the tables, when, from which database
keys.json, erasures.jsonl  what lies beside the database
rows/<table>/<n>.jsonl.gz  a megabyte of rows each, tables before those that point to them
store/<office>/<sha256>    the bytes that those rows name
manifest.json              the hash of everything before it, and counts: without it the backup is not whole
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from app.backup.envelope import Damaged, Plain
from app.store import CHUNK

ABOUT: Final = "about.json"
KEYS: Final = "keys.json"
ERASURES: Final = "erasures.jsonl"
MANIFEST: Final = "manifest.json"
ROWS: Final = "rows/"
STORE: Final = "store/"
IN_MEMORY: Final = 8 * 1024 * 1024  # bytes: what is larger is never held whole


@dataclass(kw_only=True, slots=True)
class Contents:
    """What a backup holds. Of the store a running hash is kept over all names: each is the hash of its contents."""

    members: dict[str, str] = field(default_factory=dict)  # name → SHA-256
    rows: dict[str, int] = field(default_factory=dict)  # table → how many
    objects: int = 0
    object_bytes: int = 0
    objects_sha256: str = hashlib.sha256().hexdigest()
    lost: list[str] = field(default_factory=list)  # named by rows, and not in the store as they should be

    def note(self, name: str, size: int, sha256: str) -> None:
        """One more member."""
        if not name.startswith(STORE):
            self.members[name] = sha256
            return
        self.objects += 1
        self.object_bytes += size
        self.objects_sha256 = hashlib.sha256(f"{self.objects_sha256} {name} {sha256}".encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {name: getattr(self, name) for name in self.__slots__}


class Writer:
    """Writes a backup into ``plain``, a member after the other; ``finish`` writes the manifest."""

    def __init__(self, plain: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=plain, mode="w|", bufsize=CHUNK, format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - `finish` closes it
        self.contents = Contents()

    def add(self, name: str, content: bytes) -> None:
        """A member that is in memory."""
        self.add_chunks(name, len(content), [content])

    def add_chunks(self, name: str, size: int, chunks: Iterable[bytes]) -> str:
        """A member of ``size`` bytes; the hash of what came. Raises OSError where ``chunks`` have less."""
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o600
        source = _Chunks(chunks)
        self._tar.addfile(header, cast("BinaryIO", source))
        sha256 = source.digest.hexdigest()
        self.contents.note(name, size, sha256)
        return sha256

    def finish(self) -> None:
        """The manifest, and the archive's end."""
        manifest = json.dumps(self.contents.as_json()).encode()
        header = tarfile.TarInfo(MANIFEST)
        header.size, header.mode = len(manifest), 0o600
        self._tar.addfile(header, cast("BinaryIO", _Chunks([manifest])))
        self._tar.close()


class _Chunks:
    """Chunks as a file, hashed as they are read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, as the archive asks for them: less only at the end."""
        parts, missing = [], size
        while missing:
            if not self._left:
                self._left = next(self._chunks, b"")
                if not self._left:
                    break
            part, self._left = self._left[:missing], self._left[missing:]
            parts.append(part)
            missing -= len(part)
        data = b"".join(parts)
        self.digest.update(data)
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One of them, to be read before the next is asked for."""

    name: str
    size: int
    chunks: Iterator[bytes]

    def content(self) -> bytes:
        """The whole of it."""
        return b"".join(self.chunks)


Show = Callable[[int], None]  # told how many bytes of the file are done


class Reader:
    """Reads a backup. ``members`` checks every hash; only when it has come to its end is the whole sure."""

    def __init__(self, plain: Plain, show: Show | None = None) -> None:
        self._plain = plain
        self._show = show
        self.contents = Contents()

    def members(self) -> Iterator[Member]:
        """Every member but the manifest, in order. Raises Damaged, naming the member at which it shows."""
        name = "its beginning"
        is_whole = False
        try:
            with tarfile.open(fileobj=cast("BinaryIO", self._plain), mode="r|", bufsize=CHUNK) as tar:
                for header in tar:
                    name = header.name
                    file = cast("BinaryIO", tar.extractfile(header))
                    if name == MANIFEST:
                        self._compare(json.loads(file.read()))
                        is_whole = True
                        break  # what comes after it is vouched for by nothing
                    yield from self._member(header, file)
            while self._plain.read(CHUNK):
                pass
        except Damaged as damaged:
            raise Damaged(damaged.at, name) from damaged
        except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(self._plain.position, name) from error
        if not is_whole:
            raise Damaged(self._plain.position, "what should be its end")

    def _member(self, header: tarfile.TarInfo, file: BinaryIO) -> Iterator[Member]:
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            left = header.size
            while left:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    raise Damaged(self._plain.position, header.name)
                digest.update(chunk)
                left -= len(chunk)
                yield chunk

        once = chunks()
        yield Member(name=header.name, size=header.size, chunks=once)
        for _ in once:  # what nobody wanted to see is hashed all the same
            pass
        sha256 = digest.hexdigest()
        if header.name.startswith(STORE) and header.name.rpartition("/")[2] != sha256:
            raise Damaged(self._plain.position, header.name)
        self.contents.note(header.name, header.size, sha256)
        if self._show is not None:
            self._show(self._plain.position)

    def _compare(self, manifest: dict[str, Any]) -> None:
        """Raises Damaged where something is other than the manifest says."""
        self.contents.rows, self.contents.lost = manifest["rows"], manifest["lost"]
        found = self.contents.as_json()
        for name, sha256 in manifest["members"].items():
            if found["members"].get(name) != sha256:
                raise Damaged(self._plain.position, name)
        if found != manifest:
            raise Damaged(self._plain.position, STORE)
