"""What every channel promises the office, driven against its own server: see ``connectors/__init__.py``."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from app.messages.reader import name_of
from connectors import (
    AuthExpired,
    Batch,
    Budget,
    Connection,
    Connector,
    ConnectorError,
    Cursor,
    FieldKind,
    FilesCopies,
    Host,
    Misconfigured,
    Raw,
    Receipt,
    Transient,
    Unreadable,
    all_connectors,
)
from tests.connectors.peer import Peer
from tests.servers.faulty import Fault

NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
BROKEN = [
    pytest.param(Fault(refuse=True), id="refused"),
    pytest.param(Fault(cut_after=0), id="cut at once"),
    pytest.param(Fault(cut_after=1_000), id="cut after the greeting"),
    pytest.param(Fault(cut_after=3_500), id="cut in the middle"),
    pytest.param(Fault(stall_after=0), id="silent at once"),
    pytest.param(Fault(stall_after=3_500), id="silent in the middle"),
]


@pytest.fixture(params=sorted(all_connectors()))
def connector(request: pytest.FixtureRequest) -> Connector:
    return all_connectors()[request.param]


@pytest.fixture
def peer(connector: Connector, request: pytest.FixtureRequest) -> Iterator[Peer]:
    module = importlib.import_module(f"tests.connectors.{connector.manifest.slug}.peer")
    with module.peer(request) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path) -> Host:
    allowed = frozenset({"127.0.0.1", "localhost"})
    return Host(now=lambda: NOW, allowed_hosts=allowed, spool=tmp_path, id_key=b"k" * 32)


@pytest.fixture
def dial(connector: Connector, peer: Peer, host: Host) -> Iterator[Callable[..., Connection]]:
    """Makes connections, with some options changed, and hangs up at the end."""
    made: list[Connection] = []

    def make(**other: str) -> Connection:
        made.append(connector.connect({**peer.options, **other}, host))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


def stored(cursor: Cursor) -> Cursor:
    """A cursor as the database gives it back."""
    found: Cursor = json.loads(json.dumps(dict(cursor)))
    return found


def walk(connection: Connection, stream: str, cursor: Cursor | None, budget: Budget) -> list[Batch]:
    pages = [connection.fetch(stream, cursor, budget)]
    while pages[-1].more:
        pages.append(connection.fetch(stream, stored(pages[-1].cursor), budget))
    return pages


def failure(work: Callable[[], object]) -> ConnectorError | None:
    """The interface's error that some work ends with, if any."""
    try:
        work()
    except ConnectorError as error:
        return error
    return None


def ids(pages: list[Batch]) -> list[str]:
    return [raw.external_id for page in pages for raw in page.raws]


# What a channel says of itself.


def test_a_manifest_holds_what_its_form_and_its_pages_need(connector: Connector) -> None:
    manifest = connector.manifest
    keys = [field.key for field in manifest.fields]
    assert len(keys) == len(set(keys))
    assert all(field.label for field in manifest.fields)
    assert all(bool(field.choices) == (field.kind is FieldKind.CHOICE) for field in manifest.fields)
    assert all(field.default in dict(field.choices) for field in manifest.fields if field.choices and field.default)
    assert manifest.needs
    assert manifest.sees
    assert manifest.cannot_see
    assert all(line.endswith(".") for line in (*manifest.needs, *manifest.sees, *manifest.cannot_see))


def test_its_reader_can_be_called_by_its_name_in_another_process(connector: Connector) -> None:
    module, _, name = name_of(connector.read).partition(":")
    assert getattr(importlib.import_module(module), name) is connector.read


def test_connecting_dials_nothing(peer: Peer, dial: Callable[..., Connection]) -> None:
    dial()
    assert peer.lines() == 0


# Trying an account.


def test_an_account_that_works_says_who_it_is_and_what_it_reads(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(1)
    found = dial().check()
    keys = [stream.key for stream in found.streams]
    assert found.identity.external_id
    assert peer.stream in keys
    assert len(keys) == len(set(keys))
    assert found.newest
    assert found.missing == ()
    assert peer.arrived() == 0


def test_a_wrong_secret_is_an_expired_sign_in(peer: Peer, dial: Callable[..., Connection]) -> None:
    connection = dial(**{peer.secret: "not-the-secret-2749"})
    for attempt in (connection.check, lambda: connection.fetch(peer.stream, None, Budget())):
        with pytest.raises(AuthExpired) as caught:
            attempt()
        assert str(caught.value).endswith(".")
        assert "2749" not in str(caught.value)


def test_a_server_inside_the_network_is_refused_unless_it_is_allowed(
    connector: Connector, peer: Peer, tmp_path: Path
) -> None:
    closed = Host(now=lambda: NOW, allowed_hosts=frozenset(), spool=tmp_path, id_key=b"k" * 32)
    connection = connector.connect(peer.options, closed)
    with pytest.raises(Misconfigured) as caught:
        connection.check()
    connection.close()
    assert caught.value.field in {field.key for field in connector.manifest.fields}
    assert peer.lines() == 0


def test_secrets_are_not_in_what_a_connection_calls_itself(dial: Callable[..., Connection], peer: Peer) -> None:
    assert peer.options[peer.secret] not in repr(dial())


# Fetching.


def test_a_walk_brings_everything_once(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(5)
    pages = walk(dial(), peer.stream, None, Budget(items=2))
    assert len(ids(pages)) == len(set(ids(pages))) == 5
    assert max(len(page.raws) for page in pages) <= 2
    assert all(raw.arrived_at is None or raw.arrived_at.tzinfo for page in pages for raw in page.raws)


def test_after_a_walk_only_what_is_new_comes(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(3)
    connection = dial()
    pages = walk(connection, peer.stream, None, Budget())
    nothing = connection.fetch(peer.stream, stored(pages[-1].cursor), Budget())
    assert (nothing.raws, nothing.more) == ((), False)
    peer.put(2)
    new = walk(connection, peer.stream, stored(nothing.cursor), Budget())
    assert len(ids(new)) == 2
    assert not set(ids(new)) & set(ids(pages))


def test_a_page_can_be_fetched_again(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(5)
    connection = dial()
    first = connection.fetch(peer.stream, None, Budget(items=2))
    second = connection.fetch(peer.stream, stored(first.cursor), Budget(items=2))
    again = dial().fetch(peer.stream, stored(first.cursor), Budget(items=2))
    assert ids([again]) == ids([second])
    assert [raw.read() for raw in again.raws] == [raw.read() for raw in second.raws]
    assert ids([connection.fetch(peer.stream, stored(first.cursor), Budget(items=2))]) == ids([second])


def test_what_arrived_before_the_day_asked_for_stays_out(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(2, at=NOW - timedelta(days=30))
    peer.put(3, at=NOW)
    pages = walk(dial(), peer.stream, None, Budget(items=2, since=NOW - timedelta(days=14)))
    assert len(ids(pages)) == 3


@pytest.mark.parametrize("fault", BROKEN)
def test_a_line_that_breaks_moves_nothing_and_heals(
    peer: Peer, dial: Callable[..., Connection], fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.put(5)
    peer.hurry(monkeypatch, 0.5)
    connection = dial()
    peer.fail(fault)
    with pytest.raises(Transient) as caught:
        walk(connection, peer.stream, None, Budget())
    assert str(caught.value).endswith(".")
    peer.fail(Fault())
    assert len(ids(walk(connection, peer.stream, None, Budget()))) == 5


def test_a_line_that_dies_between_two_polls_is_not_noticed(peer: Peer, dial: Callable[..., Connection]) -> None:
    peer.put(1)
    connection = dial()
    page = connection.fetch(peer.stream, None, Budget())
    connection.close()
    peer.put(1)
    assert len(ids(walk(connection, peer.stream, stored(page.cursor), Budget()))) == 1


# Reading.


def test_reading_is_pure(connector: Connector, peer: Peer, dial: Callable[..., Connection], tmp_path: Path) -> None:
    peer.put(2)
    for raw in dial().fetch(peer.stream, None, Budget()).raws:
        item = connector.read(raw)
        assert item.text
        assert item.author.external_id
        assert item.sent_at is None or item.sent_at.tzinfo
        assert connector.read(raw) == item
        path = tmp_path / "raw"
        path.write_bytes(raw.read())
        assert connector.read(Raw(external_id=raw.external_id, content=path, arrived_at=raw.arrived_at)) == item


def test_a_damaged_item_is_read_or_unreadable_and_nothing_else(
    connector: Connector, peer: Peer, dial: Callable[..., Connection]
) -> None:
    peer.put(1)
    (good,) = dial().fetch(peer.stream, None, Budget()).raws
    draw = random.Random(1)  # noqa: S311 - the same damage every time
    whole = good.read()
    damaged = [b"", b"\0" * 100, draw.randbytes(2_000), whole[: len(whole) // 2]]
    for _ in range(200):
        changed = bytearray(whole)
        changed[draw.randrange(len(changed))] = draw.randrange(256)
        damaged.append(bytes(changed))
    raws = [Raw(external_id="x", content=content) for content in damaged]
    said = [failure(partial(connector.read, raw)) for raw in raws]
    assert {type(error) for error in said} <= {type(None), Unreadable}
    assert all(str(error).endswith(".") for error in said if error)


# Answering.


def test_preparing_uses_no_network_and_fixes_what_will_be_sent(peer: Peer, dial: Callable[..., Connection]) -> None:
    connection = dial()
    one, two = connection.prepare(peer.draft("key-1")), connection.prepare(peer.draft("key-1"))
    assert peer.lines() == 0
    assert one.platform_id == two.platform_id
    assert json.loads(json.dumps(dict(one.meta))) == dict(one.meta)
    assert connection.prepare(peer.draft("key-2")).payload != one.payload


def test_a_reply_is_sent_once(peer: Peer, dial: Callable[..., Connection]) -> None:
    connection = dial()
    prepared = connection.prepare(peer.draft("key-3"))
    receipt = connection.send(prepared)
    assert receipt.platform_id
    assert prepared.platform_id in {"", receipt.platform_id}
    assert receipt.accepted_at.tzinfo
    assert peer.arrived() == 1


@pytest.mark.parametrize("fault", BROKEN)
def test_a_reply_that_could_not_be_sent_did_not_get_out(
    peer: Peer, dial: Callable[..., Connection], fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.hurry(monkeypatch, 0.5)
    connection = dial()
    prepared = connection.prepare(peer.draft("key-4"))
    peer.fail(fault)
    error = failure(lambda: connection.send(prepared))
    peer.fail(Fault())
    assert isinstance(error, Transient | None)  # a line may also break so late that all was said
    assert peer.arrived() == (0 if error else 1)
    assert not (error and isinstance(connection.probe(prepared), Receipt))


def test_a_copy_is_filed_once_where_a_channel_files_copies(peer: Peer, dial: Callable[..., Connection]) -> None:
    connection = dial()
    if isinstance(connection, FilesCopies):
        prepared = connection.prepare(peer.draft("key-5"))
        assert connection.file_copy(prepared)
        assert connection.file_copy(prepared)
        assert isinstance(connection.probe(prepared), Receipt)


def test_hanging_up_never_fails(dial: Callable[..., Connection], peer: Peer) -> None:
    connection = dial()
    connection.close()
    connection.fetch(peer.stream, None, Budget())
    peer.fail(Fault(refuse=True))
    connection.close()
    connection.close()
