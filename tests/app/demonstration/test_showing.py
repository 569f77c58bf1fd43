"""The demonstration stays apart: its folder, its database, its door; and it says on every page what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import create_app
from app.clock import now
from app.deployment import DEMONSTRATION, Deployment, deploy
from app.errors import Problem
from app.settings import Settings
from connectors import all_connectors
from tests.app.demonstration.conftest import Borough
from tests.app.program import end, environment, run, running, until
from tests.app.test_serving import ask
from tests.app.web.client import Browser
from tests.servers.account import free_port

SAID = "This is a demonstration."


def test_its_folder_and_that_of_a_real_office_refuse_each_other(borough: Borough, settings: Settings) -> None:
    with pytest.raises(Problem, match="never share a data folder"):
        deploy(Settings(data=borough.deployment.settings.data))
    with pytest.raises(Problem, match="never share a data folder"):
        deploy(Settings(data=settings.data, demonstration=True))
    refused = run("office", "list", given={"POSTBAG_DATA": str(borough.deployment.settings.data)})
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"never share a data folder" in refused.stderr


def test_it_never_uses_the_database_of_a_real_office(settings: Settings) -> None:
    (settings.data / DEMONSTRATION).touch()
    url = f"sqlite:///{settings.data / 'postbag.db'}"
    with pytest.raises(Problem, match="never uses the database"):
        deploy(Settings.model_validate({"data": settings.data, "demonstration": True, "database_url": url}))


def test_a_real_office_has_neither_its_door_nor_its_channels(deployment: Deployment) -> None:
    browser = Browser(create_app(deployment=deployment))
    assert browser.client.get("/demonstration/").status_code in {302, 303, 404}
    assert browser.client.post("/demonstration/tansy").status_code in {302, 303, 400, 404}
    rules = {rule.rule for rule in create_app(deployment=deployment).url_map.iter_rules()}
    assert [rule for rule in rules if "demonstration" in rule] == []
    assert deployment.connectors == all_connectors()


@pytest.mark.parametrize(
    ("who", "pages"),
    [
        ("tansy", ["/", "/search?q=boiler", "/progress", "/settings"]),
        ("bram", ["/", "/settings"]),
        ("administrator", ["/accounts", "/settings"]),
    ],
)
def test_one_click_lets_everybody_in_and_every_page_says_what_it_is(
    borough: Borough, who: str, pages: list[str]
) -> None:
    browser = Browser(create_app(deployment=borough.deployment))
    first = browser.get("/")
    assert first.location.startswith("/demonstration/")
    assert browser.get("/demonstration/").status_code == 200
    assert browser.post(f"/demonstration/{who}").status_code == 303
    for page in pages:
        assert browser.get(page).status_code == 200, page
        assert SAID in browser.words, page


def test_a_case_says_it_too(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        case_id = borough.case(session, "bins-1").id
    browser = Browser(create_app(deployment=borough.deployment))
    browser.get("/demonstration/")
    browser.post("/demonstration/bram")
    assert browser.get(f"/cases/{case_id}").status_code == 200
    assert SAID in browser.words
    assert "The brown bins on Larkrise Close were missed again" in browser.words


def test_nobody_else_is_let_in_by_the_door(borough: Borough) -> None:
    browser = Browser(create_app(deployment=borough.deployment))
    browser.get("/demonstration/")
    assert browser.post("/demonstration/ossian").status_code == 404
    assert browser.get("/").location.startswith("/demonstration/")


def test_the_command_runs_it_beside_a_real_office_and_touches_nothing_of_it(settings: Settings) -> None:
    given = environment(settings) | {
        "POSTBAG_DATABASE_URL": "postgresql://postbag@/real?host=/nowhere",  # a real office's, if it were looked at
        "POSTBAG_MAIL_HOST": "mail.fernmoor.example",
        "POSTBAG_PUBLIC_URL": "https://office.fernmoor.example/",
    }
    before = _contents(settings.data)
    port = free_port()
    with running("demo", "--port", port, given=given) as process:
        assert until(lambda: ask(port, "/health/live")[0] == 200 or process.poll() is not None, 120)
        status, page = ask(port, "/")
        assert (status, "Who would you like to be?" in page) == (200, True)
        status, printed = end(process)
    assert (status, "Traceback" in printed) == (0, False)
    assert f"http://127.0.0.1:{port}/" in printed
    assert _contents(settings.data) == before
    assert now().year != 2026 or now().month != 4  # the clock of this process is its own


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
