"""Answering through a real mail server: it arrives once, threads, and every way of not arriving has its name."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors import (
    UNKNOWABLE,
    Actor,
    Ambiguous,
    Attachment,
    AuthExpired,
    Draft,
    Quoted,
    Receipt,
    Refused,
    TooLong,
    Transient,
)
from connectors.email import ids
from connectors.email.connection import Mailbox
from connectors.email.quotes import fold
from tests.connectors.email.box import ID_KEY, NOW, draft, mail, mailbox, options
from tests.servers.dovecot import Dovecot
from tests.servers.faulty import Fault, Line
from tests.servers.smtp import Smtp

PLAN = (Attachment(name="plan.pdf", media_type="application/pdf", content=b"p" * 200_000),)


@pytest.fixture
def box(dovecot: Dovecot, smtp: Smtp, address: str) -> Iterator[Mailbox]:
    connection = mailbox(options(address, dovecot, smtp))
    yield connection
    connection.close()


def parsed(content: bytes) -> email.message.EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


def written(other: Draft) -> email.message.EmailMessage:
    """The mail that a draft comes to; no server is needed for that."""
    box = mailbox({"address": "cllr@fernmoor.example", "password": "secret"})
    return parsed(box.prepare(other).payload)


def words(message: email.message.EmailMessage, kind: str = "plain") -> str:
    """What a mail says, in plain text or in HTML."""
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_reply_arrives_and_threads_in_the_residents_mail_program(
    dovecot: Dovecot, smtp: Smtp, box: Mailbox, address: str
) -> None:
    resident = f"hester-{address}"
    dovecot.deliver(resident, mail("Brown bin", sender=resident, Message_ID="<bin-1@larkrise.example>"), "Sent")
    prepared = box.prepare(draft(address, resident))
    receipt = box.send(prepared)
    assert receipt == Receipt(platform_id=prepared.platform_id, accepted_at=NOW)
    (arrived,) = smtp.inbox(resident, wait=5)
    reply = parsed(arrived)
    assert reply["Subject"] == "Re: Brown bin"
    assert reply["From"] == f"Cllr Tansy Quillfeather <{address}>"
    assert reply["To"] == f"Hester Brindlecombe <{resident}>"
    assert reply["In-Reply-To"] == "<bin-1@larkrise.example>"
    assert reply["References"].split() == ["<bin-0@larkrise.example>", "<bin-1@larkrise.example>"]
    assert reply["Message-ID"] == prepared.platform_id
    assert reply["Auto-Submitted"] is None
    assert words(reply) == "Dear Hester,\n\nI have asked the depot.\n"
    (seen,) = dovecot.messages(resident)
    with dovecot.client(resident) as program:
        program.select_folder("INBOX", readonly=True)
        assert program.search(["HEADER", "References", "<bin-1@larkrise.example>"]) == [1]
    assert prepared.platform_id.encode() in seen


def test_the_same_mail_goes_out_at_every_attempt(smtp: Smtp, box: Mailbox, address: str) -> None:
    prepared = box.prepare(draft(address, f"x-{address}", key="again"))
    box.send(prepared)
    box.send(prepared)
    one, two = smtp.inbox(f"x-{address}", wait=5, least=2)
    assert parsed(one)["Message-ID"] == parsed(two)["Message-ID"] == prepared.platform_id


def test_words_names_and_files_arrive_as_they_were_typed(smtp: Smtp, box: Mailbox, address: str) -> None:
    text = "Annwyl Gwenllïan,\n\nMae'r golau stryd wedi'i drwsio ✔\n.\n..dots\n" + "gair " * 400 + "\n  > indented\n"
    prepared = box.prepare(
        draft(
            address,
            f"w-{address}",
            subject="Golau stryd, Heol y Bont ŵ 💡 " + "a rather long subject " * 5,
            sender=Actor(external_id=address, name="Cynghorydd Ŵan, “Tansy”", handle=address),
            text=text,
            attachments=(Attachment(name="llun pothôl.jpg", media_type="image/jpeg", content=bytes(range(256)) * 40),),
        )
    )
    box.send(prepared)
    (arrived,) = smtp.inbox(f"w-{address}", wait=5)
    reply = parsed(arrived)
    assert reply["Subject"] == "Re: Golau stryd, Heol y Bont ŵ 💡 " + ("a rather long subject " * 5).strip()
    assert reply["From"].addresses[0].display_name == "Cynghorydd Ŵan, “Tansy”"
    assert words(reply) == text
    (attached,) = reply.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("llun pothôl.jpg", "image/jpeg")
    assert attached.get_content() == bytes(range(256)) * 40
    assert max(len(line) for line in prepared.payload.split(b"\r\n")) <= 998
    assert prepared.payload.replace(b"\r\n", b"").find(b"\n") == -1


def test_files_arrive_byte_for_byte(smtp: Smtp, box: Mailbox, address: str) -> None:
    photo, empty = bytes(range(256)) * 4_000, b""
    files = (
        Attachment(name="bin.jpg", media_type="image/jpeg", content=photo),
        Attachment(name="nothing.txt", media_type="text/plain", content=empty),
        Attachment(name="letter.txt", media_type="text/plain", content=b"line\nline\r\nlast\r"),
        Attachment(name="old.eml", media_type="message/rfc822", content=b"Subject: x\n\nold\n"),
    )
    box.send(box.prepare(draft(address, f"f-{address}", attachments=files)))
    (arrived,) = smtp.inbox(f"f-{address}", wait=5)
    got = [(one.get_filename(), one.get_payload(decode=True)) for one in parsed(arrived).iter_attachments()]
    assert got == [(one.name, one.content) for one in files]


def test_everybody_gets_it_or_nobody_does(smtp: Smtp, box: Mailbox, address: str) -> None:
    both = {"cc": (Actor(external_id="unknown@larkrise.example", handle="unknown@larkrise.example"),)}
    with pytest.raises(Refused, match=r"unknown@larkrise\.example \(5\.1\.1 There is nobody of that name here\)"):
        box.send(box.prepare(draft(address, f"b-{address}", **both)))
    assert smtp.inbox(f"b-{address}") == []


@pytest.mark.parametrize(
    ("to", "error", "words"),
    [
        ("unknown@larkrise.example", Refused, "There is nobody of that name here"),
        ("spam@larkrise.example", Refused, "This looks like spam"),
        ("busy@larkrise.example", Transient, "Try again later"),
        ("later@larkrise.example", Transient, "Try again later"),
    ],
)
def test_a_refusal_says_whether_trying_again_helps(
    box: Mailbox, address: str, to: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        box.send(box.prepare(draft(address, to)))
    assert type(caught.value) is error


def test_a_mail_too_large_for_the_server_is_named(box: Mailbox, address: str) -> None:
    large = Attachment(name="film.mp4", media_type="video/mp4", content=b"x" * 8_000_000)
    with pytest.raises(TooLong, match="10 MB"):
        box.send(box.prepare(draft(address, attachments=(large,))))


def test_a_password_that_no_longer_works_is_named(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, smtp_password="old"))
    with pytest.raises(AuthExpired):
        box.send(box.prepare(draft(address)))


def test_a_server_that_is_not_there_means_that_nothing_got_out(dovecot: Dovecot, address: str) -> None:
    box = mailbox(options(address, dovecot, None))
    with pytest.raises(Transient, match="does not answer on port 1"):
        box.send(box.prepare(draft(address)))


def test_a_line_cut_before_the_mail_is_through_means_that_nothing_got_out(
    dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    # Large enough that it is not already on its way as a whole, in the machine's own buffers, when the line is cut.
    film = Attachment(name="film.mp4", media_type="video/mp4", content=b"f" * 6_500_000)
    with Line(smtp.starttls_port) as line:
        line.fail(Fault(cut_sending_after=100_000))
        box = mailbox(options(address, dovecot, smtp, smtp_port=str(line.port)))
        with pytest.raises(Transient):
            box.send(box.prepare(draft(address, f"c-{address}", attachments=(film,))))
    assert smtp.inbox(f"c-{address}") == []


def test_an_answer_that_is_lost_after_the_mail_leaves_it_open_whether_it_got_out(
    dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    with Line(smtp.starttls_port) as line:
        line.fail(Fault(lose_answer_after=100_000))
        box = mailbox(options(address, dovecot, smtp, smtp_port=str(line.port)))
        prepared = box.prepare(draft(address, f"slow-{address}", attachments=PLAN))
        with pytest.raises(Ambiguous):
            box.send(prepared)
        assert box.probe(prepared) is UNKNOWABLE
        box.close()
    assert len(smtp.inbox(f"slow-{address}", wait=5)) == 1


# The Sent folder.


def test_a_copy_lies_in_sent_once_and_read(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    prepared = box.prepare(draft(address))
    assert box.probe(prepared) is UNKNOWABLE
    assert box.file_copy(prepared)
    assert box.file_copy(prepared)
    assert dovecot.messages(address, "Sent") == [prepared.payload]
    assert dovecot.flags(address, "Sent") == [(b"\\Seen",)]
    found = box.probe(prepared)
    assert isinstance(found, Receipt)
    assert found.platform_id == prepared.platform_id


def test_a_server_that_files_its_own_copies_gets_none_from_us(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, sent_copies="server"))
    assert box.file_copy(box.prepare(draft(address)))
    assert dovecot.messages(address, "Sent") == []


def test_another_folder_for_sent_mail_can_be_set(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, sent_folder="Archive"))
    assert box.file_copy(box.prepare(draft(address)))
    assert len(dovecot.messages(address, "Archive")) == 1
    box.close()


def test_an_account_without_that_folder_keeps_no_copy(dovecot: Dovecot, smtp: Smtp, address: str) -> None:
    box = mailbox(options(address, dovecot, smtp, sent_folder="Nowhere"))
    assert not box.file_copy(box.prepare(draft(address)))
    box.close()


# What a mail says.


def test_the_html_says_what_the_text_says_and_loads_nothing() -> None:
    text = "Dear Hester,\n\n<b>Bins</b> & more:\n  - brown\nSee https://fernmoor.example/bins?a=1&b=2.\n"
    reply = written(draft("c@f.example", text=text))
    assert reply.get_content_type() == "multipart/alternative"
    assert words(reply) == text
    assert words(reply, "html").split("<body")[1] == (
        ' dir="auto">\n<p dir="auto">Dear Hester,</p>\n'
        '<p dir="auto">&lt;b&gt;Bins&lt;/b&gt; &amp; more:<br>\n&nbsp;&nbsp;- brown<br>\n'
        'See <a href="https://fernmoor.example/bins?a=1&amp;b=2">https://fernmoor.example/bins?a=1&amp;b=2</a>.</p>\n'
        "</body>\n</html>\n"
    )


def test_signature_and_quotation_stand_below_the_words() -> None:
    asked = Quoted(
        author="Hester\nBrindlecombe",
        sent_at=datetime(2026, 4, 2, 15, 20, tzinfo=UTC),
        text="The bin was missed.\n\n> When?\nOn Thursday.\n",
    )
    reply = written(draft("c@f.example", text="It is on its way.\n", signature="Cllr Tansy\nFernmoor", quoted=asked))
    assert words(reply) == (
        "It is on its way.\n\nCllr Tansy\nFernmoor\n\n"
        "On Thu 2 Apr 2026 at 16:20, Hester Brindlecombe wrote:\n> The bin was missed.\n>\n>> When?\n> On Thursday.\n"
    )
    assert '<blockquote type="cite">\n<p dir="auto">The bin was missed.</p>' in words(reply, "html")
    assert fold(words(reply), reply=True) == "It is on its way.\n\nCllr Tansy\nFernmoor"


def test_a_long_mail_is_quoted_in_part() -> None:
    asked = Quoted(author="Hester", sent_at=NOW, text="\n".join(f"line {n}" for n in range(200)))
    quoted = words(written(draft("c@f.example", quoted=asked))).split("wrote:\n")[1].splitlines()
    assert (len(quoted), quoted[-2], quoted[-1]) == (41, "> line 39", "> […]")


# What a mail may hold.


def test_re_stands_once_before_the_subject() -> None:
    assert written(draft("c@f.example", subject="RE: re: Re[2]: Ateb: Brown bin"))["Subject"] == "Re: Brown bin"
    assert written(draft("c@f.example", subject="Brown bin", in_reply_to="", references=()))["Subject"] == "Brown bin"


def test_a_long_thread_keeps_its_root_and_its_nearest_mails() -> None:
    references = tuple(f"<{n}@larkrise.example>" for n in range(60))
    kept = written(draft("c@f.example", references=references))["References"].split()
    assert len(kept) == 20
    assert (kept[0], kept[1], kept[-1]) == ("<0@larkrise.example>", "<42@larkrise.example>", "<bin-1@larkrise.example>")


def test_an_id_that_no_header_can_hold_is_left_out() -> None:
    reply = written(draft("c@f.example", in_reply_to="<a b\r\nBcc: x@y>", references=("<ok@x>", "nonsense\x00")))
    assert reply["In-Reply-To"] is None
    assert reply["References"] == "<ok@x>"
    assert reply["Bcc"] is None


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "Brown bin\r\nBcc: everybody@example.org"},
        {"subject": "Brown bin\nX: y"},
        {"subject": "Brown\u2028bin"},
        {"sender": Actor(external_id="c@f.example", name="Tansy\r\nBcc: x@y.example", handle="c@f.example")},
        {"to": (Actor(external_id="h@l.example", name="Hester\nBcc: x@y.example", handle="h@l.example"),)},
        {"to": (Actor(external_id="h@l.example\r\nBcc: x@y.example"),)},
        {"to": (Actor(external_id="h@l.example>, <x@y.example"),)},
        {"to": (Actor(external_id=""),)},
        {"to": ()},
        {"key": "../../etc\r\n"},
    ],
)
def test_a_draft_that_would_forge_a_header_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        written(draft("c@f.example", **other))


def test_the_name_of_a_file_forges_nothing() -> None:
    files = (Attachment(name='a"\r\nX-Evil: 1\r\n\r\n../b.pdf', media_type="text/html\r\nX: y", content=b"x"),)
    (attached,) = written(draft("c@f.example", attachments=files)).iter_attachments()
    assert "X-Evil" not in attached
    assert attached.get_content_type() == "application/octet-stream"
    assert "/" not in (attached.get_filename() or "/")


def test_an_id_of_ours_is_known_and_a_forged_one_is_not() -> None:
    ours = ids.message_id("reply-1", "fernmoor.example", ID_KEY)
    assert ids.key_of(ours, ID_KEY) == "reply-1"
    assert ids.key_of(ours.replace("reply-1", "reply-2"), ID_KEY) is None
    assert ids.key_of(ours, b"another key") is None
    assert ids.key_of("<reply-1@fernmoor.example>", ID_KEY) is None


def test_an_address_in_another_script_is_sent_to_in_the_form_that_servers_take() -> None:
    reply = written(draft("c@f.example", "post@tŷ.example"))
    assert reply["To"].addresses[0].addr_spec == "post@xn--t-foa.example"
