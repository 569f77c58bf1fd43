"""The demonstration, ready to be served: in a folder of its own that is gone afterwards, far from any real office."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.db import migrate
from app.demonstration.founding import found
from app.demonstration.platform import Fernmoor, channels
from app.deployment import DEMONSTRATION, Deployment, deploy
from app.settings import Settings


@contextmanager
def fernmoor(port: int = 0) -> Iterator[Deployment]:
    """The demonstration, founded: its clock stands at Tuesday 7 April 2026, 09:00, and runs.

    Whatever ``POSTBAG_…`` says of a real office is not looked at.
    """
    with TemporaryDirectory(prefix="postbag-demonstration-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        (data / DEMONSTRATION).touch()
        settings = Settings.model_construct(
            **{
                **{name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()},
                "data": data,
                "port": port,
                "public_url": AnyHttpUrl(f"http://127.0.0.1:{port or 80}/"),
                "demonstration": True,
            }
        )
        deployment = deploy(settings).with_connectors(channels(Fernmoor()))
        migrate(deployment.database)
        found(deployment)
        yield deployment
