"""Reading in a process of its own: whatever an item does to its reader, the office goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.messages import apart
from app.messages.reader import HOME, Read, Said, name_of
from app.store import NoRoom
from connectors import Raw, Unreadable
from connectors.email import connector
from tests.app.messages import odd_readers
from tests.mailbox import generate

MAIL = (
    b"From: Hester <h@larkrise.example>\r\nTo: c@fernmoor.example\r\nDate: Thu, 2 Apr 2026 16:20:00 +0100\r\n"
    b"Message-ID: <1@larkrise.example>\r\nSubject: Brown bin\r\nContent-Type: text/html\r\n\r\n<p onclick=x>Missed.</p>"
)


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """Every test begins and ends without a process, so that it sees only its own."""
    apart.close()
    yield
    apart.close()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Said]:
    """Reads something elsewhere, and looks that no file stays behind."""
    spool = tmp_path / "spool"
    spool.mkdir()

    def ask(reader: Read, content: bytes | Path = b"x") -> Said:
        try:
            with apart.reading(reader, Raw(external_id="letter", content=content), spool) as result:
                return result.said
        finally:
            assert list(spool.iterdir()) == []

    return ask


def trouble(read: Callable[..., Said], reader: Read, content: bytes = b"x") -> str:
    with pytest.raises(Unreadable) as caught:
        read(reader, content)
    return str(caught.value)


def test_a_mail_says_the_same_elsewhere_as_here(read: Callable[..., Said]) -> None:
    here = connector.read(Raw(external_id="letter", content=MAIL))
    said = read(connector.read, MAIL)
    assert (said.item.author, said.item.to, said.item.subject) == (here.author, here.to, here.subject)
    assert (said.item.text, said.item.sent_at) == ("Missed.", datetime(2026, 4, 2, 15, 20, tzinfo=UTC))
    assert (said.item.fingerprint, said.item.platform_id) == (here.fingerprint, "<1@larkrise.example>")
    assert (said.item.html, said.shown.html) == ("", "<p>Missed.</p>")


def test_a_mail_in_a_file_is_read_from_there(read: Callable[..., Said], tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(MAIL)
    assert read(connector.read, path) == read(connector.read, MAIL)


def test_one_process_reads_many(read: Callable[..., Said]) -> None:
    first = read(odd_readers.says_who_reads).item.text
    for delivery in generate(50, seed=5)[0]:
        read(connector.read, delivery.content)
    assert read(odd_readers.says_who_reads).item.text == first
    assert first != str(os.getpid())


def test_small_files_come_with_the_answer_and_large_ones_by_way_of_the_disk(tmp_path: Path) -> None:
    raw = Raw(external_id="1", content=b"1 0 400000 2 3")
    with apart.reading(odd_readers.carries_files, raw, tmp_path) as result:
        found = [one if isinstance(one, bytes) else one.read_bytes() for one in result.contents]
        assert [isinstance(one, Path) for one in result.contents] == [False, False, True, False, False]
    assert found == [b"%PDF", b"", b"%PDF" * 400_000, b"%PDF" * 2, b"%PDF" * 3]
    assert [(file.name, file.size) for file in result.said.files][2] == ("400000\N{REPLACEMENT CHARACTER}", 1_600_000)
    assert [file.media_type for file in result.said.files][2] == "application/pdf"
    assert list(tmp_path.iterdir()) == []


def test_what_no_database_takes_is_made_good(read: Callable[..., Said]) -> None:
    item = read(odd_readers.is_not_storable).item
    assert item.text == "a\N{REPLACEMENT CHARACTER}b ?"
    assert item.author.external_id.startswith("sha256:")


def test_who_takes_too_long_is_ended(read: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 1)
    begun = time.monotonic()
    assert trouble(read, odd_readers.hangs) == "Reading this took longer than 1 seconds."
    assert time.monotonic() - begun < 5
    assert read(odd_readers.repeats, b"next").item.text == "next"


def test_who_needs_too_much_memory_is_ended(read: Callable[..., Said]) -> None:
    assert trouble(read, odd_readers.swallows_memory) == "Reading this needs more memory than 512 MB."
    assert read(odd_readers.repeats, b"next").item.text == "next"


@pytest.mark.parametrize("reader", [odd_readers.crashes, odd_readers.babbles])
def test_what_crashes_the_reader_is_unreadable(read: Callable[..., Said], reader: Read) -> None:
    assert trouble(read, reader) == "Reading this makes the reader crash."
    assert read(odd_readers.repeats, b"next").item.text == "next"


def test_what_was_read_as_its_process_was_killed_is_read_again(read: Callable[..., Said], tmp_path: Path) -> None:
    assert read(odd_readers.is_killed_once, bytes(tmp_path / "mark")).item.text == "read the second time"


def test_a_process_that_died_while_it_waited_is_nobodys_fault(read: Callable[..., Said]) -> None:
    first = read(odd_readers.says_who_reads).item.text
    os.kill(int(first), signal.SIGKILL)
    assert read(odd_readers.says_who_reads).item.text != first


def test_a_failure_is_told_by_its_kind_and_never_in_the_words_of_a_letter(
    read: Callable[..., Said],
) -> None:
    with capture_logs() as log:
        assert trouble(read, odd_readers.raises, b"Dear Tansy") == "Reading it failed (ZeroDivisionError)."
        assert trouble(read, odd_readers.refuses) == "This is no letter."
    [line] = log
    assert str(line["error"]).startswith("ZeroDivisionError at tests/app/messages/odd_readers.py:")
    assert "Tansy" not in str(line)


def test_a_full_disk_is_not_the_items_fault(read: Callable[..., Said]) -> None:
    with pytest.raises(NoRoom):
        read(odd_readers.fills_the_disk)


def test_a_reader_talks_to_nobody_and_knows_no_secret(
    read: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBAG_DATABASE_URL", "postgresql://postbag:secret@db/postbag")
    assert trouble(read, odd_readers.calls_out, b"9") == "Reading it failed (PermissionError)."
    assert "secret" not in read(odd_readers.looks_around).item.text


def test_several_threads_get_each_its_own_answer(read: Callable[..., Said]) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        for turn in range(20):
            own = f"{number}.{turn}"
            said = read(odd_readers.repeats, own.encode()).item.text
            if said != own:
                wrong.append(said)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_process_that_is_forked_off_has_a_reader_of_its_own(read: Callable[..., Said]) -> None:
    first = read(odd_readers.says_who_reads).item.text
    child = os.fork()
    if child == 0:
        os._exit(read(odd_readers.says_who_reads).item.text == first)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert read(odd_readers.says_who_reads).item.text == first


ASKER = """
import os, sys
from pathlib import Path
from app.messages import apart
from connectors import Raw
from tests.app.messages import odd_readers
apart.SECONDS = 1
def ask(reader):
    with apart.reading(reader, Raw(external_id="1", content=b"x"), Path(sys.argv[1])) as result:
        return result.said.item.text
print(ask(odd_readers.says_who_reads), flush=True)
apart.SECONDS = int(sys.argv[2])
ask(odd_readers.hangs) if apart.SECONDS else sys.stdin.read()
"""


@pytest.mark.parametrize("seconds", [0, 2], ids=["as it waits", "as it reads"])
def test_a_reader_ends_when_its_asker_dies(tmp_path: Path, seconds: int) -> None:
    command = [sys.executable, "-c", ASKER, str(tmp_path), str(seconds)]
    with subprocess.Popen(command, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        reader = int(asker.stdout.readline())
        asker.kill()
    until = time.monotonic() + 15
    while _is_running(reader) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _is_running(reader)


def test_a_reader_that_cannot_be_found_by_name_is_refused() -> None:
    with pytest.raises(TypeError):
        name_of(partial(odd_readers.repeats))
    assert name_of(connector.read) == "connectors.email.reading:read"


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"
