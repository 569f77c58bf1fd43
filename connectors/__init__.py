"""The outside world behind one small interface: a channel is one module here, and the office knows nothing else of it.

A connector turns what a platform showed (:class:`Raw`, bytes as they came) into :class:`Item` (what was said, by whom):
purely, so that it can be done again after an upgrade. A connection speaks to the platform: it tries the account,
fetches and sends. Nothing of a platform's own library crosses this border, and every failure becomes one of the errors
below.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

Json = Any  # what json.loads returns; each channel validates its own shapes
Cursor = Mapping[str, Json]  # opaque to the office, versioned by the channel, one per stream


class Audience(StrEnum):
    """Who can read a message."""

    PUBLIC = "public"
    DIRECT = "direct"


class Kind(StrEnum):
    """What sort of thing was said; the words for it are the templates' business."""

    MAIL = "mail"
    COMMENT = "comment"
    MENTION = "mention"
    DIRECT_MESSAGE = "direct_message"
    FORM = "form"
    NOTE = "note"


# What comes in.


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """One thing a platform showed, as it came; kept for ever under its hash, parsed later.

    ``external_id`` is unique within the account and stream (for mail ``<uidvalidity>:<uid>``). ``arrived_at`` is the
    platform's own time of receipt, aware, or ``None`` where it tells none.
    """

    external_id: str
    content: bytes | Path
    arrived_at: datetime | None = None

    def read(self) -> bytes:
        """The bytes, from memory or from the spool file."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Someone on a platform.

    ``external_id`` is stable and folded (an address in lower case), ``handle`` is as shown.
    """

    external_id: str
    name: str = ""
    handle: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that came with a message, or goes with a reply. ``content_id`` names it inside the HTML of a mail."""

    name: str
    media_type: str
    content: bytes
    inline: bool = False
    content_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What was being answered: the post above a comment. Shared by all who answer it."""

    external_id: str
    author: str = ""
    text: str = ""
    url: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """What :class:`Raw` says, read. Two items with the same (``platform_id``, ``fingerprint``) are one message.

    ``platform_id`` is the platform's name for the message (for mail the Message-ID, empty where it has none);
    ``fingerprint`` tells apart what wrongly shares one (for mail a hash of sender, date, subject and body; elsewhere
    empty). ``references`` are the platform ids this answers, oldest first; ``thread_id`` is the platform's own thread,
    where it has one. ``html`` is as sent: the office sanitises it. ``reply_text`` is ``text`` without what it quotes.
    """

    platform_id: str
    fingerprint: str = ""
    kind: Kind
    audience: Audience
    author: Actor
    to: tuple[Actor, ...] = ()
    cc: tuple[Actor, ...] = ()
    reply_to: tuple[Actor, ...] = ()
    subject: str = ""
    text: str
    reply_text: str
    html: str = ""
    sent_at: datetime | None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    thread_id: str = ""
    context: Context | None = None
    attachments: tuple[Attachment, ...] = ()
    url: str = ""
    language: str = ""
    is_auto: bool = False
    is_bounce: bool = False
    bounced: tuple[str, ...] = ()  # platform ids of our messages that a delivery report says failed
    failure: str = ""  # what that report says, in a sentence for whoever wrote the message


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What the platform lets us do until ``resets_at``."""

    remaining: int
    limit: int
    resets_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A stretch of time that a walk could not cover: shown, never papered over."""

    since: datetime | None
    until: datetime | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Withheld:
    """Something that a platform lists and does not hand out, however often it is asked: shown, never passed over.

    ``external_id`` is what its :class:`Raw` would have; ``reason`` is a sentence.
    """

    external_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much one fetch may take. ``since``: on a first connection nothing that arrived earlier is wanted.

    ``answers_only``: nothing that answers nothing is wanted, where the channel can tell without fetching it whole.
    """

    items: int = 200
    size: int = 4 * 1024 * 1024  # bytes, about; one item larger than this still comes, alone
    since: datetime | None = None
    answers_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One page of a stream and the cursor after it.

    ``more``: fetch again now. ``waiting``: how many are left, where the platform says.
    """

    raws: tuple[Raw, ...]
    cursor: Cursor
    withheld: tuple[Withheld, ...] = ()
    more: bool = False
    waiting: int | None = None
    rate: Rate | None = None
    gap: Gap | None = None


# What goes out.


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """What a reply answers, for channels that repeat it below the answer. ``sent_at`` is aware."""

    author: str
    sent_at: datetime
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A reply as the office wrote it. ``key`` is ours, unique for ever: idempotency keys and Message-IDs come from it.

    ``in_reply_to`` and ``references`` are platform ids. ``sender`` is the account's own face; ``written_at`` is aware.
    ``signature`` stands below ``text``, which is without it; ``quoted`` below both.
    """

    key: str
    audience: Audience
    sender: Actor
    to: tuple[Actor, ...]
    cc: tuple[Actor, ...] = ()
    subject: str = ""
    text: str
    signature: str = ""
    quoted: Quoted | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    thread_id: str = ""
    attachments: tuple[Attachment, ...] = ()
    written_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A reply ready to go, kept before the first attempt so that every attempt is the same to the byte.

    ``platform_id`` is known beforehand where the platform lets us choose it (a mail's Message-ID), else empty.
    """

    platform_id: str
    payload: bytes
    meta: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The platform has accepted it. ``note``: something a person should know all the same."""

    platform_id: str
    accepted_at: datetime
    url: str = ""
    note: str = ""


class Unknowable:
    """What ``probe`` answers when the platform cannot say whether a reply got out: a person is asked."""


UNKNOWABLE: Final = Unknowable()


# What a channel is.


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSpec:
    """One thing to poll in an account (a folder, the mentions). ``key`` is stable, ``name`` is for people.

    ``ours``: what the account's owner wrote lies there (a folder for sent mail), and the platform vouches for that.
    """

    key: str
    name: str
    interval: timedelta
    junk: bool = False
    ours: bool = False


class FieldKind(StrEnum):
    """How a setting is asked for."""

    TEXT = "text"
    EMAIL = "email"
    SECRET = "secret"  # noqa: S105 - the kind of a field, not a password
    NUMBER = "number"
    CHOICE = "choice"
    LIST = "list"  # one a line


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One setting of an account; secrets are sealed and never shown again."""

    key: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    required: bool = True
    default: str = ""
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    advanced: bool = False
    kinds: tuple[str, ...] = ()  # asked only for accounts of these kinds; empty: for all


class Count(StrEnum):
    """How a platform counts the length of a text."""

    CHARACTERS = "characters"
    GRAPHEMES = "graphemes"
    WEIGHTED = "weighted"
    BYTES = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The longest text a platform takes, in its own way of counting."""

    most: int
    count: Count = Count.CHARACTERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a channel is, asks for, can and cannot do: the pages are made from it.

    ``largest`` is how large a message may be with its files, in bytes, where an account's own limit is not known
    (``Checked.largest``); 0: no files can be sent. ``writes_first``: anybody can be written to at their address.
    """

    slug: str
    name: str
    icon: str  # a symbol of the sprite
    fields: tuple[Field, ...] = ()
    kind_field: str = ""  # the key of the choice that comes first and decides which of the other fields are asked
    needs: tuple[str, ...] = ()  # what you need before you start, a sentence each
    sees: tuple[str, ...] = ()
    cannot_see: tuple[str, ...] = ()
    cost: str = ""
    limit: Limit | None = None
    reply_window: timedelta | None = None  # to a direct message, from the resident's last one
    has_subject: bool = False
    largest: int = 0
    writes_first: bool = False
    reader: int = 1  # raise it when read() learns something: what waits in quarantine is then tried again

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """The kinds of accounts, each with its name, the usual one first; empty where there is one kind only."""
        return next((one.choices for one in self.fields if one.key == self.kind_field), ())

    def kind(self, options: Mapping[str, str]) -> str:
        """Of which kind an account with these options is: the usual one where they name none that there is."""
        known = [value for value, _ in self.kinds]
        given = options.get(self.kind_field, "")
        return given if given in known else next(iter(known), "")

    def asked(self, kind: str) -> tuple[Field, ...]:
        """The fields that are asked for an account of that kind."""
        return tuple(one for one in self.fields if not one.kinds or kind in one.kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What trying an account found: who we are there, what we would poll, and what is missing.

    ``newest`` describes the newest message we could read ("Brown bin, from Hester, Thu 2 Apr"), as proof. ``largest``
    is how many bytes one message may have that is sent, ``None`` where the platform does not say.
    """

    identity: Actor
    streams: tuple[StreamSpec, ...]
    newest: str = ""
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ends_at: datetime | None = None
    largest: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """How a sign-in service knows this installation, which whoever runs it has registered there (RFC 6749 section 2).

    The three addresses, ``scope`` and ``name`` are for a service that no connector knows; empty: the service's own.
    """

    id: str
    secret: str = field(default="", repr=False)
    tenant: str = ""
    name: str = ""
    authorize_url: str = ""
    token_url: str = ""
    device_url: str = ""
    scope: str = ""


class Tokens(Protocol):
    """What a platform gave one account in place of a password: one set, sealed, for all processes of the office."""

    def read(self) -> Mapping[str, str]:
        """What stands now; empty where nobody has signed in yet."""

    def renew(
        self, stale: Mapping[str, str], fetch: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> Mapping[str, str]:
        """What stands in place of ``stale``: what another process has fetched meanwhile, else what ``fetch`` gives.

        One process at a time fetches, and what it gets is kept before this returns: a platform may take a token that
        is used twice for a stolen one. Raises what ``fetch`` raises, or Transient where another takes too long.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What the office lends a connector.

    ``allowed_hosts`` may be reached although they are private (an administrator's list: ``host`` or ``host:port``);
    ``id_key`` signs the ids we make, so that an answer to a forged one is not believed; large bodies go to ``spool``.
    ``clients`` are by the name of the sign-in service; ``tokens`` are those of the account that is connected.
    """

    now: Callable[[], datetime]
    allowed_hosts: frozenset[str]
    spool: Path
    id_key: bytes = field(repr=False)
    clients: Mapping[str, Client] = field(default_factory=dict)
    tokens: Tokens | None = None


class Connection(Protocol):
    """A line to one account. Used by one thread at a time, never inside a database transaction."""

    def check(self) -> Checked:
        """Try the account end to end, reading and sending.

        Raises Misconfigured, AuthExpired, PermissionMissing, Transient.
        """

    def fetch(self, stream: str, cursor: Cursor | None, budget: Budget) -> Batch:
        """The next page after ``cursor`` (``None``: from the start), oldest first where the platform allows it.

        Raises AuthExpired, PermissionMissing, RateLimited or Transient; then nothing has moved and the call may be
        repeated.
        """

    def prepare(self, draft: Draft) -> Prepared:
        """The exact thing that will be sent; no network. Raises TooLong or Refused."""

    def send(self, prepared: Prepared) -> Receipt:
        """One attempt. Raises Ambiguous when it may have got out; any other error means that it certainly did not."""

    def probe(self, prepared: Prepared) -> Receipt | Unknowable | None:
        """Did it get out? A receipt: yes. ``None``: certainly not. ``UNKNOWABLE``: ask a person."""

    def close(self) -> None:
        """Hang up; never raises."""


@runtime_checkable
class Listens(Protocol):
    """A connection that hears of something new as it comes (IMAP IDLE, a long poll). It is a connection of its own."""

    def wait(self, streams: Collection[str], seconds: float) -> frozenset[str]:
        """The streams that may hold something new; none when nothing was heard for ``seconds``.

        Only a hint to fetch now. Where listening begins, and begins anew, the stream is among them at once: something
        may have come before. Call it again and again, the same streams, a minute apart at most. Raises as fetch does,
        and PermissionMissing where this account cannot be listened to.
        """


@runtime_checkable
class FetchesAgain(Protocol):
    """A connection that can fetch one thing by its id, for what was withheld."""

    def again(self, stream: str, external_id: str) -> Raw | None:
        """That thing; ``None`` where it is gone. Raises as fetch does: Transient where it is withheld still."""


@runtime_checkable
class FilesCopies(Protocol):
    """A connection that can put a copy of what was sent where the account's owner expects it (a Sent folder)."""

    def file_copy(self, prepared: Prepared) -> bool:
        """Put the copy there unless it is there already; ``False`` where the account has no such place.

        Raises as fetch does.
        """


class Connector(Protocol):
    """A channel."""

    @property
    def manifest(self) -> Manifest:
        """What this channel is."""

    def connect(self, options: Mapping[str, str], host: Host) -> Connection:
        """A connection for an account's options, secrets among them. Dials only when used; raises Misconfigured."""

    def read(self, raw: Raw) -> Item:
        """What ``raw`` says. Pure; raises Unreadable.

        A function of the channel's module (``read = staticmethod(read)``): another process calls it by its name.
        """


# Signing in at the platform's own page.


class Way(StrEnum):
    """How a person lets us into an account without telling us a password."""

    CODE = "code"  # they open an address on any device and type a code there (RFC 8628)
    PAGE = "page"  # they sign in at the platform's page, which sends their browser back to us (RFC 8252)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What a person is asked to do at the platform until ``ends_at``.

    ``code`` is what they type there (way CODE), ``interval`` how long to wait before each ``finish``. ``secrets`` are
    what ``finish`` needs again; the office seals them meanwhile.
    """

    url: str
    code: str = ""
    ends_at: datetime
    interval: timedelta = timedelta(0)
    secrets: Mapping[str, str] = field(repr=False)


@runtime_checkable
class Authorises(Protocol):
    """A connector that can be let into accounts by the platform's own page."""

    def ways(self, options: Mapping[str, str]) -> tuple[Way, ...]:
        """How this account is signed in, the usual way first; empty: by what its options hold."""

    def begin(self, options: Mapping[str, str], host: Host, way: Way, *, back: str, state: str) -> Asking:
        """Ask the platform to ask a person.

        Way PAGE: the browser comes back to ``back`` with ``state``. Raises Misconfigured, PermissionMissing, Transient.
        """

    def finish(
        self, options: Mapping[str, str], host: Host, asking: Asking, answer: Mapping[str, str]
    ) -> Mapping[str, str]:
        """What the platform gives now that it was asked, for ``Tokens``.

        ``answer`` is what came back with the browser (way PAGE). Raises NotYet while the person has not done it (way
        CODE); AuthExpired where they said no or took too long; else as ``begin``.
        """


# What goes wrong.


class ConnectorError(Exception):
    """A failure at a channel. ``str()`` is one sentence for the person whose account it is."""


class Misconfigured(ConnectorError):  # noqa: N818 - these read as findings
    """A setting is wrong: ``field`` names which ("" for none in particular)."""

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.field = field


class AuthExpired(ConnectorError):  # noqa: N818
    """The platform refuses who we say we are."""


class PermissionMissing(ConnectorError):  # noqa: N818
    """The account is right but may not do this."""


class RateLimited(ConnectorError):  # noqa: N818
    """Too often: try again at ``retry_at``, not before."""

    def __init__(self, reason: str, retry_at: datetime) -> None:
        super().__init__(reason)
        self.retry_at = retry_at.astimezone(UTC)


class Transient(ConnectorError):  # noqa: N818
    """It did not work this time, and nothing left the machine."""


class NotYet(Transient):
    """Only from finish: the person has not done it yet; ask again after ``wait``, not before."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("Nobody has signed in yet.")
        self.wait = wait


class Refused(ConnectorError):  # noqa: N818
    """The platform will not take this reply; trying again changes nothing."""


class Gone(Refused):
    """What is being answered is no longer there."""


class WindowClosed(Refused):
    """The platform's time for answering has passed."""


class TooLong(Refused):
    """Longer than the platform takes."""


class Ambiguous(ConnectorError):  # noqa: N818
    """Only from send: it may or may not have got out. Probe before anything else."""


class Unreadable(ConnectorError):  # noqa: N818
    """Only from read: this one item defeats the reader. It waits in quarantine; the rest goes on."""


def picture(url: str, allowed: Collection[str], *, most: int) -> bytes:
    """What lies at the address of a picture in somebody's message: fetched only when a person asks for it.

    ``allowed`` as in :class:`Host`; ``most`` in bytes. Raises Refused where there is none, Transient.
    """
    from connectors._http import get

    return get(url, allowed, most=most)


@cache
def all_connectors() -> Mapping[str, Connector]:
    """Every channel found in this package, by slug. A channel's module or package offers it as ``connector``.

    Modules whose name begins with an underscore are shared parts, not channels. A channel's own heavy libraries are
    imported when it first connects, so that looking at the list stays cheap.
    """
    found: dict[str, Connector] = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            connector: Connector = importlib.import_module(f"{__name__}.{module.name}").connector
            found[connector.manifest.slug] = connector
    return found
