"""Latent reward models as runs: what starts one, and what may use it."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from formats.outcome import OutputKind
from formats.records import PromptRecord
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, Run, RunState
from pipelines.rewards import context as reward_context
from pipelines.starting import start_run


@pytest.fixture
def left(db: None) -> Any:
    """Makes an artifact of a kind, left by a run that has succeeded."""

    def make(kind: OutputKind) -> Artifact:
        run = Run.objects.create(kind="counting", state=RunState.SUCCEEDED, config={})
        return Artifact.objects.create(run=run, kind=kind, path=f"{run.pk}/x", sha256="0" * 64)

    return make


@pytest.fixture
def generator(db: None) -> BaseModel:
    return BaseModel.objects.create(name="tiny", role=BaseModel.Role.GENERATOR, source="/tiny")


@pytest.mark.parametrize("role", ["snapshot", "pairs"])
def test_it_starts_from_votes_or_from_pairs_with_its_whole_config(left, generator, role):
    run = start_run(
        "latent_reward",
        {"noise": "none", "blocks": 4},
        {role: left(OutputKind(role)), "generator": generator},
        user=None,
    )
    assert run.config["noise"] == "none"
    assert run.config["loss"] == "bt"  # a default of the paper
    assert run.config["timesteps"]["distribution"] == "native"
    assert run.queue == "gpu"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"nois": "none"}, "unknown key 'nois'; did you mean 'noise'?"),
        ({"evaluate_at": [2]}, r"each of evaluate_at must be in \[0, 1\], got 2.0"),
        ({"timesteps": {"shift": -1}}, "shift must be 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused_before_the_queue(left, generator, config, sentence):
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("latent_reward", config, {"generator": generator}, user=None)
    assert not Run.objects.exists()


def test_a_generation_may_follow_it_and_nothing_else(left, generator):
    prompts = {"prompts": [PromptRecord("p", "a red circle")]}
    config = {"reward_guidance": {"weight": 2, "dimensions": {"VQ": 0.5, "MQ": 0.5}}}
    model = left(OutputKind.LATENT_REWARD_MODEL)
    run = start_run(
        "generation", config, {"generator": generator, "latent_reward_model": model},
        user=None, files=prompts,
    )  # fmt: skip
    assert run.config["reward_guidance"]["max_factor"] == 10.0
    assert run.inputs.get(role="latent_reward_model").artifact == model
    with pytest.raises(InvalidRunConfig, match="must be latent_reward_model, got artifact"):
        start_run(
            "generation", config,
            {"generator": generator, "latent_reward_model": left(OutputKind.REWARD_MODEL)},
            user=None, files=prompts,
        )  # fmt: skip


def at(t: float, value: float | None) -> dict[str, Any]:
    row = {"t": t, "pairs": 40 if value else 0, "accuracy_without_ties": value}
    return row | {"accuracy_without_ties_interval": [value - 0.1, value + 0.1] if value else None}


def test_the_page_shows_accuracy_over_the_noise(db: None, client: Any) -> None:
    curve = {"MQ": [at(0.2, None), at(0.8, None)], "VQ": [at(0.2, 0.9), at(0.8, 0.6)]}
    run = Run.objects.create(
        kind="latent_reward", state=RunState.SUCCEEDED, config={},
        summary={"dimensions": ["VQ", "MQ"], "curve": {"test": curve, "train": curve}},
    )  # fmt: skip
    Artifact.objects.create(
        run=run, kind=OutputKind.LATENT_REWARD_MODEL, path=f"{run.pk}/x", sha256="0" * 64
    )
    found = reward_context.of_run(run, list(run.artifacts.all()), beside=None)
    (panel,) = found["reward"].panels
    assert panel.about == "40 test pairs, the same noise on both clips"
    first, second = panel.parts
    assert (first.key, first.number) == ("VQ", "0.750")
    (_, drawn) = first.charts[0]
    assert [curve.name for curve in drawn.curves] == ["test", "trained on"]
    assert not second.charts  # nobody judged it
    assert panel.tables[0].rows[1] == ("t = 0.8", ["40", "–", "0.600 (0.500 – 0.700)", *["–"] * 3])
    client.force_login(get_user_model().objects.create_superuser("mia"))
    html = client.get(f"/runs/{run.pk}/").content.decode()
    assert "Through how much noise is it right?" in html
    assert "t = 0.8: 0.600" in html
