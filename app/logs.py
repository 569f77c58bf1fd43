"""Log lines, to standard error: for people or for a collector, never with personal data."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.settings import Settings


def keep_log(settings: Settings, *, least: int = logging.INFO) -> None:
    """Write log lines of this level and above. Libraries say only what is wrong.

    Some libraries log whole requests, tokens among them, at their lowest levels (channels.md section 5).
    """
    shown = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the rich one prints variables: personal data
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_to_standard_error,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _to_standard_error(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)
