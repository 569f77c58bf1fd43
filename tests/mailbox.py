"""A councillor's mailbox out of a seed: mails as many programs write them, and exactly what is in them.

``generate(10_000, seed=1)`` is the mailbox that the ingest test and the benchmark read. It has eight character sets,
threads, files, mails without Message-ID, ids used twice for different mails, and 2 % doubles: the same mail delivered
again, by another way and mostly to another folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

OFFICE = "cllr@fernmoor.example"
FIRST_DAY = datetime(2026, 2, 2, 7, 0, tzinfo=UTC)
DAYS = 60
INBOX, JUNK = "INBOX", "Junk"

_DOUBLES = 50  # one mail in so many is delivered twice: 2 %
_FOLLOW_UPS = 0.4
_IN_JUNK = 0.05
_WITHOUT_ID = 0.03
_WITH_FILES = 0.35
_USED_AGAIN = 0.002  # ids that a careless form uses for every mail it sends
_LINE_MOST = 990
_CARELESS_ID = "<contact-form@village.example>"

# What people write in eight character sets, all of which they can write it in.
_WORDS = {
    "us-ascii": "The brown bin on Larkrise Close was missed again and nobody at the depot picks up the phone.",
    "utf-8": "Mae'r golau stryd ar Heol y Bont wedi diffodd ers pythefnos \U0001f4a1 a wnewch chi helpu?",
    "iso-8859-1": "The café on Weir Road has put its tables across the pavement; my naïve letter got no answer.",
    "windows-1252": "It’s the “temporary” fence – three years now… and the lease costs €400.",
    "iso-8859-14": "Mae'r tŷ yn llaith ac mae'r ŵyn ar y ffordd; ble mae'r cyngor, os gwelwch yn dda?",
    "iso-8859-2": "Dzień dobry, proszę o pomoc w sprawie szkoły dla mojej córki, nikt nie odpowiada od tygodni.",
    "windows-1251": "Доброго дня, допоможіть, будь ласка, з житлом для моєї сім'ї, ми чекаємо вже місяць.",
    "gb18030": "您好，我们家门口的路灯坏了两个星期，请问什么时候可以修好？谢谢。",  # noqa: RUF001
}
_SUBJECTS = {
    "us-ascii": "Missed bin",
    "utf-8": "Golau stryd ŵ",
    "iso-8859-1": "Café tables",
    "windows-1252": "The “temporary” fence",
    "iso-8859-14": "Tŷ llaith",
    "iso-8859-2": "Szkoła",
    "windows-1251": "Житло",
    "gb18030": "路灯",
}
_FIRST_NAMES = (
    "Hester",
    "Cuthbert",
    "Ottoline",
    "Pia",
    "Rollo",
    "Gwenllian",
    "Barnaby",
    "Sable",
    "Zofia",
    "Łucja",
    "Олена",
    "王芳",
)
_LAST_NAMES = (
    "Brindlecombe",
    "Mossgrove",
    "Harkaway",
    "Sandvoss",
    "Tybiedig",
    "Quickthorn",
    "Winterbourne",
    "Ó Briain",
)
_FILES = (
    ("plan.pdf", "application/pdf"),
    ("llun pothôl.jpg", "image/jpeg"),
    ("Letter to the council (final) — signed.docx", "application/octet-stream"),
    ("IMG_0042.HEIC", "image/heic"),
    ("bins.csv", "text/csv"),
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One mail as a server is to hold it."""

    content: bytes
    folder: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class File:
    """A file in a mail."""

    name: str
    media_type: str
    sha256: str
    inline: bool = False


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What a mail really says. ``word`` stands in this mail's own words and in no other mail's."""

    number: int
    message_id: str
    sender: str
    subject: str
    word: str
    says: str
    charset: str
    sent_at: datetime
    thread: int
    files: tuple[File, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What reading the whole mailbox must come to. ``mails`` are the different ones."""

    mails: tuple[Mail, ...]
    doubles: int

    @property
    def threads(self) -> dict[int, tuple[Mail, ...]]:
        """The mails of each thread, oldest first."""
        found: defaultdict[int, list[Mail]] = defaultdict(list)
        for mail in self.mails:
            found[mail.thread].append(mail)
        return {number: tuple(mails) for number, mails in found.items()}

    @property
    def files(self) -> tuple[File, ...]:
        """Every file of every different mail."""
        return tuple(file for mail in self.mails for file in mail.files)


def generate(count: int, seed: int, *, size: int = 4_000) -> tuple[list[Delivery], Truth]:
    """``count`` deliveries of about ``size`` bytes on average, in the order of their arrival, and what is in them."""
    return _Post(seed, size).write(count)


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A mail and what a follow-up to it must know."""

    mail: Mail
    content: bytes
    folder: str
    references: tuple[str, ...]
    resident: tuple[str, str]


class _Post:
    """Everything that is drawn from one seed."""

    def __init__(self, seed: int, size: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same mailbox every time is the point
        self._seed = seed
        self._text = min(2_000, size // 4)
        self._file = max(100, int((size - 2.2 * self._text - 900) / (_WITH_FILES * 1.5 * 1.37)))
        self._open: list[_Written] = []  # the newest mail of each thread that can be followed up

    def write(self, count: int) -> tuple[list[Delivery], Truth]:
        doubles = count // _DOUBLES
        different = count - doubles
        step = timedelta(days=DAYS) / max(1, different)
        written = [self._mail(number, FIRST_DAY + number * step, different) for number in range(different)]
        deliveries = [
            Delivery(content=one.content, folder=one.folder, at=one.mail.sent_at + timedelta(seconds=5))
            for one in written
        ]
        for number in self._random.sample(range(different), doubles):
            deliveries.append(self._double(deliveries[number], number))
        deliveries.sort(key=lambda delivery: delivery.at)
        return deliveries, Truth(mails=tuple(one.mail for one in written), doubles=doubles)

    def _double(self, delivery: Delivery, number: int) -> Delivery:
        """The same mail by another way: other lines above it, later, mostly in the other folder."""
        way = (
            f"Delivered-To: councillors@fernmoor.example\r\nReceived: from list.example by mx2.example; id {number}\r\n"
        )
        other = JUNK if delivery.folder == INBOX else INBOX
        return Delivery(
            content=way.encode() + delivery.content,
            folder=other if self._random.random() < 0.7 else delivery.folder,
            at=delivery.at + timedelta(minutes=self._random.randrange(1, 600)),
        )

    def _mail(self, number: int, sent_at: datetime, of: int) -> _Written:
        earlier = None
        if self._open and self._random.random() < _FOLLOW_UPS:
            earlier = self._open.pop(self._random.randrange(len(self._open)))
        written = self._write(number, sent_at.replace(microsecond=0), earlier, max(3, of // 4))
        mail = written.mail
        if mail.message_id and mail.message_id != _CARELESS_ID and written.folder == INBOX:
            self._open.append(written)
            del self._open[:-500]  # nobody answers a mail of months ago
        return written

    def _write(self, number: int, sent_at: datetime, earlier: _Written | None, residents: int) -> _Written:
        chance = self._random.random
        charset = self._random.choice(tuple(_WORDS))
        resident = earlier.resident if earlier else self._resident(self._random.randrange(residents))
        careless = earlier is None and chance() < _USED_AGAIN
        message_id = _CARELESS_ID if careless else "" if chance() < _WITHOUT_ID else self._id(number)
        references, subject = self._answers(earlier, number)
        subject = subject or f"{_SUBJECTS[charset]} {number}"
        word = f"kestrel{self._seed}x{number:06d}"
        says = f"{word} {self._words(charset)}"
        files = self._files()
        headers = [
            f"Received: from smtp.example by mx1.example with ESMTPS id {number}; {format_datetime(sent_at)}",
            f"From: {_word(resident[0], charset)} <{resident[1]}>",
            f"To: Cllr Tansy Quillfeather <{OFFICE}>",
            f"Subject: {_word(subject, charset if _fits(subject, charset) else 'utf-8')}",
            f"Date: {format_datetime(sent_at)}",
            *([f"Message-ID: {message_id}"] if message_id else []),
            *([f"In-Reply-To: {references[-1]}", "References: " + "\r\n ".join(references)] if references else []),
            "MIME-Version: 1.0",
        ]
        quoted = earlier.mail if earlier else None
        body = self._body(says, charset, quoted, files)
        return _Written(
            mail=Mail(
                number=number,
                message_id=message_id,
                sender=resident[1],
                subject=subject,
                word=word,
                says=says,
                charset=charset,
                sent_at=sent_at,
                thread=earlier.mail.thread if earlier else number,
                files=tuple(file for file, _ in files),
            ),
            content="\r\n".join(headers).encode("ascii") + b"\r\n" + body,
            folder=JUNK if earlier is None and chance() < _IN_JUNK else INBOX,
            references=(*references, message_id),
            resident=resident,
        )

    def _answers(self, earlier: _Written | None, number: int) -> tuple[tuple[str, ...], str]:
        """References and subject of a follow-up: to the resident's own mail, or to our answer to it."""
        if earlier is None:
            return (), ""
        ours = (f"<office-{self._seed}-{number}@fernmoor.example>",) if self._random.random() < 0.5 else ()
        subject = earlier.mail.subject
        return (*earlier.references, *ours), subject if subject.startswith("Re: ") else f"Re: {subject}"

    def _id(self, number: int) -> str:
        domain = self._random.choice(("larkrise.example", "mail.example", "[192.0.2.7]"))
        return f"<{self._random.getrandbits(64):016X}.{number}@{domain}>"

    def _resident(self, number: int) -> tuple[str, str]:
        name = f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {_LAST_NAMES[number % len(_LAST_NAMES)]}"
        return name, f"resident{number}@larkrise.example"

    def _words(self, charset: str) -> str:
        sentence = _WORDS[charset]
        return " ".join([sentence] * max(1, self._random.randrange(2 * self._text + 1) // len(sentence)))

    def _files(self) -> list[tuple[File, bytes]]:
        if self._random.random() >= _WITH_FILES:
            return []
        found = []
        for _ in range(self._random.choice((1, 2))):
            name, media_type = self._random.choice(_FILES)
            data = self._random.randbytes(self._random.randrange(50, 2 * self._file))
            found.append((File(name=name, media_type=media_type, sha256=hashlib.sha256(data).hexdigest()), data))
        return found

    # MIME.

    def _body(self, says: str, charset: str, quoted: Mail | None, files: Sequence[tuple[File, bytes]]) -> bytes:
        own = f"{says}\n"
        if quoted is not None and _fits(quoted.says, charset):
            quotation = "\n".join(f"> {line}" for line in quoted.says.splitlines())
            moment = f"{quoted.sent_at:%a, %d %b %Y at %H:%M}"
            own += f"\nOn {moment}, Tansy Quillfeather <{OFFICE}> wrote:\n{quotation}\n"
        shape = self._random.random()
        text = self._part(own, "plain", charset)
        marked_up = "".join(f"<p>{html.escape(line)}</p>\n" for line in own.splitlines() if line)
        page = f"<html><head><title>Mail</title></head><body>{marked_up}</body></html>\n"
        if shape < 0.35:
            body = text
        elif shape < 0.9:
            body = self._several("alternative", [text, self._part(page, "html", charset)])
        else:
            body = self._part(page, "html", charset)
        return self._several("mixed", [body, *(_file_part(file, data) for file, data in files)]) if files else body

    def _several(self, kind: str, parts: Sequence[bytes]) -> bytes:
        boundary = f"=_{self._random.getrandbits(96):024x}"
        head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
        line = f"--{boundary}".encode()
        return head + b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"

    def _part(self, text: str, subtype: str, charset: str) -> bytes:
        data = text.replace("\n", "\r\n").encode(charset)
        short = max(map(len, data.split(b"\r\n"))) < _LINE_MOST
        ways = ["base64", "quoted-printable", *(["7bit" if data.isascii() else "8bit"] if short else [])]
        way = self._random.choice(ways)
        head = f'Content-Type: text/{subtype}; charset="{charset}"\r\nContent-Transfer-Encoding: {way}\r\n\r\n'
        if way == "base64":
            data = base64.encodebytes(data).replace(b"\n", b"\r\n")
        elif way == "quoted-printable":
            data = binascii.b2a_qp(data)
        return head.encode() + data


def _file_part(file: File, data: bytes) -> bytes:
    name = f"filename*=utf-8''{quote(file.name)}" if not file.name.isascii() else f'filename="{file.name}"'
    head = (
        f"Content-Type: {file.media_type}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment; {name}\r\n\r\n"
    )
    return head.encode() + base64.encodebytes(data).replace(b"\n", b"\r\n")


def _fits(text: str, charset: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def _word(text: str, charset: str) -> str:
    """A header's words: as they are, or as encoded words of at most 75 characters."""
    if text.isascii():
        return text
    charset = charset if _fits(text, charset) else "utf-8"
    pieces = [text[at : at + 10] for at in range(0, len(text), 10)]
    return "\r\n ".join(f"=?{charset}?b?{base64.b64encode(piece.encode(charset)).decode()}?=" for piece in pieces)
