"""Own settings: language, keys, single letters."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.accounts import profiles
from annotation.models import Profile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def browser(alice: Any) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def put(browser: Client, **body: Any) -> Any:
    return browser.put("/api/profile", body, content_type="application/json")


def test_the_defaults_need_no_row(browser: Client) -> None:
    expected = {"language": "", "keys": {}, "single_letters": True}
    assert browser.get("/api/profile").json() == expected
    assert not Profile.objects.exists()


def test_what_is_not_named_stays(browser: Client) -> None:
    put(browser, keys={"skip": "KeyJ", "stretch": "KeyT"})
    answer = put(browser, single_letters=False).json()
    assert answer["keys"] == {"skip": "KeyJ", "stretch": "KeyT"}
    assert answer["single_letters"] is False


def test_only_what_differs_from_the_default_is_kept(browser: Client) -> None:
    assert put(browser, keys={"skip": "KeyT", "loop": "Slash"}).json()["keys"] == {"loop": "Slash"}


def test_two_commands_on_one_key_are_refused(browser: Client) -> None:
    answer = put(browser, keys={"skip": "KeyL"})
    assert answer.status_code == 422
    assert sorted(answer.json()["commands"]) == ["loop", "skip"]
    assert browser.get("/api/profile").json()["keys"] == {}


def test_two_commands_may_change_places(browser: Client) -> None:
    assert put(browser, keys={"skip": "KeyL", "loop": "KeyT"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"keys": {"fly": "KeyJ"}},
        {"keys": {"skip": "KeyÄ"}},
        {"keys": {"skip": "Escape"}},
        {"keys": {"skip": "Digit1"}},
        {"keys": {"skip": "Numpad1"}},
        {"keys": {"skip": ["KeyJ"]}},
        {"keys": []},
        {"language": "tlh"},
        {"language": 5},
        {"single_letters": "no"},
        {"theme": "dark"},
    ],
)
def test_what_cannot_be_is_refused(browser: Client, body: dict[str, Any]) -> None:
    assert put(browser, **body).status_code == 422
    assert not Profile.objects.exists()


def test_the_language_of_the_profile_is_the_language_of_the_browser(browser: Client) -> None:
    put(browser, language="ja")
    assert '<html lang="ja"' in browser.get("/account/").content.decode()


def test_nobody_reads_settings_without_a_login(client: Client, db: None) -> None:
    assert client.get("/api/profile").status_code == 401
    assert put(client, language="ja").status_code in {401, 403}


def test_the_page_and_the_site_know_the_same_commands() -> None:
    """static/js/lib/keymap.js: the grid is made of letters, the rest are calls of `action`."""
    source = (ROOT / "static" / "js" / "lib" / "keymap.js").read_text()
    listed = re.findall(r'action\("\w+", "([\w-]+)", "(\w+)"', source)
    assert len(listed) > 20
    rows = re.search(r"const GRID = \[(.*?)\]", source)
    labels = re.search(r"const LABELS = \[(.*?)\]", source)
    assert rows
    assert labels
    grid = {
        f"vote-{n}-{label}": f"Key{letter}"
        for n, letters in enumerate(re.findall(r"\w+", rows[1]), start=1)
        for letter, label in zip(letters, re.findall(r"\w+", labels[1]), strict=True)
    }
    assert {**grid, **dict(listed)} == profiles.COMMANDS
