"""An office whose post comes by way of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case
from app.channels.models import Account, Stream
from app.deployment import Deployment
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.models import Message, Sighting
from app.office.models import Office
from tests import make
from tests.app.folder_channel import FolderChannel, Platform
from tests.conftest import Clock


@dataclass
class Desk:
    """The office under test and its platform."""

    deployment: Deployment
    platform: Platform
    office_id: int
    account_id: int

    def fetch(self) -> None:
        """Poll everything and take everything."""
        poll_account(self.deployment, self.account_id, everything=True)
        take(self.deployment, self.account_id)

    def subjects(self) -> list[str]:
        """What stands in the inbox, in the order of arrival."""
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Case.subject).order_by(Case.id)))

    def messages(self) -> list[Message]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Message).order_by(Message.id)))

    def cases(self) -> list[Case]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Case).order_by(Case.id)))

    def sightings(self) -> list[Sighting]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Sighting).order_by(Sighting.id)))

    def streams(self) -> dict[str, Stream]:
        with self.deployment.database.reading() as session:
            return {stream.key: stream for stream in session.scalars(sa.select(Stream))}

    def account(self) -> Account:
        with self.deployment.database.reading() as session:
            return session.get_one(Account, self.account_id)

    def with_channel(self, channel: FolderChannel) -> Desk:
        return Desk(
            self.deployment.with_connectors({"folder": channel}), self.platform, self.office_id, self.account_id
        )

    def another_account(self) -> int:
        """A second account of the same office at the same platform."""
        with self.deployment.database.transaction() as session:
            return _connect(session, self.deployment, session.get_one(Office, self.office_id)).id


def _connect(session: Session, deployment: Deployment, office: Office) -> Account:
    account = make.account(
        session,
        office=office,
        channel="folder",
        options={"path": "/srv/folder"},
        sealed=deployment.sealer.seal({"password": "open sesame"}),
        own_ids=["cllr@fernmoor.example"],
    )
    make.stream(session, account=account, key="inbox", name="Inbox", interval=timedelta(minutes=5))
    make.stream(session, account=account, key="junk", name="Junk", interval=timedelta(minutes=10), is_junk=True)
    return account


@pytest.fixture
def desk(deployment: Deployment, clock: Clock, tmp_path: Path) -> Desk:  # noqa: ARG001 - it stands
    """An office with one connected folder, its streams ``inbox`` and ``junk``; the clock stands."""
    platform = Platform(tmp_path / "platform")
    connected = deployment.with_connectors({"folder": FolderChannel(platform, as_mail=True)})
    with connected.database.transaction() as session:
        office = make.office(session)
        account = _connect(session, connected, office)
    return Desk(connected, platform, office.id, account.id)
