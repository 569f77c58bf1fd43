"""Running Postbag: pages and background work in one process, or background work alone."""

from __future__ import annotations

import gc
import signal
from types import FrameType

import click
from waitress.server import create_server

from app import create_app
from app.deployment import Deployment, deploy, make_ready
from app.errors import Problem
from app.logs import keep_log
from app.settings import Settings, address
from app.worker import Worker


def serve(settings: Settings, deployment: Deployment | None = None) -> None:
    """Answer pages and do background work until SIGTERM or Ctrl-C; then finish what is being done, and come back.

    Raises Problem when the address cannot be listened on.
    """
    keep_log(settings)
    made = deployment or deploy(settings)
    make_ready(made)
    application = create_app(deployment=made)
    gc.freeze()  # what stays for good is not looked through again
    try:
        server = create_server(
            application, host=settings.host, port=settings.port, threads=settings.threads, ident=None
        )
    except (OSError, ValueError) as error:  # waitress raises ValueError for the name of no machine
        made.close()
        raise Problem(
            "%(host)s port %(port)s cannot be used: %(why)s. Choose others with --host and --port.",
            host=settings.host,
            port=settings.port,
            why=error.strerror if isinstance(error, OSError) else "this machine has no such address",
        ) from error
    worker = Worker(made)
    signal.signal(signal.SIGTERM, _stop)
    try:
        worker.start()
        click.echo(f"Postbag is at {address(settings.host, settings.port)} (Ctrl-C stops it)")
        server.run()  # waitress ends its own threads when SystemExit or KeyboardInterrupt reaches it
    finally:
        worker.stop()
        server.close()
        made.close()


def work(settings: Settings) -> None:
    """Do background work until SIGTERM or Ctrl-C."""
    keep_log(settings)
    made = deploy(settings)
    make_ready(made)
    try:
        Worker(made).run()
    finally:
        made.close()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
