"""Killing a process at its n-th write: a file, a row, a commit, or a word to a server.

``killed_at(n, settings, work)`` runs ``work`` in a child process that is ended by SIGKILL just before its n-th write.
Nothing is replaced: the points are Python's own audit events, SQLAlchemy's, and what SQLite says it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.deployment import Deployment, deploy
from app.settings import Settings

_SPOKEN = frozenset({"smtplib.send", "imaplib.send"})
_FILED = frozenset({"os.rename", "os.link", "os.remove"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(point: int, settings: Settings, work: Callable[[Deployment], object]) -> bool:
    """Whether ``work`` was killed; ``False`` when it came to its end before the ``point``-th write.

    Raises RuntimeError when it failed in any other way.
    """
    child = os.fork()
    if child == 0:
        _run(point, settings, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError("the work failed by itself; its traceback is above")
    return False


def _run(point: int, settings: Settings, work: Callable[[Deployment], object]) -> None:
    status = 1
    try:
        deployment = deploy(settings)
        _arm(point, deployment)
        work(deployment)
        status = 0
    except BaseException:  # noqa: BLE001 - the child of a fork must not return into pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _arm(point: int, deployment: Deployment) -> None:
    left = point

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(name: str, arguments: tuple[Any, ...]) -> None:
        if name in _SPOKEN or name in _FILED or (name == "open" and (arguments[2] or 0) & _WRITING):
            tick()

    def executes(statement: str) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "--")):  # "--": within another statement
            tick()

    def commits(_: sa.Connection | Session) -> None:
        tick()

    engine = deployment.database.engine
    if deployment.database.is_sqlite:  # tells of what goes past SQLAlchemy, too
        event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(executes))
    else:
        event.listen(engine, "before_cursor_execute", lambda *given: executes(given[2]))
    event.listen(engine, "commit", commits)
    event.listen(Session, "after_commit", commits)
    sys.addaudithook(heard)
