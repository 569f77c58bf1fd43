"""Which engine does the work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from app.deployment import Deployment
from app.jobs.kinds import Kind
from app.jobs.running import Handler, Patience

LEASE = timedelta(seconds=20)


class Engine(Protocol):
    """Does what is due, in threads."""

    def start(self) -> None:
        """Begin; comes back at once."""

    def stop(self) -> None:
        """Claim nothing more; comes back when what runs has ended."""

    def is_working(self) -> bool:
        """Whether it still looks for work."""

    def tend(self) -> None:
        """Take over what dead workers ran, keep what lives here; to be called several times within a lease."""


def open_engine(
    deployment: Deployment,
    handlers: Mapping[Kind, Handler],
    *,
    threads: int,
    lease: timedelta = LEASE,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> Engine:
    """The engine that fits the database, not yet started.

    A job whose worker died is taken over within about ``lease``.
    """
    if deployment.database.is_sqlite:
        from app.jobs.embedded import EmbeddedEngine

        return EmbeddedEngine(deployment, handlers, threads=threads, lease=lease, patience=patience)
    from app.jobs.procrastinate import ProcrastinateEngine

    return ProcrastinateEngine(deployment, handlers, threads=threads, lease=lease, patience=patience)
