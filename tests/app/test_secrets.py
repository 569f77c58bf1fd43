"""Keys and what they seal."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from app.deployment import Deployment
from app.errors import Problem
from app.secrets import Keys, Sealer, keys


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    made = keys(tmp_path / "keys")

    assert keys(tmp_path / "keys") == made
    assert stat.S_IMODE((tmp_path / "keys" / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_two_first_starts_at_once_work_with_the_same_keys(tmp_path: Path) -> None:
    made: list[Keys] = []
    both = [threading.Thread(target=lambda: made.append(keys(tmp_path / "keys"))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert made[0] == made[1]


def test_a_broken_key_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"seal": []}')

    with pytest.raises(Problem, match="not complete"):
        keys(tmp_path)

    assert (tmp_path / "keys.json").read_text() == '{"seal": []}'


def test_what_an_older_key_sealed_opens_until_it_is_taken_away(tmp_path: Path) -> None:
    older, newer = keys(tmp_path / "a").seal, keys(tmp_path / "b").seal
    sealed = Sealer(older).seal({"password": "open sesame"})

    rotated = Sealer(newer + older).rotate(sealed)

    assert Sealer(newer).open(rotated) == {"password": "open sesame"}
    with pytest.raises(Problem, match="another key"):
        Sealer(newer).open(sealed)


def test_no_key_shows_where_a_deployment_is_shown(deployment: Deployment) -> None:
    shown = repr(deployment)

    for name in Keys.__slots__:
        key = getattr(deployment.keys, name)
        assert (key[0] if isinstance(key, tuple) else key) not in shown
