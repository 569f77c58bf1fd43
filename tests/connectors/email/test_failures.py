"""What a delivery report says went wrong, in a sentence."""

from __future__ import annotations

import pytest

from connectors import Item, Raw
from connectors.email.reading import read

STATUS = """From: MAILER-DAEMON@mx.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

I could not deliver it.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

{}
--b
Content-Type: text/rfc822-headers

Message-ID: <reply-1.abc@fernmoor.example>
--b--
"""


def report(text: str) -> Item:
    return read(Raw(external_id="1:1", content=text.encode()))


FAILED = "Final-Recipient: rfc822; {}@l.example\nAction: failed\nStatus: {}"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (FAILED.format("h", "5.1.1"), "There is no mailbox h@l.example."),
        (FAILED.format("h", "5.1.2"), "There is no such mail domain: h@l.example."),
        (FAILED.format("h", "5.2.2"), "The mailbox h@l.example is full."),
        (FAILED.format("h", "4.4.7"), "The mail server of h@l.example could not be reached."),
        (FAILED.format("h", "5.7.26"), "The mail server of h@l.example refused it."),
        (FAILED.format("h", "5.0.0"), "It did not arrive at h@l.example."),
        ("Original-Recipient: rfc822;a@b.example\n" + FAILED.format("h", "5.1.1"), "There is no mailbox a@b.example."),
        (
            FAILED.format("a", "2.0.0").replace("failed", "delivered") + "\n\n" + FAILED.format("b", "5.1.10"),
            "There is no mailbox b@l.example.",
        ),
        (
            FAILED.format("h", "5.0.0") + "\nDiagnostic-Code: smtp; 552 5.3.4 Too\n big.",
            "This mail is larger than the mail server of h@l.example takes. (552 5.3.4 Too big)",
        ),
        ("Action: failed", "It did not arrive."),
    ],
)
def test_a_status_is_said_in_a_sentence(fields: str, sentence: str) -> None:
    item = report(STATUS.format(fields))
    assert (item.is_bounce, item.failure) == (True, sentence)


def test_a_report_in_its_own_words_is_quoted() -> None:
    item = report(
        "From: Mail Delivery System <Mailer-Daemon@mx.example>\nX-Failed-Recipients: h@l.example\n"
        "Subject: Mail delivery failed: returning message to sender\n\nThe following address failed:\n\n"
        "  h@l.example\n    host mx.l.example [192.0.2.1]: 550 5.1.1 User unknown\n\n"
        "Message-ID: <reply-2.abc@fernmoor.example>\n"
    )
    assert item.failure == "It did not arrive. (550 5.1.1 User unknown)"


@pytest.mark.parametrize(("sender", "is_bounce"), [("<>", True), ("<eve@x.example>", False)])
def test_a_report_that_somebody_sent_is_none(sender: str, *, is_bounce: bool) -> None:
    item = report(f"Return-Path: {sender}\n{STATUS.format(FAILED.format('h', '5.1.1'))}")
    assert (item.is_bounce, bool(item.bounced)) == (is_bounce, is_bounce)


def test_a_mail_that_is_no_report_has_failed_nowhere() -> None:
    assert report("From: h@l.example\nSubject: Bin\n\n550 5.1.1 is what my computer says").failure == ""
