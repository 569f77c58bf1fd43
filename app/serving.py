"""Running Postbag: pages and background work in one process, or background work alone."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType

import click
import structlog
from waitress.server import create_server

from app import create_app
from app.db import migrate
from app.deployment import Deployment, deploy
from app.errors import Problem
from app.settings import Settings
from app.worker import Worker


def serve(settings: Settings, deployment: Deployment | None = None) -> None:
    """Answer pages and do background work until SIGTERM or Ctrl-C; then finish what is being done, and come back.

    Raises Problem when the address cannot be listened on.
    """
    keep_log(settings)
    made = deployment or deploy(settings)
    migrate(made.database)
    application = create_app(deployment=made)
    try:
        server = create_server(
            application, host=settings.host, port=settings.port, threads=settings.threads, ident=None
        )
    except OSError as error:
        made.close()
        raise Problem(
            "%(host)s port %(port)s cannot be used: %(why)s. Choose another with --port.",
            host=settings.host,
            port=settings.port,
            why=error.strerror,
        ) from error
    worker = Worker(made)
    worker.start()
    click.echo(f"Postbag is at http://{settings.host}:{settings.port}/ (Ctrl-C stops it)")
    signal.signal(signal.SIGTERM, _stop)
    try:
        server.run()  # waitress ends its own threads when SystemExit or KeyboardInterrupt reaches it
    finally:
        worker.stop()
        server.close()
        made.close()


def work(settings: Settings) -> None:
    """Do background work until SIGTERM or Ctrl-C."""
    keep_log(settings)
    made = deploy(settings)
    migrate(made.database)
    try:
        Worker(made).run()
    finally:
        made.close()


def keep_log(settings: Settings) -> None:
    """Write log lines to standard error, for people or for a collector. Libraries say only what is wrong.

    Some libraries log whole requests, tokens among them, at their lowest levels (channels.md section 5).
    """
    shown = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
