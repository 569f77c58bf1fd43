"""The demonstration, ready to be served: in a folder of its own that is gone afterwards, far from any real office."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app import clock
from app.db import migrate
from app.demonstration.founding import found
from app.demonstration.platform import Fernmoor, channels
from app.deployment import DEMONSTRATION, Deployment, deploy
from app.settings import Settings, address


@contextmanager
def fernmoor(port: int = 0) -> Iterator[Deployment]:
    """The demonstration, founded: for the length of the block its clock runs, from Tuesday 7 April 2026, 09:00, on.

    Whatever ``POSTBAG_…`` says of a real office is not looked at.
    """
    with TemporaryDirectory(prefix="postbag-demonstration-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        (data / DEMONSTRATION).touch()
        settings = Settings.model_construct(
            **{
                **{
                    name: field.get_default(call_default_factory=True, validated_data={})
                    for name, field in Settings.model_fields.items()
                },
                "data": data,
                "port": port,
                "public_url": address("127.0.0.1", port),
                "demonstration": True,
            }
        )
        deployment = deploy(settings).with_connectors(channels(Fernmoor()))
        try:
            migrate(deployment.database)
            found(deployment)
            yield deployment
        finally:
            deployment.close()
            clock.use(None)
