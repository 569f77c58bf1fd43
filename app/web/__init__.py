"""The glue between Flask and the office: who may come in, what a request works with, how an answer looks. No domain."""

from __future__ import annotations

from typing import cast

from flask import current_app

from app.deployment import Deployment

EXTENSION = "postbag"


def deployment() -> Deployment:
    """What this process works with, inside a request."""
    return cast("Deployment", current_app.extensions[EXTENSION])
