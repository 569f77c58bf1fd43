"""The office as a process: it starts, answers, ends when it is told to, and goes on from where it stood."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.channels.models import Account, Heartbeat
from app.db import Database
from app.messages.models import Message, Reading, Sighting
from app.settings import Settings
from tests.app.program import an_office, connect, end, environment, run, running, until
from tests.connectors.email.box import mail
from tests.servers.account import free_port
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

SECONDS = 10  # to end when told to


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def account_id(settings: Settings, address: str, dovecot: Dovecot, smtp: Smtp) -> int:
    """A mailbox with 150 mails, connected."""
    dovecot.deliver_all(address, [(mail(f"Bin {number}"), "INBOX", None) for number in range(150)])
    given = environment(settings)
    return connect(given, an_office(given), address, dovecot, smtp)


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and words of a page; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    assert until(lambda: ask(port, "/health/live")[0] == 200 or process.poll() is not None)
    assert process.poll() is None


def test_the_office_answers_on_its_port_and_ends_cleanly_on_sigterm(settings: Settings, port: int) -> None:
    given = environment(settings)
    words = ("user", "add", "tansy@fernmoor.example", "--name", "Tansy", "--administrator", "--password-stdin")
    assert run(*words, given=given, typed=b"kettle-lantern-weir\n").returncode == 0
    with running("serve", "--port", port, given=given) as process:
        wait_for(process, port)
        status, page = ask(port, "/sign-in")
        assert (status, "<h1" in page) == (200, True)
        assert ask(port, "/nothing/here")[0] in {302, 404}
        assert run("health", given=given).returncode == 0
        status, printed = end(process)
    assert status == 0
    assert f"http://127.0.0.1:{port}/" in printed
    assert "Traceback" not in printed


def test_ctrl_c_ends_it_as_cleanly(settings: Settings, port: int) -> None:
    with running("serve", "--port", port, given=environment(settings)) as process:
        wait_for(process, port)
        status, printed = end(process, signal.SIGINT)
    assert (status, "Traceback" in printed) == (0, False)


@pytest.mark.db
def test_stopping_in_the_middle_of_the_post_loses_nothing(
    settings: Settings, database: Database, account_id: int, port: int
) -> None:
    given = environment(settings)
    with running("serve", "--port", port, given=given) as process:
        assert until(lambda: _taken(database) > 0)
        status, printed = end(process, patience=SECONDS)
        assert (status, "Traceback" in printed) == (0, False)
    assert 0 < _taken(database) < 150
    with database.reading() as session:
        assert session.get_one(Account, account_id).lease_until is None
    with running("serve", "--port", port, given=given) as process:
        assert until(lambda: _taken(database) == 150, 60)
        assert end(process, patience=SECONDS)[0] == 0
    with database.reading() as session:
        assert sorted(session.scalars(sa.select(Message.subject))) == sorted(f"Bin {number}" for number in range(150))


def _taken(database: Database) -> int:
    with database.reading() as session:
        taken = sa.select(sa.func.count()).where(Sighting.state == Reading.TAKEN)
        return session.scalar(taken) or 0


@pytest.mark.parametrize("words", [("--port", "{taken}"), ("--host", "nowhere.invalid"), ("--port", "99999")])
def test_an_address_that_cannot_be_used_is_said_in_one_line(settings: Settings, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = [word.format(taken=taken.getsockname()[1]) for word in words]
        ran = run("serve", *asked, given=environment(settings))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert len(ran.stderr.decode().splitlines()) == 1


def test_a_first_start_keeps_everything_to_its_owner(tmp_path: Path, port: int) -> None:
    data = tmp_path / "open" / "data"
    data.mkdir(parents=True, mode=0o755)  # as an administrator may have made it
    with running("serve", "--port", port, given={"POSTBAG_DATA": str(data)}) as process:
        wait_for(process, port)
        readable = [path for path in data.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
        assert [path for path in readable if stat.S_IMODE(path.parent.stat().st_mode) & 0o077] == []
        key_file = data / "keys" / "keys.json"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
        assert end(process)[0] == 0


def test_work_alone_beats_and_ends_cleanly(settings: Settings, database: Database) -> None:
    with running("work", given=environment(settings)) as process:
        assert until(lambda: _beats(database) == 1)
        status, printed = end(process, patience=SECONDS)
    assert (status, "Traceback" in printed) == (0, False)


def _beats(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Heartbeat)) or 0
