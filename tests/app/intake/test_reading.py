"""What reading leaves behind."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from app.intake.reading import sweep_spool
from tests.conftest import MORNING


def test_what_a_killed_process_left_half_done_is_swept_when_it_is_old(tmp_path: Path) -> None:
    for name, age in {"raw-old": timedelta(hours=2), "read-new.0": timedelta(minutes=1)}.items():
        path = tmp_path / name
        path.write_bytes(b"Dear Tansy")
        at = (MORNING - age).timestamp()
        os.utime(path, (at, at))
    assert sweep_spool(tmp_path, MORNING - timedelta(hours=1)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["read-new.0"]
