"""From what was fetched to the inbox."""

from __future__ import annotations

from tests.app.intake.conftest import Desk


def test_a_message_becomes_a_case(desk: Desk) -> None:
    desk.platform.post("0001", subject="Bin not collected", text="The brown bin was missed.")
    desk.fetch()
    assert desk.subjects() == ["Bin not collected"]
