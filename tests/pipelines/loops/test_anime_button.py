"""The button that runs the anime loop: who may press it, and that pressing it twice is once."""

from typing import Any

import pytest
from django.test import Client

from pipelines import kinds
from pipelines.errors import InvalidRunConfig, PipelineError
from pipelines.loops import demo_runs, demo_site
from pipelines.loops.demo_presets import ANIME, preset
from pipelines.models import Run

pytestmark = pytest.mark.django_db

URL = "/loop/anime"


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def demo(settings: Any) -> Any:
    settings.TIEBREAK_DEMO = True
    return settings


def test_an_engineer_starts_it_once_however_often_they_press(demo: Any, mia: Any) -> None:
    client = signed_in(mia)
    assert b"Run the anime loop" in client.get("/loop/").content
    answers = [client.post(URL) for _ in range(2)]
    run = Run.objects.get(kind=demo_runs.KIND)
    assert {answer["Location"] for answer in answers} == {f"/runs/{run.pk}/"}
    assert run.config["site"] == "http://testserver"
    assert (run.config["world"], run.name) == (ANIME, "Anime world: clips and loop")
    assert client.get(f"/runs/{run.pk}/").status_code == 200


@pytest.mark.parametrize("name", ["lee", "alice"])
def test_nobody_else_may(demo: Any, name: str, request: pytest.FixtureRequest) -> None:
    client = signed_in(request.getfixturevalue(name))
    assert client.post(URL).status_code == 403
    assert not Run.objects.exists()
    assert b"Run the anime loop" not in client.get("/loop/").content


def test_it_asks_for_a_post(demo: Any, mia: Any) -> None:
    assert signed_in(mia).get(URL).status_code == 405


def test_a_site_that_is_no_demo_has_neither_button_nor_run(settings: Any, mia: Any) -> None:
    settings.TIEBREAK_DEMO = False
    client = signed_in(mia)
    assert b"Run the anime loop" not in client.get("/loop/").content
    assert client.post(URL).status_code == 404
    with pytest.raises(InvalidRunConfig, match="start them on a site that `make run` has brought"):
        kinds.get(demo_runs.KIND).check({"site": "http://127.0.0.1:8000"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "site must be an address, got ''"),
        ({"site": "http://x", "world": "third"}, "world must be one of first, anime"),
        ({"site": "http://x", "preset": "huge"}, "preset must be one of demo, micro"),
        ({"site": "http://x", "seed": -1}, "seed must be a whole number, 0 or more"),
    ],
)
def test_what_it_cannot_do_is_said(demo: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRunConfig, match=said):
        kinds.get(demo_runs.KIND).check(values)


@pytest.mark.parametrize("name", ["demo", "micro"])
def test_every_section_of_a_preset_is_a_config_that_its_run_accepts(name: str) -> None:
    values = preset(name, world=ANIME)
    sections = {part: part for part in ("reward_model", "generation", "scoring")}
    sections |= dict.fromkeys(values["alignments"].values(), "alignment")
    for section, kind in sections.items():
        checked = kinds.get(kind).check(values[section])
        assert {key: checked[key] for key in values[section] if key != "settings"}
    assert kinds.get("reward_model").check(values["reward_model"])["start_image"] == "prepend"
    kinds.get("pairing").check(values["loop"]["pairing"])


def test_worlds_have_names_of_their_own() -> None:
    assert preset("demo")["name"] != preset("demo", world=ANIME)["name"]
    with pytest.raises(PipelineError, match="there is no world 'third'; expected one of first"):
        preset("demo", world="third")
    assert demo_site.preset is preset
