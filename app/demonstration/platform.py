"""The platforms of Fernmoor: a stand-in for each channel, so that the demonstration runs through the real intake.

Each speaks the interface of ``connectors`` and shows the manifest of the real channel. E-mail is real mail, written and
read by the real channel; only the servers are missing. What the office sends is kept in memory, and whoever gets an
answer says thank you a little later.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from threading import Lock

from app.demonstration.world import LATER, OSSIAN, TANSY, Said, campaign
from connectors import (
    Actor,
    Audience,
    Batch,
    Budget,
    Checked,
    Connection,
    Connector,
    Context,
    Count,
    Cursor,
    Draft,
    Field,
    Host,
    Item,
    Kind,
    Limit,
    Manifest,
    Prepared,
    Raw,
    Receipt,
    StreamSpec,
    Unreadable,
    all_connectors,
)

POLLED_EVERY = timedelta(seconds=20)
ANSWERED_AFTER = timedelta(minutes=3)
THANKS = "Thank you for coming back to me so quickly. I will let you know how it goes."

_FIELDS = (
    Field(key="address", label="Account"),
    Field(key="name", label="Name shown to residents"),
    Field(key="office", label="Whose account of Fernmoor this is"),
)
_STREAMS = {
    "email": (("INBOX", "Inbox"), ("Junk", "Junk"), ("Library", "Library")),
    "facebook": (("comments", "Comments"), ("messages", "Messenger")),
    "reddit": (("mentions", "Mentions"),),
    "mastodon": (("mentions", "Mentions"), ("messages", "Private mentions")),
    "bluesky": (("mentions", "Mentions"), ("messages", "Chat")),
    "webform": (("forms", "Forms"),),
    "manual": (("entries", "Entries"),),
}
_MANIFESTS = (
    Manifest(
        slug="facebook",
        name="Facebook",
        icon="facebook",
        limit=Limit(most=8000),
        reply_window=timedelta(hours=24),
        sees=("Comments under the page’s posts", "Messenger"),
        cannot_see=("Groups", "Posts of other people’s pages"),
    ),
    Manifest(slug="reddit", name="Reddit", icon="reddit", limit=Limit(most=10_000), sees=("Mentions",)),
    Manifest(
        slug="mastodon", name="Mastodon", icon="mastodon", limit=Limit(most=500), sees=("Mentions, private ones too",)
    ),
    Manifest(
        slug="bluesky",
        name="Bluesky",
        icon="bluesky",
        limit=Limit(most=300, count=Count.GRAPHEMES),
        sees=("Mentions", "Chat"),
    ),
    Manifest(slug="webform", name="Web form", icon="webform", sees=("What people write on the office’s own page",)),
    Manifest(
        slug="manual", name="Logged by hand", icon="manual", sees=("What people say at the door or by telephone",)
    ),
)


@dataclass(slots=True)
class Fernmoor:
    """Everything that was ever said in the borough, and what the office answered, for the life of one demonstration."""

    answers: dict[str, list[Said]] = field(default_factory=dict)  # by the office that gets them
    sent: dict[str, Receipt] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def said(self, office: str, channel: str, stream: str) -> list[Said]:
        """What can be seen in a stream sooner or later, oldest first."""
        with self._lock:
            everything = [*_WORLD[office], *self.answers.get(office, ())]
        return sorted(
            (said for said in everything if (said.channel, said.stream) == (channel, stream)),
            key=lambda said: (said.at, said.key),
        )

    def accept(self, office: str, channel: str, prepared: Prepared, at: datetime) -> Receipt:
        """The platform takes a reply; sending the same twice changes nothing."""
        with self._lock:
            if prepared.platform_id in self.sent:
                return self.sent[prepared.platform_id]
            receipt = self.sent[prepared.platform_id] = Receipt(platform_id=prepared.platform_id, accepted_at=at)
            self.answers.setdefault(office, []).append(_thanks(channel, prepared, at))
        return receipt


_WORLD: Mapping[str, tuple[Said, ...]] = {"tansy": (*TANSY, *campaign(), *LATER), "ossian": OSSIAN}


def _thanks(channel: str, prepared: Prepared, at: datetime) -> Said:
    meta = prepared.meta
    return Said(
        key=f"thanks-{prepared.platform_id.strip('<>')}",
        channel=channel,
        at=at + ANSWERED_AFTER,
        name=meta["name"],
        handle=meta["handle"],
        kind=Kind(meta["kind"]),
        audience=Audience(meta["audience"]),
        subject=meta["subject"],
        text=THANKS,
        stream=_STREAMS[channel][0][0] if meta["audience"] == Audience.PUBLIC else _STREAMS[channel][-1][0],
        thread=prepared.platform_id,
    )


class Channel:
    """A channel of the demonstration: the real one's face, Fernmoor behind it."""

    def __init__(self, manifest: Manifest, fernmoor: Fernmoor, real: Connector | None) -> None:
        self.manifest = replace(manifest, fields=_FIELDS, needs=())
        self._fernmoor = fernmoor
        self._real = real
        self.read = real.read if real else read

    def connect(self, options: Mapping[str, str], host: Host) -> Connection:
        """A line that never breaks."""
        mailbox = self._real.connect(_mail_options(options), host) if self._real else None
        return _Line(self.manifest.slug, options, host, self._fernmoor, mailbox)


def read(raw: Raw) -> Item:
    """What was said, but for mail, which the real channel reads. Raises Unreadable."""
    try:
        return _item(json.loads(raw.read()))
    except (ValueError, KeyError) as error:
        raise Unreadable("This item is not of the demonstration.") from error


def channels(fernmoor: Fernmoor) -> dict[str, Connector]:
    """The channels of the demonstration, by slug: with the manifest of the real channel where it is installed."""
    real = all_connectors()
    manifests = [real[one.slug].manifest if one.slug in real else one for one in _MANIFESTS]
    made: dict[str, Connector] = {one.slug: Channel(one, fernmoor, None) for one in manifests}
    return {"email": Channel(real["email"].manifest, fernmoor, real["email"]), **made}


@dataclass(slots=True)
class _Line:
    """A connection to Fernmoor."""

    channel: str
    options: Mapping[str, str]
    host: Host
    fernmoor: Fernmoor
    mailbox: Connection | None

    def check(self) -> Checked:
        streams = tuple(
            StreamSpec(key=key, name=name, interval=POLLED_EVERY, junk=key == "Junk")
            for key, name in _STREAMS[self.channel]
        )
        own = self.options["address"]
        return Checked(identity=Actor(external_id=own.lower(), name=self.options["name"], handle=own), streams=streams)

    def fetch(self, stream: str, cursor: Cursor | None, budget: Budget) -> Batch:
        after = tuple(cursor["after"]) if cursor else ("", "")
        office = self.options["office"]
        new = [
            said
            for said in self.fernmoor.said(office, self.channel, stream)
            if (_mark(said) > after) and said.at <= self.host.now()
        ]
        page = new[: budget.items]
        return Batch(
            raws=tuple(self._raw(said) for said in page),
            cursor={"v": 1, "after": list(_mark(page[-1]) if page else after)},
            more=len(new) > len(page),
            waiting=len(new) - len(page),
        )

    def prepare(self, draft: Draft) -> Prepared:
        to = draft.to[0]
        meta = {
            "name": to.name,
            "handle": to.handle,
            "kind": _kind(self.channel, draft.audience).value,
            "audience": draft.audience.value,
            "subject": draft.subject,
        }
        if self.mailbox is not None:
            prepared = self.mailbox.prepare(draft)
            return replace(prepared, meta={**prepared.meta, **meta})
        said = Said(
            key=f"ours-{draft.key}",
            channel=self.channel,
            at=draft.written_at,
            name=draft.sender.name,
            handle=draft.sender.handle,
            kind=_kind(self.channel, draft.audience),
            audience=draft.audience,
            subject=draft.subject,
            text=draft.text,
            thread=draft.in_reply_to,
        )
        return Prepared(platform_id=said.key, payload=_json(said), meta=meta)

    def send(self, prepared: Prepared) -> Receipt:
        return self.fernmoor.accept(self.options["office"], self.channel, prepared, self.host.now())

    def probe(self, prepared: Prepared) -> Receipt | None:
        return self.fernmoor.sent.get(prepared.platform_id)

    def close(self) -> None:
        if self.mailbox is not None:
            self.mailbox.close()

    def _raw(self, said: Said) -> Raw:
        content = _mail(said, self.options["address"]) if self.channel == "email" else _json(said)
        return Raw(external_id=said.key, content=content, arrived_at=said.at.astimezone(UTC))


def _kind(channel: str, audience: Audience) -> Kind:
    if channel in {"email", "webform", "manual"}:
        return {"email": Kind.MAIL, "webform": Kind.FORM}.get(channel, Kind.NOTE)
    return Kind.COMMENT if audience is Audience.PUBLIC else Kind.DIRECT_MESSAGE


def _mark(said: Said) -> tuple[str, str]:
    return said.at.astimezone(UTC).isoformat(), said.key


def _json(said: Said) -> bytes:
    facts = {
        "key": said.key,
        "at": said.at.isoformat(),
        "name": said.name,
        "handle": said.handle,
        "kind": said.kind.value,
        "audience": said.audience.value,
        "subject": said.subject,
        "text": said.text,
        "thread": said.thread,
        "above": said.above,
        "language": said.language,
    }
    return json.dumps(facts, ensure_ascii=False).encode()


def _item(facts: Mapping[str, str]) -> Item:
    above = facts["above"]
    return Item(
        platform_id=facts["key"],
        kind=Kind(facts["kind"]),
        audience=Audience(facts["audience"]),
        author=Actor(external_id=facts["handle"].lower(), name=facts["name"], handle=facts["handle"]),
        subject=facts["subject"],
        text=facts["text"],
        reply_text=facts["text"],
        sent_at=datetime.fromisoformat(facts["at"]),
        in_reply_to=facts["thread"],
        references=(facts["thread"],) if facts["thread"] else (),
        thread_id=facts["handle"] if facts["kind"] == Kind.DIRECT_MESSAGE else "",
        context=Context(external_id=above[:40], author="Cllr Tansy Quillfeather", text=above) if above else None,
        language=facts["language"],
    )


def _mail(said: Said, to: str) -> bytes:
    """What a resident's mail program would have sent."""
    mail = EmailMessage()
    mail["From"] = formataddr((said.name, said.handle))
    mail["To"] = to
    mail["Date"] = format_datetime(said.at)
    mail["Subject"] = said.subject
    mail["Message-ID"] = _message_id(said.key, said.handle)
    if said.thread:
        answered = said.thread if said.thread.startswith("<") else _message_id(said.thread, said.handle)
        mail["In-Reply-To"] = mail["References"] = answered
    if said.language:
        mail["Content-Language"] = said.language
    mail.set_content(said.text)
    if said.photo:
        mail.add_attachment(_photo(), maintype="image", subtype="png", filename=said.photo)
    return mail.as_bytes()


def _message_id(key: str, handle: str) -> str:
    return f"<{key}@{handle.rpartition('@')[2]}>"


def _photo(width: int = 320, height: int = 200) -> bytes:
    """A small picture, drawn here: a brown bin on a grey road will have to be imagined."""
    rows = b"".join(
        b"\0" + b"".join(bytes((96 + 40 * y // height, 72 + 60 * x // width, 48)) for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data) for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _mail_options(options: Mapping[str, str]) -> dict[str, str]:
    """Options with which the real channel can write a mail; it never dials."""
    return {
        "address": options["address"],
        "name": options["name"],
        "password": "-",
        "imap_host": "mail.fernmoor.example",
        "smtp_host": "mail.fernmoor.example",
    }
