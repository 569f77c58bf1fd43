"""Hearing of mail as it comes, from a real server over lines that die in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors import AuthExpired, Listens, Transient
from connectors.email import idle
from connectors.email.connection import Mailbox
from tests.connectors.email.box import mail, mailbox, options
from tests.servers.dovecot import Dovecot
from tests.servers.faulty import Fault, Line

FOLDERS = ("INBOX", "Archive")


@pytest.fixture
def box(dovecot: Dovecot, address: str) -> Iterator[Mailbox]:
    connection = mailbox(options(address, dovecot, None))
    yield connection
    connection.close()


@pytest.fixture
def line(dovecot: Dovecot) -> Iterator[Line]:
    with Line(dovecot.imaps_port) as made:
        yield made


@pytest.fixture
def over_line(dovecot: Dovecot, address: str, line: Line) -> Iterator[Mailbox]:
    """The mailbox by way of a line that can break, listened to already."""
    connection = mailbox(options(address, dovecot, None, imap_port=str(line.port)))
    connection.wait(["INBOX"], 1)
    yield connection
    connection.close()


def test_a_mailbox_can_be_listened_to(box: Mailbox) -> None:
    assert isinstance(box, Listens)


def test_where_listening_begins_something_may_have_come_before(box: Mailbox) -> None:
    assert box.wait(FOLDERS, 30) == {"INBOX", "Archive"}
    assert box.wait(FOLDERS, 0.2) == set()
    assert box.wait((*FOLDERS, "Junk"), 30) == {"Junk"}


def test_the_folder_is_named_in_which_mail_came(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    box.wait(FOLDERS, 30)
    dovecot.deliver(address, mail("one"), "Archive")
    assert box.wait(FOLDERS, 30) == {"Archive"}
    assert box.wait(FOLDERS, 0.2) == set()


def test_mail_is_heard_of_while_we_wait(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    box.wait(FOLDERS, 30)
    with ThreadPoolExecutor(1) as own_thread:
        heard = own_thread.submit(box.wait, FOLDERS, 30)
        dovecot.deliver(address, mail("one"))
        assert heard.result() == {"INBOX"}


def test_what_somebody_marks_or_removes_is_no_news(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    box.wait(FOLDERS, 30)
    with dovecot.client(address) as own:
        own.select_folder("INBOX")
        own.add_flags([1], [b"\\Seen"])
    dovecot.expunge(address, "one")
    assert box.wait(FOLDERS, 1.5) == set()


def test_a_folder_with_other_letters_can_be_listened_to(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("tân"), "Achosion ŵyl & Tŷ")
    box.wait(["Achosion ŵyl & Tŷ"], 30)
    dovecot.deliver(address, mail("dŵr"), "Achosion ŵyl & Tŷ")
    assert box.wait(["Achosion ŵyl & Tŷ"], 30) == {"Achosion ŵyl & Tŷ"}


def test_nothing_is_marked_as_read_by_listening(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    box.wait(FOLDERS, 30)
    dovecot.deliver(address, mail("one"))
    box.wait(FOLDERS, 30)
    box.close()
    assert dovecot.flags(address) == [()]


def test_listening_is_renewed_and_hears_what_came_in_between(
    dovecot: Dovecot, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "RENEW_SECONDS", 0.1)
    with dovecot.listening(address) as said:
        own = mailbox(options(address, dovecot, None))
        own.wait(["INBOX"], 30)
        assert own.wait(["INBOX"], 1.0) == set()
        dovecot.deliver(address, mail("one"))
        assert own.wait(["INBOX"], 30) == {"INBOX"}
        own.close()
    assert said.count("IDLE") > 3


@pytest.mark.parametrize("fault", [Fault(stall_after=0), Fault(lose_answer_after=0)])
def test_a_line_that_has_gone_deaf_is_found_out_when_it_is_renewed(
    over_line: Mailbox, line: Line, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "ANSWER_SECONDS", 0.5)
    over_line._ears._ears["INBOX"]._renew_at = time.monotonic()  # five minutes have passed
    line.fail(fault)
    with pytest.raises(Transient):
        over_line.wait(["INBOX"], 30)


def test_a_line_that_is_cut_is_noticed_at_once_and_replaced(
    dovecot: Dovecot, over_line: Mailbox, line: Line, address: str
) -> None:
    line.cut()
    with pytest.raises(Transient):
        over_line.wait(["INBOX"], 30)
    dovecot.deliver(address, mail("one"))
    assert over_line.wait(["INBOX"], 30) == {"INBOX"}
    dovecot.deliver(address, mail("two"))
    assert over_line.wait(["INBOX"], 30) == {"INBOX"}
    assert line.taken == 2


def test_a_wrong_password_is_told_from_a_server_in_trouble(dovecot: Dovecot, address: str) -> None:
    wrong = mailbox(options(address, dovecot, None, password="wrong"))
    with pytest.raises(AuthExpired):
        wrong.wait(["INBOX"], 1)
    away = mailbox(options(address, dovecot, None, password="wrong", user="unavailable"))
    with pytest.raises(Transient):
        away.wait(["INBOX"], 1)


def test_a_folder_that_is_gone_keeps_no_line_open(dovecot: Dovecot, address: str, line: Line) -> None:
    box = mailbox(options(address, dovecot, None, imap_port=str(line.port)))
    with pytest.raises(Transient):
        box.wait(["Nowhere"], 1)
    assert box._ears._ears == {}
    box.close()
