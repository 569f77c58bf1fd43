"""Leases: renewed while their process lives, and nobody else's business once they are."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app import leases
from app.channels.models import Account
from app.clock import now
from app.deployment import Deployment
from tests import make
from tests.app.program import until
from tests.conftest import Clock


def holder(deployment: Deployment) -> tuple[int, str]:
    with deployment.database.transaction() as session:
        account = make.account(session)
        return account.id, leases.take(account, now())


def lapses_at(deployment: Deployment, account_id: int) -> datetime | None:
    with deployment.database.reading() as session:
        return session.get_one(Account, account_id).lease_until


@pytest.mark.db
def test_a_lease_is_renewed_while_its_holder_is_at_work(
    deployment: Deployment, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TERM", timedelta(seconds=0.4))
    account_id, name = holder(deployment)
    clock.advance(minutes=5)

    with deployment.leases.kept(Account, account_id, name):
        until(lambda: lapses_at(deployment, account_id) == now() + leases.TERM)


def test_a_lease_that_somebody_else_has_taken_is_not_renewed(
    deployment: Deployment, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, old = holder(deployment)
    own_id, name = holder(deployment)
    with deployment.database.transaction() as session:
        leases.take(session.get_one(Account, account_id), now())
    theirs = lapses_at(deployment, account_id)
    clock.advance(minutes=5)
    monkeypatch.setattr(leases, "TERM", timedelta(seconds=0.4))

    with deployment.leases.kept(Account, account_id, old), deployment.leases.kept(Account, own_id, name):
        until(lambda: lapses_at(deployment, own_id) == now() + leases.TERM)

    assert lapses_at(deployment, account_id) == theirs
