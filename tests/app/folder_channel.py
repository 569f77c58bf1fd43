"""A channel whose platform is a folder: streams are folders in it, items are JSON files, in the order of their names.

Small, but all of the interface: pages, a cursor, failures of every kind (a file ``trouble`` in the stream's folder
names one), and a reader that raises what a hostile item makes a reader raise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from connectors import (
    Actor,
    Attachment,
    Audience,
    AuthExpired,
    Batch,
    Budget,
    Checked,
    Connection,
    Context,
    Cursor,
    Draft,
    Field,
    FieldKind,
    Gap,
    Host,
    Item,
    Kind,
    Manifest,
    Misconfigured,
    PermissionMissing,
    Prepared,
    RateLimited,
    Raw,
    Receipt,
    StreamSpec,
    Transient,
    Unknowable,
    Unreadable,
    Withheld,
)

LOCKED = "The folder lists this item but does not hand it out."
RETRY_AT = datetime(2026, 4, 7, 11, 30, tzinfo=UTC)
FAILURES: Mapping[str, Callable[[], Exception]] = {
    "auth": lambda: AuthExpired("The folder does not know this password."),
    "permission": lambda: PermissionMissing("The folder may not be read."),
    "limit": lambda: RateLimited("The folder has been read too often.", RETRY_AT),
    "transient": lambda: Transient("The folder is not there just now."),
    "bug": lambda: ZeroDivisionError("ann@example.org"),
}


class Platform:
    """The folder, as its users see it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dials = 0
        self.asked: list[str] = []
        self.budgets: list[tuple[str, Budget]] = []
        self.tells = False  # of something new, as it comes
        self.listeners = 0
        self.while_speaking: Callable[[], None] = lambda: None
        for stream in ("inbox", "junk"):
            (root / stream).mkdir(parents=True)

    def post(self, name: str, /, *, stream: str = "inbox", **said: Any) -> None:
        """Put an item there: ``post("0001", author="ann", text="…")``."""
        said.setdefault("id", name)
        said.setdefault("author", "ann@residents.example")
        said.setdefault("text", "The bin was missed.")
        (self.root / stream / f"{name}.json").write_text(json.dumps(said))

    def lock(self, name: str, *, stream: str = "inbox") -> None:
        """List an item and do not hand it out."""
        (self.root / stream / f"{name}.locked").touch()

    def unlock(self, name: str, *, stream: str = "inbox") -> None:
        (self.root / stream / f"{name}.locked").unlink()

    def put(self, name: str, content: bytes, *, stream: str = "inbox") -> None:
        (self.root / stream / f"{name}.json").write_bytes(content)

    def fail(self, kind: str, *, stream: str = "inbox") -> None:
        (self.root / stream / "trouble").write_text(kind)

    def mend(self, *, stream: str = "inbox") -> None:
        (self.root / stream / "trouble").unlink()


class FolderChannel:
    """The channel."""

    def __init__(self, platform: Platform, *, as_mail: bool = False, reader: int = 1) -> None:
        self.platform = platform
        self.read = read_mail if as_mail else read_post
        self.manifest = Manifest(
            slug="folder",
            name="Folder",
            icon="mail",
            fields=(
                Field(key="path", label="Folder"),
                Field(key="password", label="Password", kind=FieldKind.SECRET),
                Field(key="note", label="Note", required=False),
            ),
            reply_window=timedelta(days=1),
            reader=reader,
        )

    def connect(self, options: Mapping[str, str], host: Host) -> Connection:  # noqa: ARG002 - the interface's
        if options.get("password") == "":
            raise Misconfigured("A password is needed.", "password")
        self.platform.dials += 1
        return _Line(self.platform, options)


def read_mail(raw: Raw) -> Item:
    return _read(raw, as_mail=True)


def read_post(raw: Raw) -> Item:
    return _read(raw)


def read_better(raw: Raw) -> Item:
    """A newer reader of mails, which makes sense of what the others cannot."""
    return _read(raw, as_mail=True, refuses_unreadable=False)


def _read(raw: Raw, *, as_mail: bool = False, refuses_unreadable: bool = True) -> Item:
    said = json.loads(raw.read())
    if said.get("unreadable") and refuses_unreadable:
        raise Unreadable("This item makes no sense.")
    return _item(said, as_mail=as_mail)


class _Line:
    def __init__(self, platform: Platform, options: Mapping[str, str]) -> None:
        self._platform, self._options = platform, options
        self._known: dict[str, list[str]] = {}

    def check(self) -> Checked:
        self._platform.while_speaking()
        if self._options["password"] != "open sesame":
            raise AuthExpired("The folder does not know this password.")
        return Checked(
            identity=Actor(external_id="cllr@fernmoor.example", name="Cllr Quillfeather", handle="cllr"),
            streams=(
                StreamSpec(key="inbox", name="Inbox", interval=timedelta(minutes=5)),
                StreamSpec(key="junk", name="Junk", interval=timedelta(minutes=10), junk=True),
            ),
            newest="Brown bin, from Hester",
            warnings=("Nothing can be sent from a folder.",),
        )

    def fetch(self, stream: str, cursor: Cursor | None, budget: Budget) -> Batch:
        self._platform.asked.append(stream)
        self._platform.budgets.append((stream, budget))
        self._platform.while_speaking()
        folder = self._platform.root / stream
        _fail_as_told(folder)
        last = str(cursor["last"]) if cursor else ""
        left = [path for path in sorted(folder.glob("*.json")) if path.stem > last]
        page = left[: budget.items]
        raws = tuple(_raw(path) for path in page if not _is_locked(path))
        gap = Gap(since=None, until=None, reason="The folder was cleared.") if (folder / "gap").exists() else None
        return Batch(
            raws=tuple(raw for raw in raws if _wanted(raw, cursor, budget)),
            cursor={"last": page[-1].stem if page else last},
            more=len(left) > len(page),
            withheld=tuple(Withheld(external_id=path.stem, reason=LOCKED) for path in page if _is_locked(path)),
            waiting=len(left) - len(page),
            gap=gap,
        )

    def again(self, stream: str, external_id: str) -> Raw | None:
        path = self._platform.root / stream / f"{external_id}.json"
        if not path.exists():
            return None
        if _is_locked(path):
            raise Transient(LOCKED)
        return _raw(path)

    def wait(self, streams: Collection[str], seconds: float) -> frozenset[str]:
        if not self._platform.tells:
            raise PermissionMissing("The folder tells of nothing.")
        until = monotonic() + seconds
        self._platform.listeners += not self._known
        while monotonic() < until:
            for stream in streams:
                _fail_as_told(self._platform.root / stream)
            now = {one: sorted(path.name for path in (self._platform.root / one).glob("*.json")) for one in streams}
            heard = frozenset(one for one in streams if now[one] != self._known.get(one))
            self._known = now
            if heard:
                return heard
            sleep(0.01)
        return frozenset()

    def prepare(self, draft: Draft) -> Prepared:
        return Prepared(platform_id=draft.key, payload=draft.text.encode())

    def send(self, prepared: Prepared) -> Receipt:
        return Receipt(platform_id=prepared.platform_id, accepted_at=RETRY_AT)

    def probe(self, prepared: Prepared) -> Receipt | Unknowable | None:  # noqa: ARG002 - the interface's
        return None

    def close(self) -> None:
        pass


def _fail_as_told(folder: Path) -> None:
    if (folder / "trouble").exists():
        failure = FAILURES[(folder / "trouble").read_text()]
        raise failure()


def _is_locked(path: Path) -> bool:
    return path.with_suffix(".locked").exists()


def _raw(path: Path) -> Raw:
    content = path.read_bytes()
    try:
        arrived = json.loads(content).get("arrived")
    except (ValueError, RecursionError):
        arrived = None
    return Raw(external_id=path.stem, content=content, arrived_at=datetime.fromisoformat(arrived) if arrived else None)


def _wanted(raw: Raw, cursor: Cursor | None, budget: Budget) -> bool:
    return not (cursor is None and budget.since and raw.arrived_at and raw.arrived_at < budget.since)


def _item(said: Mapping[str, Any], *, as_mail: bool) -> Item:
    text = said["text"]
    return Item(
        platform_id=said["id"],
        fingerprint=hashlib.sha256(f"{said['author']} {text}".encode("utf-8", "surrogatepass")).hexdigest()
        if as_mail
        else "",
        kind=Kind.MAIL if as_mail else Kind.DIRECT_MESSAGE,
        audience=Audience(said.get("audience", "direct")),
        author=Actor(external_id=said["author"], name=said.get("name", ""), handle=said["author"]),
        to=tuple(Actor(external_id=one, handle=one) for one in said.get("to", ())),
        cc=tuple(Actor(external_id=one, handle=one) for one in said.get("cc", ())),
        subject=said.get("subject", ""),
        text=text,
        reply_text=text,
        html=said.get("html", ""),
        sent_at=datetime.fromisoformat(said["sent"]) if "sent" in said else None,
        in_reply_to=said.get("answers", ""),
        references=tuple(said.get("references", ())),
        thread_id=said.get("thread", ""),
        context=Context(external_id="post", text="Our new bins") if said.get("context") else None,
        attachments=tuple(
            Attachment(name=name, media_type="application/x-claimed", content=content.encode())
            for name, content in said.get("files", {}).items()
        ),
        is_auto=said.get("auto", False),
        bounced=tuple(said.get("bounced", ())),
    )
