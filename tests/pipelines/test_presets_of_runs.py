"""Presets: named configs that cite their source, offered by the form and by the command."""

import html
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from demo import world
from models_align.presets import PRESETS as ALIGNMENTS
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.presets import PRESETS, preset
from pipelines import kinds
from pipelines.errors import InvalidRunConfig
from pipelines.models import BaseModel, Run
from tests.pipelines.loop_world import make_campaign, play

ROOT = Path(world.__file__).parent


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", ["reward_model", "learning_curve"])
def test_a_preset_is_a_config_that_its_kind_accepts(kind: str, name: str) -> None:
    spec = kinds.get(kind)
    config = spec.check(spec.preset(name))
    inner = config if kind == "reward_model" else config["model"]
    for key, value in PRESETS[name].changes.items():
        if key in inner:
            assert inner[key] == (list(value) if isinstance(value, tuple) else value)
    assert PRESETS[name].title
    assert "arXiv" in PRESETS[name].source or name == "tiny"


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_the_named_configs_of_alignment_are_offered_whole(name: str) -> None:
    spec = kinds.get("alignment")
    config = spec.check(spec.preset(name))
    assert config["method"] == ALIGNMENTS[name].changes["method"]
    assert config["settings"].items() >= dict(ALIGNMENTS[name].changes.get("settings", {})).items()


def test_videoreward_is_what_tables_10_and_11_of_the_paper_say() -> None:
    config = preset("videoreward-2b").config()
    said = {
        "language": "lora", "vision": "full", "lora_r": 64, "lora_alpha": 128, "lora_dropout": 0.0,
        "learning_rate": 2e-6, "vision_learning_rate": 2e-6, "head_learning_rate": 2e-6,
        "schedule": "constant", "warmup": 0.05, "epochs": 2.0, "pairs_per_step": 32,
        "loss": "btt", "theta": 5.0, "fps": 2.0,
    }  # fmt: skip
    assert {key: getattr(config, key) for key in said} == said
    # 182 thousand triplets less 13 thousand held out, twice, 32 at a time.
    assert config.for_pairs(169_000).steps == 10_563
    # Its eight GPUs: one pair at a time, four times, on each.
    RewardModelConfig.from_json({**preset("videoreward-2b").changes, "processes": 8,
                                 "accumulation": 4})  # fmt: skip


def test_the_tiny_preset_is_the_one_of_the_demo() -> None:
    file = json.loads((ROOT / "presets" / "reward_model.demo.json").read_text())
    ours = preset("tiny").changes
    assert {key: ours[key] for key in ours if key in file and ours[key] != file[key]} == {}


def test_an_unknown_preset_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'videoreward-2b'"):
        preset("videoreward2b")
    with pytest.raises(InvalidRunConfig, match="a snapshot run has no preset 'tiny'; there are: n"):
        kinds.get("snapshot").preset("tiny")


@pytest.mark.django_db
def test_the_form_offers_presets_and_fills_one_in(mia: Any) -> None:
    client = Client()
    client.force_login(mia)
    page = client.get("/admin/pipelines/run/add/?kind=reward_model").content.decode()
    assert "VideoReward: Bradley-Terry with ties on Qwen2-VL-2B" in page
    assert "arXiv 2501.13918, tables 10 and 11" in page
    chosen = client.get("/admin/pipelines/run/add/?kind=reward_model&preset=videoreward-2b-bt")
    assert '"loss": "bt"' in html.unescape(chosen.content.decode())
    assert (
        "Start from a preset"
        not in client.get("/admin/pipelines/run/add/?kind=snapshot").content.decode()
    )
    assert client.get("/admin/pipelines/run/add/?kind=reward_model&preset=x").status_code == 404


@pytest.fixture
def inputs(db: None) -> list[str]:
    from pipelines.starting import start_run

    snapshot = play(start_run("snapshot", {"campaign": make_campaign(pairs=4).pk}, user=None))
    BaseModel.objects.create(name="a vlm", role=BaseModel.Role.VLM, source="nobody/vlm")
    return ["--input", f"snapshot=run:{snapshot.pk}", "--input", "backbone=base:a vlm"]


def test_the_command_starts_a_preset_and_lets_a_file_go_before_it(
    inputs: list[str], tmp_path: Path
) -> None:
    call_command("start_run", "reward_model", "--preset", "videoreward-2b", *inputs)
    assert Run.objects.latest("pk").config["epochs"] == 2.0
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"seeds": [7], "model": {"theta": 3.0}}))
    call_command("start_run", "learning_curve", "--preset", "tiny", "--config", str(file), *inputs)
    config = Run.objects.latest("pk").config
    assert (config["seeds"], config["model"]["theta"]) == ([7], 3.0)
    assert config["model"]["pairs_per_step"] == PRESETS["tiny"].changes["pairs_per_step"]


def test_the_command_wants_a_config_or_a_preset(inputs: list[str]) -> None:
    with pytest.raises(CommandError, match="name a file with --config, or a --preset"):
        call_command("start_run", "reward_model", *inputs)
    with pytest.raises(CommandError, match="has no preset 'x'; there are: videoreward-2b"):
        call_command("start_run", "reward_model", "--preset", "x", *inputs)


def test_rest_starts_a_preset_too(inputs: list[str], mia: Any) -> None:
    snapshot, backbone = Run.objects.latest("pk"), BaseModel.objects.get(name="a vlm")
    client = Client()
    client.force_login(mia)
    body = {
        "kind": "learning_curve",
        "preset": "tiny",
        "config": {"model": {"theta": 4.0}},
        "inputs": {"snapshot": {"run": snapshot.pk}, "backbone": {"base_model": backbone.pk}},
    }
    answer = client.post("/api/runs", body, content_type="application/json")
    assert answer.status_code == 201
    model = Run.objects.latest("pk").config["model"]
    assert (model["theta"], model["template"]) == (4.0, "brief")
    refused = client.post("/api/runs", {**body, "preset": "x"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (422, "InvalidRunConfig")
    assert "has no preset 'x'" in refused.json()["error"]
