"""What one process of Postbag works with, put together once: settings, keys, database, store, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.clock import now
from app.db import Database
from app.errors import Problem
from app.leases import Leases
from app.lines import Lines
from app.secrets import Keys, Sealer, keys
from app.settings import Settings
from app.store import Store, open_store
from connectors import Connector, Host, all_connectors

DEMONSTRATION = "demonstration"  # a file of this name marks the data folder of a demonstration


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Handed to whatever runs outside a request; a request finds it through ``app.web``."""

    settings: Settings
    keys: Keys
    sealer: Sealer
    database: Database
    store: Store
    connectors: Mapping[str, Connector]
    host: Host
    lines: Lines
    leases: Leases

    def with_connectors(self, connectors: Mapping[str, Connector]) -> Deployment:
        """The same with other channels: the demonstration stands in for each."""
        return replace(self, connectors=connectors)

    def close(self) -> None:
        """Hang up, and let go of the database."""
        self.lines.close()
        self.database.close()


def deploy(settings: Settings) -> Deployment:
    """Open everything ``settings`` name. The data folder and the keys are made when they are not there yet.

    The database's tables are not. Raises Problem when a demonstration would meet the data of a real office, or a real
    office that of a demonstration.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.demonstration != (settings.data / DEMONSTRATION).exists():
        raise Problem("A demonstration and a real office never share a data folder (%(folder)s).", folder=settings.data)
    if settings.demonstration and settings.database_url is not None:
        raise Problem("A demonstration never uses the database of a real office.")
    made = keys(settings.data / "keys")
    if settings.database_url is None:
        settings.database_file.touch(mode=0o600)  # SQLite itself would let everybody on the machine read it
    database = Database(settings.url, pool_size=settings.threads + settings.workers + 2)
    return Deployment(
        settings=settings,
        keys=made,
        sealer=Sealer(made.seal),
        database=database,
        store=open_store(database, settings.data),
        connectors=all_connectors(),
        host=Host(now=now, allowed_hosts=settings.allow_hosts, spool=_spool(settings.data), id_key=made.ids.encode()),
        lines=Lines(),
        leases=Leases(database),
    )


def _spool(data: Path) -> Path:
    folder = data / "spool"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder
