"""Three weeks down and 5,000 mails waiting: all come in, twenty are set aside, and the inbox answers all the while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.deployment import Deployment, deploy
from app.messages.models import Reading
from app.settings import Settings
from tests.bench.catch_up import MAILS, POISON, catch_up, fall_behind, show
from tests.servers.dovecot import Dovecot

OK = 200


@pytest.fixture
def reaching(settings: Settings) -> Iterator[Deployment]:
    opened = deploy(settings.model_copy(update={"allow_hosts": frozenset({"127.0.0.1"})}))
    yield replace(opened, host=replace(opened.host, allowed_hosts=frozenset({"127.0.0.1"})))
    opened.close()


@pytest.mark.parametrize("mails", [200, pytest.param(MAILS, marks=[pytest.mark.slow, pytest.mark.db])])
def test_an_office_that_was_down_catches_up_while_its_inbox_answers(
    reaching: Deployment, dovecot: Dovecot, address: str, mails: int
) -> None:
    behind = fall_behind(reaching, dovecot, address, mails)
    found = catch_up(behind)
    show(found, behind.truth)
    assert {status for status, *_ in found.pages} == {OK}
    assert found.states == {Reading.TAKEN: 1 + mails - POISON, Reading.QUARANTINED: POISON}
    assert found.words == Counter(mail.word for mail in behind.truth.mails)
    assert found.is_caught_up
