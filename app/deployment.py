"""What one process of Postbag works with, put together once: settings, keys, database, store, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.clock import now
from app.db import Database, migrate
from app.errors import Problem
from app.keys.fitting import fitting, note
from app.leases import Leases
from app.lines import Lines
from app.secrets import Keys, Sealer, keys
from app.settings import Settings
from app.store import Store, open_store
from connectors import Client, Connector, Host, all_connectors

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

    The database's tables are not: ``make_ready`` makes them. Raises Problem when the keys are not the database's own,
    and when a demonstration would meet the data of a real office, or a real office that of a demonstration.
    """
    database = open_database(settings)
    try:
        return _deployed(settings, database, fitting(database, keys_folder(settings)))
    except BaseException:
        database.close()
        raise


def make_ready(deployment: Deployment) -> None:
    """Make the tables what this version needs, and have the database know the keys that it is used with."""
    migrate(deployment.database)
    note(deployment.database, deployment.keys)


def accept_keys(settings: Settings) -> None:
    """Go on with the keys that are there, or with new ones where there are none, as somebody has said on purpose.

    What the former keys sealed stays closed.
    """
    database = open_database(settings)
    try:
        migrate(database)
        note(database, keys(keys_folder(settings)))
    finally:
        database.close()


def keys_folder(settings: Settings) -> Path:
    """Where the keys lie: beside the database, never in it."""
    return settings.data / "keys"


def open_database(settings: Settings) -> Database:
    """The database that ``settings`` name, in a data folder that is made when it is not there. Raises as ``deploy``."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.demonstration != (settings.data / DEMONSTRATION).exists():
        raise Problem("A demonstration and a real office never share a data folder (%(folder)s).", folder=settings.data)
    if settings.demonstration and settings.database_url is not None:
        raise Problem("A demonstration never uses the database of a real office.")
    if settings.database_url is None:
        settings.database_file.touch(mode=0o600)  # SQLite itself would let everybody on the machine read it
    return Database(settings.url, pool_size=settings.threads + settings.workers + 2)


def _deployed(settings: Settings, database: Database, made: Keys) -> Deployment:
    return Deployment(
        settings=settings,
        keys=made,
        sealer=Sealer(made.seal),
        database=database,
        store=open_store(database, settings.data),
        connectors=all_connectors(),
        host=Host(
            now=now,
            allowed_hosts=settings.allow_hosts,
            spool=_spool(settings.data),
            id_key=made.ids.encode(),
            clients=_clients(settings),
        ),
        lines=Lines(),
        leases=Leases(database),
    )


def _spool(data: Path) -> Path:
    folder = data / "spool"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def _clients(settings: Settings) -> Mapping[str, Client]:
    """This installation as the sign-in services know it that an administrator has registered it with."""
    clients = {
        "microsoft": Client(
            id=settings.microsoft_client_id,
            secret=settings.microsoft_client_secret.get_secret_value(),
            tenant=settings.microsoft_tenant,
        ),
        "google": Client(id=settings.google_client_id, secret=settings.google_client_secret.get_secret_value()),
        "oauth": Client(
            id=settings.oauth_client_id,
            secret=settings.oauth_client_secret.get_secret_value(),
            name=settings.oauth_name,
            authorize_url=settings.oauth_authorize_url,
            token_url=settings.oauth_token_url,
            device_url=settings.oauth_device_url,
            scope=settings.oauth_scope,
        ),
    }
    return {name: client for name, client in clients.items() if client.id}
