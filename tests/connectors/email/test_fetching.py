"""Reading a real mailbox: everything once, nothing changed, whatever happens to the folder meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors import AuthExpired, Batch, Budget, Cursor, PermissionMissing, Transient
from connectors.email.connection import Mailbox
from tests.connectors.email.box import NOW, host, mail, mailbox, options
from tests.servers.dovecot import Dovecot
from tests.servers.faulty import Fault, Line


@pytest.fixture
def box(dovecot: Dovecot, address: str) -> Iterator[Mailbox]:
    connection = mailbox(options(address, dovecot, None))
    yield connection
    connection.close()


def walk(
    box: Mailbox, cursor: Cursor | None = None, budget: Budget | None = None, folder: str = "INBOX"
) -> list[Batch]:
    """Every page after ``cursor``, each cursor once through the database's eyes."""
    pages = [box.fetch(folder, cursor, budget or Budget())]
    while pages[-1].more:
        pages.append(box.fetch(folder, json.loads(json.dumps(dict(pages[-1].cursor))), budget or Budget()))
    return pages


def subjects(pages: list[Batch]) -> list[str]:
    lines = [line for page in pages for raw in page.raws for line in raw.read().decode().splitlines()]
    return [line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")]


def commands(box: Mailbox) -> int:
    """How many commands the line has carried."""
    assert box._imap._client is not None
    return int(box._imap._client._imap.tagnum)


def test_mails_come_once_oldest_first_with_the_time_they_arrived(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"), at=datetime(2026, 4, 2, 15, 20, tzinfo=UTC))
    dovecot.deliver(address, mail("two"), at=datetime(2026, 4, 2, 15, 21, tzinfo=UTC))
    page = box.fetch("INBOX", None, Budget())
    assert subjects([page]) == ["one", "two"]
    assert [raw.arrived_at for raw in page.raws] == [
        datetime(2026, 4, 2, 15, 20, tzinfo=UTC),
        datetime(2026, 4, 2, 15, 21, tzinfo=UTC),
    ]
    assert [raw.external_id.partition(":")[2] for raw in page.raws] == ["1", "2"]
    assert (page.more, page.waiting) == (False, 0)


def test_nothing_new_costs_one_command_on_a_kept_line(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    before = commands(box)
    again = box.fetch("INBOX", page.cursor, Budget())
    assert (again.raws, again.cursor, again.more) == ((), page.cursor, False)
    assert commands(box) - before == 1


def test_nothing_new_costs_three_commands_on_a_new_line(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    box.close()
    box.fetch("INBOX", page.cursor, Budget())
    assert commands(box) <= 3


def test_a_mail_that_comes_later_is_the_only_one_fetched(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    dovecot.deliver(address, mail("two"))
    assert subjects([box.fetch("INBOX", page.cursor, Budget())]) == ["two"]


def test_pages_are_bounded_by_items_and_by_bytes(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver_all(address, [(mail(f"mail {n}", "x\n" * 500), "INBOX", None) for n in range(7)])
    by_items = walk(box, budget=Budget(items=3))
    assert [len(page.raws) for page in by_items] == [3, 3, 1]
    assert [page.waiting for page in by_items] == [4, 1, 0]
    by_bytes = walk(box, budget=Budget(size=4000))
    assert [len(page.raws) for page in by_bytes] == [2, 2, 2, 1]
    assert subjects(by_bytes) == [f"mail {n}" for n in range(7)]


def test_a_walk_goes_on_from_its_cursor_on_a_new_line(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver_all(address, [(mail(f"mail {n}"), "INBOX", None) for n in range(5)])
    first = box.fetch("INBOX", None, Budget(items=2))
    box.close()
    assert subjects(walk(box, first.cursor)) == ["mail 2", "mail 3", "mail 4"]


def test_an_empty_folder_is_read_to_its_end(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    page = box.fetch("Junk", None, Budget())
    assert (page.raws, page.more) == ((), False)
    dovecot.deliver(address, mail("one"), "Junk")
    assert subjects([box.fetch("Junk", page.cursor, Budget())]) == ["one"]


def test_folders_with_other_letters_are_read(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("tân"), "Achosion ŵyl & Tŷ")
    assert len(box.fetch("Achosion ŵyl & Tŷ", None, Budget()).raws) == 1


def test_nothing_in_the_mailbox_is_changed(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    walk(box)
    assert dovecot.flags(address) == [()]


def test_mail_that_lay_there_before_the_day_asked_for_stays_out(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    since = datetime(2026, 3, 24, 12, 0, tzinfo=UTC)
    for name, at in [("old", since - timedelta(days=3)), ("just before", since - timedelta(seconds=1)), ("at", since)]:
        dovecot.deliver(address, mail(name), at=at)
    first = box.fetch("INBOX", None, Budget(since=since))
    assert subjects([first]) == ["at"]
    # Moved into the folder later: its owner wants it seen, whatever its age.
    dovecot.deliver(address, mail("moved in"), at=since - timedelta(days=300))
    assert subjects([box.fetch("INBOX", first.cursor, Budget())]) == ["moved in"]


def test_the_day_asked_for_holds_over_all_pages_of_a_walk(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    since = datetime(2026, 3, 24, tzinfo=UTC)
    days = [since + timedelta(days=n) for n in (1, -1, 2, -2, 3)]
    dovecot.deliver_all(address, [(mail(f"{day:%d}"), "INBOX", day) for day in days])
    pages = walk(box, budget=Budget(items=1, since=since))
    assert subjects(pages) == ["25", "26", "27"]


def test_a_folder_that_is_numbered_anew_is_read_again_from_its_start(
    dovecot: Dovecot, box: Mailbox, address: str
) -> None:
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    box.close()
    dovecot.renumber(address)
    again = box.fetch("INBOX", page.cursor, Budget())
    assert subjects([again]) == ["one"]
    assert again.raws[0].external_id != page.raws[0].external_id


def test_a_mail_removed_during_the_walk_is_passed_over(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in ("one", "two", "three")])
    first = box.fetch("INBOX", None, Budget(items=1))
    dovecot.expunge(address, "two")
    assert subjects(walk(box, first.cursor, Budget(items=1))) == ["three"]


def test_the_newest_mail_being_gone_does_not_bring_older_ones_again(
    dovecot: Dovecot, box: Mailbox, address: str
) -> None:
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in ("one", "two")])
    page = box.fetch("INBOX", None, Budget())
    dovecot.expunge(address, "two")
    dovecot.deliver(address, mail("three"))
    dovecot.expunge(address, "three")
    after = box.fetch("INBOX", page.cursor, Budget())
    assert after.raws == ()
    dovecot.deliver(address, mail("four"))
    assert subjects([box.fetch("INBOX", after.cursor, Budget())]) == ["four"]


def test_a_large_mail_comes_alone_in_a_file_to_the_byte(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    large = mail("large", "y" * 70 + "\n") + b"\r\n".join([b"z" * 76] * 120_000) + b"\r\n"
    large = large.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    dovecot.deliver_all(address, [(content, "INBOX", None) for content in (mail("before"), large, mail("after"))])
    pages = walk(box)
    assert [len(page.raws) for page in pages] == [1, 1, 1]
    (raw,) = pages[1].raws
    assert isinstance(raw.content, Path)
    assert raw.read() == large
    raw.content.unlink()


def test_a_mail_without_a_single_byte_comes_like_any_other(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    dovecot.deliver_nothing(address)
    dovecot.deliver(address, mail("three"))
    page = box.fetch("INBOX", None, Budget())
    assert [raw.read() for raw in page.raws].count(b"") == 1
    assert subjects([page]) == ["one", "three"]
    assert box.fetch("INBOX", page.cursor, Budget()).raws == ()


def test_a_kept_line_that_has_died_is_dialled_again(dovecot: Dovecot, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    with Line(dovecot.imaps_port) as line:
        box = mailbox(options(address, dovecot, None, imap_port=str(line.port)))
        page = box.fetch("INBOX", None, Budget())
        line.cut()
        dovecot.deliver(address, mail("two"))
        assert subjects([box.fetch("INBOX", page.cursor, Budget())]) == ["two"]
        assert line.taken == 2
        box.close()


def test_a_line_cut_in_the_middle_of_a_mail_moves_nothing(dovecot: Dovecot, address: str) -> None:
    dovecot.deliver_all(address, [(mail(f"mail {n}", "x\n" * 20_000), "INBOX", None) for n in range(3)])
    with Line(dovecot.imaps_port) as line:
        box = mailbox(options(address, dovecot, None, imap_port=str(line.port)))
        line.fail(Fault(cut_after=60_000))
        with pytest.raises(Transient):
            box.fetch("INBOX", None, Budget())
        line.mend()
        assert subjects(walk(box)) == ["mail 0", "mail 1", "mail 2"]
        box.close()


def test_a_wrong_password_is_told_from_a_server_in_trouble(dovecot: Dovecot, address: str) -> None:
    box = mailbox(options(address, dovecot, None, password="wrong"))
    with pytest.raises(AuthExpired, match="does not accept"):
        box.fetch("INBOX", None, Budget())
    box.close()
    box = mailbox(options(address, dovecot, None, password="wrong", user="unavailable"))
    with pytest.raises(Transient, match="cannot check the password"):
        box.fetch("INBOX", None, Budget())
    box.close()


def test_a_folder_that_is_gone_is_named(dovecot: Dovecot, box: Mailbox) -> None:
    del dovecot
    with pytest.raises(PermissionMissing, match="Nowhere"):
        box.fetch("Nowhere", None, Budget())


def test_a_server_that_is_not_there_is_tried_again_later(dovecot: Dovecot, address: str) -> None:
    box = mailbox(options(address, dovecot, None, imap_port="1"))
    with pytest.raises(Transient, match="does not answer on port 1"):
        box.fetch("INBOX", None, Budget())


# What a server does to a folder, and does not do.


class Hours:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def patient(dovecot: Dovecot, address: str, hours: Hours) -> Iterator[Mailbox]:
    """The mailbox at a time of the test's choosing."""
    connection = mailbox(options(address, dovecot, None), replace(host(), now=hours))
    yield connection
    connection.close()


def test_a_mail_that_the_server_cannot_open_holds_up_no_other(dovecot: Dovecot, patient: Mailbox, address: str) -> None:
    names = [f"mail {n}" for n in range(9)]
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in names])
    dovecot.withhold(address, "mail 4")
    assert subjects(walk(patient)) == [name for name in names if name != "mail 4"]


def test_a_mail_that_is_handed_out_within_the_hour_comes_by_itself(
    dovecot: Dovecot, patient: Mailbox, address: str, hours: Hours
) -> None:
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in ("one", "two", "three")])
    dovecot.withhold(address, "two")
    cursor = walk(patient)[-1].cursor
    dovecot.deliver(address, mail("four"))
    later = walk(patient, cursor)
    assert subjects(later) == ["four"]
    dovecot.hand_out(address)
    hours.at += timedelta(minutes=12)
    assert subjects(walk(patient, later[-1].cursor)) == ["two"]


def test_a_mail_that_is_never_handed_out_is_said_to_be_withheld_after_an_hour_and_no_sooner(
    dovecot: Dovecot, patient: Mailbox, address: str, hours: Hours
) -> None:
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in ("one", "two")])
    dovecot.withhold(address, "two")
    page = walk(patient)[-1]
    withheld: list[tuple[int, str]] = []
    for minutes in range(12, 96, 12):
        hours.at = NOW + timedelta(minutes=minutes)
        page = walk(patient, page.cursor)[-1]
        withheld += [(minutes, one.external_id.partition(":")[2]) for one in page.withheld]
    assert withheld == [(60, "2")]
    assert page.cursor == walk(patient, page.cursor)[-1].cursor


def test_what_was_withheld_can_be_fetched_by_its_id(dovecot: Dovecot, patient: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    (raw,) = patient.fetch("INBOX", None, Budget()).raws
    dovecot.withhold(address, "one")
    with pytest.raises(Transient, match="does not hand it out"):
        patient.again("INBOX", raw.external_id)
    dovecot.hand_out(address)
    assert patient.again("INBOX", raw.external_id) == raw
    dovecot.expunge(address, "one")
    assert patient.again("INBOX", raw.external_id) is None


def test_a_folder_put_back_to_an_older_state_is_read_again_from_its_start(
    dovecot: Dovecot, box: Mailbox, address: str
) -> None:
    dovecot.deliver_all(address, [(mail(name), "INBOX", None) for name in ("one", "two")])
    cursor = dict(box.fetch("INBOX", None, Budget()).cursor)
    assert cursor["modseq"] > 0
    ahead = cursor | {"uid": 40, "uidnext": 41}
    assert subjects([box.fetch("INBOX", ahead, Budget())]) == ["one", "two"]
    changed_more_often = cursor | {"modseq": cursor["modseq"] + 1_000}
    assert subjects([box.fetch("INBOX", changed_more_often, Budget())]) == ["one", "two"]


def test_marks_that_somebody_else_sets_bring_nothing_again(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    with dovecot.client(address) as own:
        own.select_folder("INBOX")
        own.add_flags([1], [b"\\Seen", b"\\Flagged"])
    before = commands(box)
    assert box.fetch("INBOX", page.cursor, Budget()).cursor == page.cursor
    assert commands(box) - before == 1


def test_mail_that_others_have_read_first_comes_like_any_other(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    with dovecot.client(address) as own:
        own.append("INBOX", mail("one"), [b"\\Seen"])
    assert subjects([box.fetch("INBOX", None, Budget())]) == ["one"]


def test_a_mail_that_is_moved_comes_by_its_new_folder(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver(address, mail("one"))
    inbox, archive = box.fetch("INBOX", None, Budget()).cursor, box.fetch("Archive", None, Budget()).cursor
    with dovecot.client(address) as own:
        own.select_folder("INBOX")
        own.move([1], "Archive")
    assert box.fetch("INBOX", inbox, Budget()).raws == ()
    assert subjects([box.fetch("Archive", archive, Budget())]) == ["one"]


def test_numbers_that_jump_leave_nothing_out(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver_all(address, [(mail(f"gone {n}"), "INBOX", None) for n in range(30)])
    with dovecot.client(address) as own:
        own.select_folder("INBOX")
        own.delete_messages(own.search("ALL"))
        own.expunge()
    dovecot.deliver(address, mail("one"))
    page = box.fetch("INBOX", None, Budget())
    assert [raw.external_id.partition(":")[2] for raw in page.raws] == ["31"]


def test_of_sent_mail_only_what_answers_something_is_fetched(dovecot: Dovecot, box: Mailbox, address: str) -> None:
    dovecot.deliver_all(
        address,
        [
            (mail("an answer", In_Reply_To="<1@larkrise.example>"), "Sent", None),
            (mail("to a friend"), "Sent", None),
            (mail("a later answer", References="<1@larkrise.example> <2@larkrise.example>"), "Sent", None),
        ],
    )
    pages = walk(box, budget=Budget(answers_only=True), folder="Sent")
    assert subjects(pages) == ["an answer", "a later answer"]
