"""What `make run` puts on the site: presets that fit the trainers, accounts, campaigns."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Campaign, CampaignState, Triplet, Video
from pipelines import kinds
from pipelines.errors import PipelineError
from pipelines.loops import demo_site


@pytest.mark.parametrize("name", ["demo", "micro"])
def test_every_section_of_a_preset_is_a_config_that_its_run_accepts(name: str) -> None:
    values = demo_site.preset(name)
    for section, kind in {
        "reward_model": "reward_model",
        "generation": "generation",
        "scoring": "scoring",
        "alignment_flow_dpo": "alignment",
        "alignment_gapo": "alignment",
    }.items():
        checked = kinds.get(kind).check(values[section])
        assert {key: checked[key] for key in values[section] if key != "settings"}


def test_another_seed_moves_the_world_and_the_training_but_not_the_bases() -> None:
    first, second = demo_site.preset("demo"), demo_site.preset("demo", 2)
    assert second["world"]["render"]["seed"] == first["world"]["render"]["seed"] + 2000
    assert second["reward_model"]["seed"] == first["reward_model"]["seed"] + 2000
    assert second["pretrain_vlm"] == first["pretrain_vlm"]
    assert second["name"] != first["name"]


def test_a_preset_that_is_not_there_is_named() -> None:
    with pytest.raises(PipelineError, match="there is no preset 'huge'"):
        demo_site.preset("huge")


@pytest.fixture
def prepared(db: None, settings: Any, tmp_path: Path) -> dict[str, Any]:
    settings.VAR = tmp_path
    values = demo_site.preset("micro")
    demo_site.prepare(values)
    return values


def test_a_person_can_vote_at_once(prepared: dict[str, Any]) -> None:
    campaign = Campaign.objects.get(name=demo_site.TRY)
    assert campaign.state == CampaignState.OPEN
    client = Client()
    login = {"username": "annotator", "password": demo_site.PASSWORD}
    assert client.post("/accounts/login/", login).status_code == 302
    answer = client.post(
        f"/api/campaigns/{campaign.pk}/next",
        {"tab": "7b0c2b6e-3f57-4d0a-9c0e-0d0a5a1f2b3c"},
        content_type="application/json",
    )
    assert answer.status_code == 200
    assert answer.json()["left"]["url"].startswith("/v/")


def test_doing_it_twice_adds_nothing(prepared: dict[str, Any]) -> None:
    before = (Triplet.objects.count(), Video.objects.count(), Campaign.objects.count())
    demo_site.prepare(prepared)
    assert (Triplet.objects.count(), Video.objects.count(), Campaign.objects.count()) == before


def test_the_log_in_page_names_the_accounts_that_are_there(
    prepared: dict[str, Any], settings: Any
) -> None:
    settings.TIEBREAK_DEMO = True
    page = Client().get("/accounts/login/").content.decode()
    assert demo_site.PASSWORD in page
    for name in ("annotator", "lead", "engineer"):
        assert name in demo_site.PEOPLE
        assert name in page
