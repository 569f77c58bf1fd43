"""What every store promises."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.db import Database
from app.errors import Missing
from app.settings import Settings
from app.store import CHUNK, NoRoom, Store, open_store
from tests.house.tree import ROOT

pytestmark = pytest.mark.db

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # echo -n hello | sha256sum
BIG = os.urandom(3 * CHUNK + 17)

PUT = """
import sys
from pathlib import Path
from app.db import Database
from app.settings import Settings
from app.store import open_store
settings = Settings()
store = open_store(Database(settings.url), settings.data)
print("ready", flush=True)
for path in sys.argv[1:]:
    print(store.put(1, Path(path)), flush=True)
"""


@pytest.fixture
def store(database: Database, settings: Settings) -> Store:
    return open_store(database, settings.data)


@pytest.fixture
def elsewhere(settings: Settings) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts another process that puts files into the same store."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    given = {"POSTBAG_DATA": str(settings.data)} | ({"POSTBAG_DATABASE_URL": url} if url else {})

    def start(*paths: Path, before: str = "") -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", before + PUT, *map(str, paths)]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | given, stdout=subprocess.PIPE, text=True)

    return start


def test_what_was_put_is_read_back_under_its_hash(store: Store) -> None:
    assert store.put(1, b"hello") == HELLO
    assert store.read(1, HELLO) == b"hello"
    assert store.size(1, HELLO) == 5


def test_nothing_at_all_can_be_kept_too(store: Store) -> None:
    sha256 = store.put(1, b"")
    assert store.read(1, sha256) == b""
    assert list(store.open(1, sha256)) == []
    assert store.size(1, sha256) == 0


def test_a_large_file_goes_in_and_comes_out_in_chunks(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)
    sha256 = store.put(1, path)
    chunks = list(store.open(1, sha256))
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, CHUNK, 17]
    assert b"".join(chunks) == BIG
    assert path.read_bytes() == BIG


def test_bytes_and_a_file_with_the_same_content_are_one(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)
    assert store.put(1, BIG) == store.put(1, path) == store.put(1, BIG)
    assert store.read(1, hashlib.sha256(BIG).hexdigest()) == BIG


def test_several_go_in_at_once_and_keep_their_order(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)
    contents: list[bytes | Path] = [b"hello", path, b"", *(f"mail {number}".encode() for number in range(50)), b"hello"]
    hashes = store.put_all(1, contents)
    assert hashes[0] == hashes[-1] == HELLO
    assert [store.read(1, sha256) for sha256 in hashes] == [
        content if isinstance(content, bytes) else BIG for content in contents
    ]
    assert store.put_all(1, []) == []


def test_many_who_put_the_same_in_another_order_do_not_wait_for_each_other(store: Store) -> None:
    contents = [f"mail {number}".encode() for number in range(40)]
    with ThreadPoolExecutor(2) as threads:
        forth = threads.submit(store.put_all, 1, contents)
        back = threads.submit(store.put_all, 1, contents[::-1])
        assert forth.result() == back.result()[::-1]


def test_a_reader_who_walks_away_leaves_nothing_open(store: Store) -> None:
    store.open(1, store.put(1, BIG)).close()
    begun = store.open(1, store.put(1, BIG))
    assert len(next(begun)) == CHUNK
    begun.close()


def test_what_one_office_keeps_is_missing_to_another(store: Store) -> None:
    store.put(1, b"hello")
    for look in (store.read, store.open, store.size):
        with pytest.raises(Missing):
            look(2, HELLO)


def test_what_is_deleted_is_missing_and_may_be_deleted_again(store: Store) -> None:
    store.put(1, b"hello")
    store.put(2, b"hello")
    store.delete(1, HELLO)
    store.delete(1, HELLO)
    with pytest.raises(Missing):
        store.read(1, HELLO)
    assert store.read(2, HELLO) == b"hello"


def test_a_name_that_is_no_hash_reaches_nothing(store: Store) -> None:
    with pytest.raises((Missing, ValueError)):
        store.read(1, "../../keys/keys.json")


def test_the_sweep_removes_what_is_old_and_unknown_only(store: Store) -> None:
    for office_id in (1, 2):
        store.put(office_id, b"hello")
        store.put(office_id, BIG)
    kept = {1: [HELLO], 2: []}
    assert store.sweep(_in_a_moment(), kept.__getitem__) == 3
    assert store.read(1, HELLO) == b"hello"
    for office_id, sha256 in ((2, HELLO), (1, hashlib.sha256(BIG).hexdigest())):
        with pytest.raises(Missing):
            store.read(office_id, sha256)


def test_the_sweep_lets_what_is_young_be(store: Store) -> None:
    store.put(1, b"hello")
    assert store.sweep(datetime.now(UTC) - timedelta(days=1), lambda _: []) == 0
    assert store.read(1, HELLO) == b"hello"


def test_what_is_put_again_while_the_sweep_looks_stays(store: Store) -> None:
    store.put(1, b"hello")
    time.sleep(0.05)
    before = datetime.now(UTC)
    time.sleep(0.05)

    def known(_: int) -> list[str]:
        store.put(1, b"hello")  # somebody is about to name it
        return []

    assert store.sweep(before, known) == 0
    assert store.read(1, HELLO) == b"hello"


def test_a_process_killed_while_it_puts_leaves_nothing_half(
    store: Store, tmp_path: Path, elsewhere: Callable[..., "subprocess.Popen[str]"]
) -> None:
    paths = [tmp_path / f"film-{number}" for number in range(40)]
    for path in paths:
        path.write_bytes(path.name.encode() + BIG)
    for after in (0.0, 0.01, 0.03, 0.06):
        with elsewhere(*paths) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        for sha256 in said[:-1]:  # the last line may be cut
            assert hashlib.sha256(store.read(1, sha256)).hexdigest() == sha256
    for path in paths:
        assert store.read(1, store.put(1, path)) == path.read_bytes()
    everything = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert store.sweep(_in_a_moment(), lambda _: everything) >= 0
    assert [store.size(1, sha256) for sha256 in everything] == [path.stat().st_size for path in paths]


def test_two_processes_that_put_the_same_at_once_keep_it_once(
    store: Store, tmp_path: Path, elsewhere: Callable[..., "subprocess.Popen[str]"]
) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)
    processes = [elsewhere(*[path] * 20) for _ in range(2)]
    for process in processes:
        assert process.communicate()[0].split() == ["ready"] + [hashlib.sha256(BIG).hexdigest()] * 20
    assert store.sweep(_in_a_moment(), lambda _: []) == 1


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(
    store: Store, database: Database, tmp_path: Path, elsewhere: Callable[..., "subprocess.Popen[str]"]
) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)
    if database.is_sqlite:  # the system refuses files that grow beyond a megabyte
        full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
    else:
        _fill(database)
        full = ""
    catching = full + f"import sys\nsys.argv[1:] = [{str(path)!r}]\n"
    with elsewhere(before=_printing_problems(catching)) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    assert "NoRoom: There is no room left where messages are kept." in said
    with pytest.raises(Missing):
        store.read(1, hashlib.sha256(BIG).hexdigest())
    assert store.sweep(_in_a_moment(), lambda _: []) == 0


def test_a_full_disk_is_a_problem_that_a_page_can_show() -> None:
    assert str(NoRoom()).startswith("There is no room left where messages are kept.")


def _printing_problems(code: str) -> str:
    return f"{code}\nsys.excepthook = lambda kind, error, _: print(kind.__name__ + ': ' + str(error), flush=True)\n"


def _fill(database: Database) -> None:
    """Have PostgreSQL answer as it does when its disk is full, once two chunks are written."""
    with database.transaction() as session:
        session.execute(
            sa.text("""
                CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
                END $$;
            """)
        )
        session.execute(
            sa.text("""
                CREATE TRIGGER full_disk BEFORE INSERT ON blob_chunk
                FOR EACH ROW WHEN (NEW.position = 2) EXECUTE FUNCTION full_disk()
            """)
        )


def _in_a_moment() -> datetime:
    """After everything that was put so far."""
    return datetime.now(UTC) + timedelta(minutes=1)
