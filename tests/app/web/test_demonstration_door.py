"""The door of the demonstration stands in the demonstration only."""

from pathlib import Path

from app import create_app
from app.deployment import DEMONSTRATION
from app.settings import Settings


def test_a_real_office_has_no_door_without_a_password(settings: Settings) -> None:
    real = create_app(settings)
    assert [rule.rule for rule in real.url_map.iter_rules() if "demonstration" in rule.rule] == []


def test_the_demonstration_leads_to_its_own_door(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / DEMONSTRATION).touch()
    shown = create_app(Settings(data=tmp_path / "demo", demonstration=True)).test_client()
    assert shown.get("/", base_url="http://127.0.0.1:8000").location == "/demonstration/"
