"""Keys that are lost or mixed up are told before anything starts, and never made anew behind anybody's back."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from app import secrets
from app.db import Database
from app.deployment import accept_keys, deploy, keys_folder, make_ready
from app.errors import Problem
from app.keys import fitting
from app.keys.models import KeyPrint
from app.settings import Settings

pytestmark = pytest.mark.db


@pytest.fixture
def used(settings: Settings) -> Settings:
    """An install that has run once."""
    started = deploy(settings)
    make_ready(started)
    started.close()
    return settings


def test_the_keys_of_the_first_start_are_those_of_the_second(used: Settings) -> None:
    before = secrets.found(keys_folder(used))
    again = deploy(used)
    again.close()
    assert again.keys == before


def test_a_lost_key_file_is_named_and_not_made_anew(used: Settings) -> None:
    shutil.rmtree(keys_folder(used))
    with pytest.raises(Problem, match=r"are missing: there is no .*keys\.json\. Put it back from a backup"):
        deploy(used)
    assert not keys_folder(used).exists()


def test_keys_of_another_install_are_refused(used: Settings) -> None:
    shutil.rmtree(keys_folder(used))
    secrets.keys(keys_folder(used))
    with pytest.raises(Problem, match=r"not those .* used with \(audit, ids, passwords, seal, session\)"):
        deploy(used)


def test_whoever_says_so_goes_on_with_new_keys(used: Settings) -> None:
    shutil.rmtree(keys_folder(used))
    accept_keys(used)
    deploy(used).close()


def test_a_key_that_seals_may_be_exchanged_while_the_former_one_still_opens(used: Settings, database: Database) -> None:
    known = secrets.keys(keys_folder(used))
    rotated = replace(known, seal=(Fernet.generate_key().decode(), *known.seal))
    shutil.rmtree(keys_folder(used))
    secrets.put(keys_folder(used), rotated)
    exchanged = deploy(used)
    make_ready(exchanged)
    exchanged.close()
    shutil.rmtree(keys_folder(used))
    secrets.put(keys_folder(used), replace(rotated, seal=rotated.seal[:1]))
    deploy(used).close()
    assert fitting.fitting(database, keys_folder(used)).seal == rotated.seal[:1]


def test_what_the_database_knows_tells_no_key(used: Settings, database: Database) -> None:
    made = secrets.keys(keys_folder(used))
    with database.reading() as session:
        known = " ".join(session.scalars(sa.select(KeyPrint.known_by)))
    assert [key for key in (*made.seal, made.session, made.ids, made.audit, made.passwords) if key in known] == []
