"""Fernmoor, founded once; every test has a copy of its own, in which it is nine o'clock and stays so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case
from app.channels.models import Account
from app.demonstration.platform import Fernmoor, channels
from app.demonstration.showing import fernmoor
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from app.intake.take import take_sightings
from app.messages.models import Message
from app.office.models import Office
from app.settings import Settings
from app.staff.models import Staff
from tests.conftest import Clock


@dataclass
class Borough:
    """The demonstration under test."""

    deployment: Deployment
    clock: Clock
    office_id: int  # Tansy's

    def case(self, session: Session, key: str) -> Case:
        """The case on which the message ``key`` of the world lies."""
        return session.get_one(Case, self.message(session, key).case_id)

    @staticmethod
    def message(session: Session, key: str) -> Message:
        its_id = sa.or_(Message.platform_id == key, Message.platform_id.like(f"<{key}@%"))
        return session.scalars(sa.select(Message).where(its_id)).one()

    @staticmethod
    def staff(session: Session, email: str) -> int:
        return session.scalars(sa.select(Staff.id).where(Staff.email == email)).one()

    def fetch(self) -> None:
        """What the worker does twenty times a minute."""
        with self.deployment.database.reading() as session:
            accounts = session.scalars(sa.select(Account.id)).all()
        for account_id in accounts:
            poll_account(self.deployment, account_id)
            take_sightings(self.deployment, account_id)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a demonstration that nobody has looked at."""
    folder = tmp_path_factory.mktemp("fernmoor") / "data"
    with fernmoor() as deployment:
        deployment.close()
        shutil.copytree(deployment.settings.data, folder)
    return folder


@pytest.fixture
def borough(founded: Path, clock: Clock, tmp_path: Path) -> Iterator[Borough]:
    data = tmp_path / "fernmoor"
    shutil.copytree(founded, data)
    deployment = deploy(Settings(data=data, demonstration=True)).with_connectors(channels(Fernmoor()))
    with deployment.database.reading() as session:
        office_id = session.scalars(sa.select(Office.id).where(Office.prefix == "MA")).one()
    yield Borough(deployment, clock, office_id)
    deployment.close()
