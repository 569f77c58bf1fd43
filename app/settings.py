"""Settings of the deployment, from the environment (``POSTBAG_…``).

What an office itself decides is in the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg", "sqlite")


def _data_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "postbag"


def address(host: str, port: int) -> AnyHttpUrl:
    """Where a browser on this machine finds what listens there."""
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
    shown = here.get(host, f"[{host}]" if ":" in host else host)
    return AnyHttpUrl(f"http://{shown}:{port}/")


class Settings(BaseSettings):
    """Every setting of a deployment; ``docs/operate.md`` explains each. Frozen: read once, at the start."""

    model_config = SettingsConfigDict(env_prefix="POSTBAG_", frozen=True, extra="ignore")

    data: Path = Field(default_factory=_data_home, description="Folder of database, messages, attachments and keys")
    database_url: SecretStr | None = Field(
        None, description="postgresql://… for more than one machine; else SQLite in the data folder"
    )
    erasures: Path | None = Field(
        None, description="Folder of the list of erasures, which a restore repeats; else in the data folder"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on")
    public_url: AnyHttpUrl = Field(
        default_factory=lambda known: address(known.get("host", "127.0.0.1"), known.get("port", 8000)),
        description="Where people reach this office; else where it listens",
    )
    threads: int = Field(8, ge=1, le=64, description="Requests answered at once")
    workers: int = Field(2, ge=1, le=32, description="Jobs done at once by one process")
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="Reverse proxies in front whose X-Forwarded headers are believed"
    )
    allow_hosts: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Private hosts (host or host:port, comma-separated) that connectors may reach"
    )
    mail_host: str = Field("", description="SMTP server for mail to staff; empty: links are shown to copy instead")
    mail_port: int = Field(587, ge=1, le=65535, description="Its port")
    mail_security: Literal["starttls", "tls", "none"] = Field("starttls", description="How the line to it is protected")
    mail_user: str = Field("", description="User to sign in as, if any")
    mail_password: SecretStr = Field(SecretStr(""), description="Its password")
    mail_from: str = Field("", description="Sender of mail to staff")
    microsoft_client_id: str = Field("", description="This Postbag as Microsoft knows it: its application (client) id")
    microsoft_client_secret: SecretStr = Field(SecretStr(""), description="The application's secret, where it has one")
    microsoft_tenant: str = Field("common", description="Whose mailboxes: a domain or tenant id; common: any")
    google_client_id: str = Field("", description="This Postbag as Google knows it: its OAuth client id")
    google_client_secret: SecretStr = Field(SecretStr(""), description="The OAuth client's secret")
    oauth_name: str = Field("", description="Another sign-in service for mailboxes, as people call it")
    oauth_client_id: str = Field("", description="This Postbag as it knows us")
    oauth_client_secret: SecretStr = Field(SecretStr(""), description="Our secret there, if any")
    oauth_authorize_url: str = Field("", description="Its page where people sign in")
    oauth_token_url: str = Field("", description="Where it gives tokens")
    oauth_device_url: str = Field("", description="Where it gives codes to type, if it does")
    oauth_scope: str = Field("", description="What it is asked for, separated by spaces")
    log_format: Literal["console", "json"] = Field("console", description="How log lines are written")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token for /metrics; without it the page is closed"
    )
    demonstration: bool = Field(default=False, description="Set by the demonstration itself")

    @field_validator("allow_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            frozenset(part.strip().lower() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("database_url")
    @classmethod
    def _known(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().partition(":")[0] not in _SCHEMES:
            raise ValueError("write postgresql://user@host/name")
        return value

    @property
    def database_file(self) -> Path:
        """Where SQLite's database lies, if it is used."""
        return self.data / "postbag.db"

    @property
    def erasures_folder(self) -> Path:
        """Where the list of erasures lies."""
        return self.erasures or self.data / "erasures"

    @property
    def url(self) -> str:
        """The database's URL as SQLAlchemy spells it."""
        if self.database_url is None:
            return f"sqlite:///{self.database_file}"
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else f"{scheme}://{rest}"

    @property
    def is_secure(self) -> bool:
        """Whether people reach this office over https, so that cookies may say ``Secure``."""
        return self.public_url.scheme == "https"
