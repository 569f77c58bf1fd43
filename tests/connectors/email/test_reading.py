"""What a mail says: every generated mail exactly, and the odd ones that real senders produce."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import random
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from connectors import Item, Raw, Unreadable
from connectors.email import connector
from connectors.email.structure import parts
from tests.mailbox import Delivery, Truth, generate


def read(content: bytes | str) -> Item:
    data = content.encode() if isinstance(content, str) else content
    return connector.read(Raw(external_id="1:1", content=data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))


def header(line: str) -> Item:
    return read(f"{line}\nMessage-ID: <a@b>\n\nHello\n")


@pytest.fixture(scope="module")
def post() -> tuple[list[Delivery], Truth]:
    return generate(600, seed=7)


def test_every_generated_mail_is_read_exactly(post: tuple[list[Delivery], Truth]) -> None:
    deliveries, truth = post
    items = [connector.read(Raw(external_id="1:1", content=one.content)) for one in deliveries]
    different = {(item.platform_id, item.fingerprint): item for item in items}
    assert len(different) == len(truth.mails)
    by_word = {item.text.split()[0]: item for item in different.values()}
    for mail in truth.mails:
        item = by_word[mail.word]
        assert (item.platform_id, item.author.external_id) == (mail.message_id, mail.sender)
        assert (item.subject, item.reply_text, item.sent_at) == (mail.subject, mail.says, mail.sent_at)
        found = [(file.name, file.media_type, hashlib.sha256(file.content).hexdigest()) for file in item.attachments]
        assert found == [(file.name, file.media_type, file.sha256) for file in mail.files]


def test_cutting_at_boundaries_finds_the_parts_that_the_standard_parser_finds(
    post: tuple[list[Delivery], Truth],
) -> None:
    for delivery in post[0]:
        standard = email.message_from_bytes(delivery.content)
        expected = [
            (part.get_content_type(), part.get_payload(decode=True))
            for part in standard.walk()
            if not part.is_multipart()
        ]
        _, leaves = parts(delivery.content)
        assert [(leaf.media_type, leaf.body(delivery.content)) for leaf in leaves] == expected


def test_reading_twice_says_the_same_from_memory_and_from_a_file(
    tmp_path: Path, post: tuple[list[Delivery], Truth]
) -> None:
    path = tmp_path / "mail.eml"
    for delivery in post[0][:50]:
        path.write_bytes(delivery.content)
        from_file = connector.read(Raw(external_id="1:1", content=path))
        assert from_file == connector.read(Raw(external_id="1:1", content=delivery.content))


def test_a_mail_of_nothing_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read(b"")


# Who and what.


@pytest.mark.parametrize(
    ("line", "name", "address"),
    [
        ("From: Hester <Hester@Larkrise.example>", "Hester", "hester@larkrise.example"),
        ('From: "Brindlecombe, Hester" <h@l.example>', "Brindlecombe, Hester", "h@l.example"),
        ("From: h@l.example (Hester B)", "Hester B", "h@l.example"),
        ("From: h@l.example", "", "h@l.example"),
        ("From: <h@l.example>", "", "h@l.example"),
        ('From: "h@l.example" <h@l.example>', "", "h@l.example"),
        ("From: =?utf-8?Q?T=C5=B7_Gobaith?= <h@l.example>", "Tŷ Gobaith", "h@l.example"),
        ('From: "=?iso-8859-1?q?Ren=E9e?=" <h@l.example>', "Renée", "h@l.example"),
        (r'From: "Pat \"the bin\" O\'Hara" <h@l.example>', 'Pat "the bin" O\'Hara', "h@l.example"),
        ("From: Hester\n\t<h@l.example>", "Hester", "h@l.example"),
        ("From: undisclosed", "undisclosed", ""),
        ("X-No-From: x", "", ""),
    ],
)
def test_the_sender_is_who_the_header_names(line: str, name: str, address: str) -> None:
    author = header(line).author
    assert (author.name, author.external_id) == (name, address)


def test_recipients_come_in_their_order_and_groups_are_opened() -> None:
    item = read("To: a@x.example, Bea <b@x.example>,\n c@x.example\nCc: Friends: d@x.example, E <e@x.example>;\n\n.")
    assert [one.external_id for one in item.to] == ["a@x.example", "b@x.example", "c@x.example"]
    assert [(one.name, one.external_id) for one in item.cc] == [("", "d@x.example"), ("E", "e@x.example")]


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("=?UTF-8?B?QnJvd24gYmluIPCfl5E=?=", "Brown bin \N{WASTEBASKET}"),
        ("=?utf-8?q?Heol_y_?=\n =?utf-8?q?Bont?=", "Heol y Bont"),
        ("=?utf-8?b?5bmz?= and =?utf-8?b?5oiQ?=", "平 and 成"),
        ("=?utf-8?b?5Q==?= =?utf-8?b?ubM=?=", "平"),
        ("=?iso-8859-1?q?caf=E9?= =?windows-1252?q?_=80?=", "café €"),
        ("=?gb2312?b?gTCBMIEwgTA=?=", "\x80\x80"),
        ("=?no-such-charset?q?caf=C3=A9?=", "café"),
        ("=?utf-8*cy?q?t=C5=B7?=", "tŷ"),
        ("Re: =?broken", "Re: =?broken"),
        ("caf\xe9", "café"),
    ],
)
def test_subjects_are_decoded_however_they_were_encoded(value: str, subject: str) -> None:
    found = read(b"Subject: " + value.encode("latin-1") + b"\n\nHello")
    assert found.subject == subject.replace("\x80", " ")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Thu, 02 Apr 2026 16:20:00 +0100", datetime(2026, 4, 2, 16, 20, tzinfo=timezone(timedelta(hours=1)))),
        ("2 Apr 2026 15:20 GMT", datetime(2026, 4, 2, 15, 20, tzinfo=UTC)),
        ("Thu, 02 Apr 2026 15:20:00 -0000", datetime(2026, 4, 2, 15, 20, tzinfo=UTC)),
        ("Fri, 1 Jan 1904 00:00:00 +0000", None),
        ("Thu, 02 Apr 2126 15:20:00 +0000", None),
        ("yesterday", None),
        ("Thu, 99 Apr 2026 99:99:99 +9999", None),
        ("", None),
    ],
)
def test_a_date_is_a_moment_or_nothing(value: str, expected: datetime | None) -> None:
    assert header(f"Date: {value}").sent_at == expected


def test_ids_are_kept_as_they_were_made() -> None:
    item = read(
        "Message-ID:\n <CAF+x=Y.z$1@[192.0.2.7]>\nIn-Reply-To: Your message <B@x> of Tuesday\n"
        "References: <a@x>\n <B@x> <a@x>\n\nHello"
    )
    assert item.platform_id == "<CAF+x=Y.z$1@[192.0.2.7]>"
    assert item.in_reply_to == "<B@x>"
    assert item.references == ("<a@x>", "<B@x>")


def test_the_same_mail_by_two_ways_has_one_fingerprint_and_another_mail_has_another() -> None:
    own = "From: a@x.example\nDate: Thu, 02 Apr 2026 16:20:00 +0100\nSubject: Bin\nMessage-ID: <form@x>\n\nMissed.\n"
    here = read("Delivered-To: one@f.example\nReceived: from a\n" + own)
    there = read("Received: from b\nReceived: from c\n" + own)
    other = read(own.replace("Missed.", "Found."))
    assert here.fingerprint == there.fingerprint
    assert other.platform_id == here.platform_id
    assert other.fingerprint != here.fingerprint


# Words.


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("iso-8859-1", b"It\x92s \x80400", "It\u2019s €400"),
        ("us-ascii", "caf\u00e9".encode(), "café"),
        ("us-ascii", b"caf\xe9", "café"),
        ("", b"caf\xe9 \x81", "café \x81"),
        ("utf-8", b"caf\xe9", "café"),
        ("gb2312", "镕".encode("gbk"), "镕"),
        ("iso-2022-jp", "平成".encode("iso-2022-jp"), "平成"),
        ("utf-16", "tŷ".encode("utf-16"), "tŷ"),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("x-unknown", "tŷ".encode(), "tŷ"),
        ("utf-8", b"a\x00b", "ab"),
    ],
)
def test_words_are_read_in_the_character_set_that_was_meant(charset: str, data: bytes, text: str) -> None:
    declared = f'Content-Type: text/plain; charset="{charset}"\r\n' if charset else ""
    body = base64.encodebytes(data)
    assert read(declared.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + body).text == text


def test_the_charset_that_only_the_html_names_is_used() -> None:
    page = '<html><head><meta charset="windows-1251"></head><body>Житло</body></html>'.encode("windows-1251")
    assert read(b"Content-Type: text/html\n\n" + page).text == "Житло"


def test_html_becomes_lines_with_quotations_marked() -> None:
    item = read(
        "Content-Type: text/html; charset=utf-8\n\n<html><head><title>T</title><style>p{}</style></head><body>"
        "<p>Dear  Tansy,</p><p>The bin<br>was <b>mis</b>sed.</p><ul><li>brown</li><li>green</li></ul>"
        "<script>alert(1)</script><blockquote><p>I have asked.</p></blockquote><pre>a\n b</pre>"
        "<table><tr><td>one</td><td>two</td></tr></table></body></html>"
    )
    assert item.text.splitlines() == [
        "Dear Tansy,",
        "",
        "The bin",
        "was missed.",
        "",
        "- brown",
        "- green",
        "",
        "> I have asked.",
        "",
        "a",
        "b",
        "",
        "one two",
    ]
    assert "<script>" in item.html


def test_plain_words_win_over_html_unless_they_are_blank() -> None:
    both = (
        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n{}\n--b\n"
        "Content-Type: text/html\n\n<p>marked up</p>\n--b--\n"
    )
    assert read(both.format("plain")).text == "plain"
    assert read(both.format("  ")).text == "marked up"


def test_all_text_parts_of_a_mail_are_read_in_their_order() -> None:
    item = read(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nbefore\n--b\nContent-Type: image/png; name=a.png\n\nx\n"
        "--b\nContent-Type: text/html\n\n<p>after</p>\n--b--\n"
    )
    assert item.text == "before\n\nafter"
    assert item.html == "<pre>before</pre>\n<p>after</p>"


@pytest.mark.parametrize(
    "content",
    [
        "Content-Type: multipart/mixed\n\nThe bin was missed.\n",
        "Content-Type: multipart/mixed; boundary=wrong\n\n--right\n\nThe bin was missed.\n--right--\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nThe bin was missed.\n",
        "Content-Type: nonsense\n\nThe bin was missed.\n",
        "Content-Transfer-Encoding: base64\n\nVGhlIGJpbiB3YXMgbWlzc2VkLg\n",
        "no header at all, The bin was missed.\n",
    ],
)
def test_no_words_are_lost_where_the_structure_is_broken(content: str) -> None:
    assert "The bin was missed." in read(content).text


# Files.


def test_files_have_their_names_and_are_inline_where_the_html_shows_them() -> None:
    item = read(
        "Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src='cid:logo@x'>\n"
        "--b\nContent-Type: image/png\nContent-ID: <logo@x>\nContent-Disposition: attachment; filename=logo.png\n\nL\n"
        "--b\nContent-Type: image/jpeg; name*0*=utf-8''llun%20; name*1*=poth%C3%B4l.jpg\n\nJ\n"
        '--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="=?utf-8?q?t=C5=B7.pdf?="\n\nP\n'
        "--b\nContent-Type: text/calendar\n\nC\n"
        '--b\nContent-Type: image/png\nContent-Disposition: attachment; filename="..\\\\..\\\\etc/pass:wd.png"\n\nE\n'
        "--b--\n"
    )
    assert [(file.name, file.inline, file.content_id) for file in item.attachments] == [
        ("logo.png", True, "logo@x"),
        ("llun pothôl.jpg", False, ""),
        ("tŷ.pdf", False, ""),
        ("attachment-4.ics", False, ""),
        ("passwd.png", False, ""),
    ]
    assert item.attachments[0].content == b"L"


def test_a_mail_in_a_mail_is_a_file_named_by_its_subject() -> None:
    item = read(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below\n--b\nContent-Type: message/rfc822\n\n"
        "Subject: Council tax 2026/27\n\nSummons\n--b--\n"
    )
    assert [file.name for file in item.attachments] == ["Council tax 2026-27.eml"]
    assert item.text == "See below"


def test_a_text_too_long_to_show_comes_whole_as_a_file() -> None:
    item = read(b"Content-Type: text/plain\n\n" + b"word \n" * 600_000)
    assert len(item.text) <= 2 * 1024 * 1024
    assert [len(file.content) for file in item.attachments] == [4_200_000]


# Machines.


@pytest.mark.parametrize(
    "line",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "Precedence: bulk",
        "List-Id: <news.example>",
        "X-Autoreply: yes",
        "Return-Path: <>",
        "Subject: Automatic reply: Brown bin",
        "Subject: Ateb awtomatig: Bin brown",
    ],
)
def test_what_a_machine_wrote_is_known(line: str) -> None:
    assert header(line).is_auto
    assert not header(line).is_bounce


@pytest.mark.parametrize(
    "line",
    [
        "Auto-Submitted: no",
        "Precedence: first-class",
        "X-Mailer: Outlook",
        "X-Auto-Response-Suppress: All",
        "List-Unsubscribe: <https://campaign.example/stop>",
    ],
)
def test_what_a_person_wrote_is_not_taken_for_a_machines(line: str) -> None:
    assert not header(line).is_auto


REPORT = """From: MAILER-DAEMON@mx.example
Return-Path: <>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

I could not deliver it.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; hester@larkrise.example
Action: {}
Status: 5.1.1
--b
Content-Type: text/rfc822-headers

Message-ID: <reply-1.abc@fernmoor.example>
Subject: Re: Brown bin
--b--
"""


def test_a_report_that_a_mail_failed_names_that_mail() -> None:
    item = read(REPORT.format("failed"))
    assert (item.is_auto, item.is_bounce, item.bounced) == (True, True, ("<reply-1.abc@fernmoor.example>",))


def test_a_report_that_a_mail_is_late_is_no_failure() -> None:
    item = read(REPORT.format("delayed"))
    assert (item.is_auto, item.is_bounce, item.bounced) == (True, False, ())


def test_a_failure_as_older_servers_report_it_is_known() -> None:
    item = read(
        "From: Mail Delivery System <Mailer-Daemon@mx.example>\nX-Failed-Recipients: h@l.example\n"
        "Subject: Mail delivery failed: returning message to sender\n\nThis message was returned:\n\n"
        "Message-ID: <reply-2.abc@fernmoor.example>\nFrom: c@fernmoor.example\n"
    )
    assert (item.is_bounce, item.bounced) == (True, ("<reply-2.abc@fernmoor.example>",))


# Mail made to hurt.


@pytest.mark.parametrize(
    "content",
    [
        b"From: " + b'"' * 50_000 + b"\n\nx",
        b"From: " + b'"\\' * 30_000 + b"\n\nx",
        b"From: " + b"(" * 50_000 + b"\n\nx",
        b"From: " + b"<" * 50_000 + b"\n\nx",
        b"From: " + b"a" * 60_000 + b"@ b\n\nx",
        b"To: " + b"a@b.example," * 10_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\n\nx",
        b"X: y\n" * 20_000 + b"\nx",
        b"Content-Type: text/plain" + b'; a*0*="' * 8_000 + b"\n\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2_000)) + b"\nx",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000,
        b"Content-Type: text/html\n\n" + b"<div>" * 20_000 + b"x",
        b"Content-Type: text/html\n\n" + b"<pre" * 100_000 + b"x",
        b"Content-Type: text/html\n\n" + b"<blockquote>" * 3_000 + b"x",
        b"Subject: Re: x\n\n" + b"On 1 Jan 2026 at 10:00, a <a@b> " * 50_000,
        b"Subject: Re: x\n\n" + b"On\n" * 100_000,
        b"Subject: Re: x\n\n" + b"From: x\n" * 50_000,
        b"Date: " + b"(" * 60_000 + b"\n\nx",
    ],
)
def test_no_mail_takes_long_or_breaks_the_reader(content: bytes) -> None:
    begun = time.process_time()
    read(content)
    assert time.process_time() - begun < 3


def test_random_damage_never_breaks_the_reader(post: tuple[list[Delivery], Truth]) -> None:
    draw = random.Random(3)  # noqa: S311 - the same damage every time
    for delivery in post[0][:200]:
        content = bytearray(delivery.content)
        for _ in range(20):
            content[draw.randrange(len(content))] = draw.randrange(256)
        item = connector.read(Raw(external_id="1:1", content=bytes(content)))
        item.text.encode()
        item.subject.encode()
