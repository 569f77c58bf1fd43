"""An engine that works for the length of a test, and a record of what its handlers did."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from app.deployment import Deployment
from app.jobs import Handler, Kind
from app.jobs.engine import Engine, open_engine
from app.jobs.running import Patience

LEASE = timedelta(seconds=2)
QUICK = Patience(first=timedelta(milliseconds=20), most=timedelta(milliseconds=50), tries=3)


class Ran:
    """What ran, in order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.keys: list[int] = []

    def __call__(self, _: Deployment, key: int) -> datetime | None:
        with self._changed:
            self.keys.append(key)
            self._changed.notify_all()
        return None

    def wait(self, count: int, seconds: float = 20) -> list[int]:
        """The keys, once there are ``count``; what there is when that takes too long."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.keys) >= count, timeout=seconds)
            return list(self.keys)


@pytest.fixture
def ran() -> Ran:
    return Ran()


Start = Callable[..., Engine]


@pytest.fixture
def start(deployment: Deployment) -> Iterator[Start]:
    """Starts an engine for some handlers and tends it; stopped at the end of the test."""
    ended = threading.Event()
    begun: list[tuple[Engine, threading.Thread]] = []

    def begin(handlers: Mapping[Kind, Handler], *, threads: int = 2) -> Engine:
        engine = open_engine(deployment, handlers, threads=threads, lease=LEASE, patience=QUICK)
        engine.start()

        def tend() -> None:
            while not ended.wait(LEASE.total_seconds() / 4):
                engine.tend()

        thread = threading.Thread(target=tend)
        thread.start()
        begun.append((engine, thread))
        return engine

    yield begin
    ended.set()
    for engine, thread in begun:
        thread.join()
        engine.stop()
