"""Mails that are odd, damaged or made to hurt: nothing is lost, nothing takes long, nothing breaks the reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.messages import apart
from connectors import Item, Raw, Unreadable
from connectors.email import connector, standard
from connectors.email.structure import parts
from tests.connectors.email import hostile

SECONDS_MOST = 2.0  # of processor time
MEMORY_MOST = 300  # MB, of the process that has read every extreme
SEED = 11


def read(content: bytes) -> Item:
    return connector.read(Raw(external_id="1:1", content=content))


def can_be_kept(item: Item) -> None:
    for text in (item.subject, item.text, item.reply_text, item.html, item.author.name, item.platform_id):
        text.encode()
        assert "\0" not in text
    for file in item.attachments:
        assert file.name
        assert "/" not in file.name


def test_no_word_and_no_file_of_an_odd_mail_is_lost() -> None:
    lost = [
        (odd.kind, odd.content)
        for odd in hostile.odd(SEED, 18)
        for item in [read(odd.content)]
        if odd.word not in item.text
        or (odd.file is not None and not any(odd.file == file.content for file in item.attachments))
    ]
    assert [kind for kind, _ in lost] == []


def test_what_the_standard_library_finds_in_an_odd_mail_is_found_by_cutting_too() -> None:
    for odd in hostile.odd(SEED + 1, 10):
        second = standard.parts(odd.content)
        if second is None:
            continue
        _, cut = parts(odd.content)
        ours = b" ".join(leaf.body(odd.content) for leaf in cut)
        theirs = [leaf.body(odd.content) for leaf in second[1]]
        assert odd.word.encode() in ours or not any(odd.word.encode() in body for body in theirs), odd.kind
        assert len(cut) >= min(len(theirs), 50), odd.kind


def test_what_lies_deeper_than_we_cut_is_left_to_the_standard_library() -> None:
    inner = b"Content-Type: text/plain\n\nThe bin was missed.\n"
    for level in range(60):
        head = b"Content-Type: multipart/mixed; boundary=level%d\n\n" % level
        inner = head + b"--level%d\n" % level + inner + b"--level%d--\n" % level
    assert read(inner).text == "The bin was missed."


def test_a_damaged_mail_is_read_as_far_as_it_goes() -> None:
    for mail in hostile.damaged(SEED, 300):
        if mail.content:
            begun = time.process_time()
            can_be_kept(read(mail.content))
            assert time.process_time() - begun < SECONDS_MOST


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in hostile.extremes()])
def test_a_mail_made_to_hurt_is_read_at_once(content: bytes) -> None:
    begun = time.process_time()
    can_be_kept(read(content))
    assert time.process_time() - begun < SECONDS_MOST


def large() -> Iterator[tuple[str, Iterator[bytes]]]:
    """Mails too large to be held in memory more often than once, in pieces."""
    line = b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n"
    file = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b\nContent-Type: application/pdf\n"
    yield "30 MB of words", (b"Subject: x\n\n" if not n else b"word word word\n" * 1_000 for n in range(2_000))
    yield "30 MB of HTML", (b"Content-Type: text/html\n\n" if not n else b"<p>word</p>\n" * 1_000 for n in range(2_500))
    yield (
        "a file of 60 MB",
        (file + b"Content-Transfer-Encoding: base64\n\n" if not n else line * 1_000 for n in range(1_090)),
    )


def test_large_and_hostile_mails_stay_within_time_and_memory(tmp_path: Path) -> None:
    apart.close()
    spool = tmp_path / "spool"
    spool.mkdir()
    path = tmp_path / "mail.eml"
    for name, pieces in large():
        with path.open("wb") as file:
            file.writelines(pieces)
        with apart.reading(connector.read, Raw(external_id="1", content=path), spool) as result:
            assert len(result.said.item.text) <= 2 * 1024 * 1024, name
            assert len(result.said.files) == 1, name
    for _, content in hostile.extremes():
        with apart.reading(connector.read, Raw(external_id="1", content=content), spool):
            pass
    assert _most_memory() < MEMORY_MOST
    assert list(spool.iterdir()) == []


def _most_memory() -> float:
    """MB that the one process that waits has had at most."""
    [process] = apart._idle
    status = Path(f"/proc/{process._popen.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1_000


# ── Whatever comes ──────────────────────────────────────────────────────────────────────────────────────────

TOKENS = st.sampled_from(
    [
        *(
            b"Content-Type: ",
            b"multipart/mixed; boundary=b",
            b"multipart/alternative;\n boundary=c",
            b"text/html",
            b"b",
        ),
        *(
            b"text/plain; charset=",
            b"utf-16",
            b"gb18030",
            b"message/rfc822",
            b"application/ms-tnef",
            b"\n--b\n",
            b"\n--c",
        ),
        *(
            b"application/pkcs7-mime",
            b"message/delivery-status",
            b"text/calendar",
            b"--\n",
            b"\n\n",
            b"\n",
            b"\r\n",
            b"\r",
        ),
        *(b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"x-uuencode", b"From: ", b"Subject: Re: "),
        *(b"=?utf-8?b?", b"?=", b"<a@b>", b'"', b"(", b"> ", b"On 1 Jan 2026 at 10:00, a <a@b> wrote:", b"-- \n"),
        *(b"<p>", b"</p>", b"<blockquote>", b"<pre>", b"=C3=A9", b"AAAA", b"begin 644 a\n", b"Action: failed\n", b"\0"),
    ]
)
PIECES = st.lists(st.one_of(TOKENS, st.binary(max_size=12)), max_size=60).map(b"".join)


def _is_read_or_refused(content: bytes) -> None:
    try:
        can_be_kept(read(content))
    except Unreadable:
        assert not content


@given(PIECES)
@example(b"\n")
@settings(max_examples=300, deadline=None)
def test_no_structure_breaks_the_reader(content: bytes) -> None:
    _is_read_or_refused(content)


@given(st.binary(max_size=2_000))
@settings(max_examples=200, deadline=None)
def test_no_bytes_break_the_reader(content: bytes) -> None:
    _is_read_or_refused(content)


@pytest.mark.slow
@given(PIECES)
@settings(max_examples=30_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_structure_breaks_the_reader_however_long_one_looks(content: bytes) -> None:
    _is_read_or_refused(content)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_no_accident_breaks_the_reader_however_long_one_looks(seed: int) -> None:
    for mail in hostile.damaged(seed, 500):
        _is_read_or_refused(mail.content)
