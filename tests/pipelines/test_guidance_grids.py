"""A guidance grid as one start: its runs, its table, its page. Clips and scores are made up."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from formats.files import sha256_of
from formats.outcome import Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, ScoreRecord, VideoRef
from formats.run_dir import RunDir
from pipelines import kinds
from pipelines.errors import InvalidRunConfig
from pipelines.forms import StartRunForm
from pipelines.models import Artifact, BaseModel, Run
from pipelines.starting import cancel_run, start_run
from tests.pipelines.loop_world import base_models, number_of, play, remembered, write_clip

pytestmark = pytest.mark.django_db

LIFTS = {"TA 1, strength 2": 0.9, "untrained, strength 2": -0.9}
CONFIG = {"weights": [{"TA": 1.0}], "strengths": [2.0], "truth": {}}
PROMPTS = [PromptRecord(f"p{number}", f"prompt {number}") for number in range(8)]


def artifact(kind: str, run_kind: str, **meta: Any) -> Artifact:
    run = Run.objects.create(kind=run_kind, config={}, config_sha="", state="succeeded")
    return Artifact.objects.create(kind=kind, run=run, path=f"{run.pk}/x", meta=meta)


@pytest.fixture
def inputs(db: None) -> dict[str, Any]:
    base_models()
    return {
        "generator": BaseModel.objects.get(name="tiny-wan"),
        "latent_reward_model": artifact(
            "latent_reward_model", "latent_reward", dimensions=["VQ", "TA"]
        ),
        "judges:reward": artifact("reward_model", "reward_model", dimensions=["VQ", "TA"]),
        "backbone": BaseModel.objects.get(name="tiny-vlm"),
    }


def start(inputs: dict[str, Any], user: Any = None, **changes: Any) -> Run:
    files = {"prompts": PROMPTS}
    return start_run("guidance_grid", {**CONFIG, **changes}, inputs, user=user, files=files)


def cells_of(_run: Run, folder: RunDir) -> Outcome:
    """What the trainer of the cells leaves, with clips of flat grey."""
    names = ["plain", *LIFTS]
    target = folder.outputs / "generations"
    records = []
    for place, name in enumerate(names):
        for prompt in PromptRecord.read(folder.input("prompts")):
            shade = number_of(name, prompt.text)
            path = f"cell-{place}/clips/{shade}.mp4"
            sha256 = sha256_of(write_clip(target / path, shade))
            video = VideoRef(str(shade), path, sha256, 8.0, 4, f"tiny ({name})", 0)
            made = GenerationRecord(prompt.id, prompt.text, "test", video)
            records.append(replace(made, measures={"motion": 0.1 * place}))
    sha256 = GenerationRecord.write(target / "generations.jsonl", records)
    cells = [
        {
            "name": name,
            "generator": f"tiny ({name})",
            "strength": 0.0 if name == "plain" else 2.0,
            "weights": {},
            "untrained": name.startswith("untrained"),
        }
        for name in names
    ]
    output = Output(
        OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha256, {"cells": cells}
    )
    return Outcome(0, outputs=(output,))


def scores_of(run: Run, folder: RunDir) -> Outcome:
    rows = []
    for clip in GenerationRecord.read(folder.input("generations")):
        lift = next((by for name, by in LIFTS.items() if name in clip.video.generator), 0.0)
        score = {
            key: lift + number_of(run.kind, clip.video.sha256, key) / 2**32 for key in ("VQ", "TA")
        }
        rows.append(ScoreRecord(clip.video.id, clip.prompt_id, clip.prompt, score, score))
    sha256 = ScoreRecord.write(folder.outputs / "scores.jsonl", rows)
    return Outcome(0, outputs=(Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256),))


def test_one_start_is_cells_scores_and_a_table(inputs: Any, mia: Any, lee: Any) -> None:
    grid = start(inputs, mia)
    runs = list(Run.objects.filter(state="queued").order_by("pk"))
    assert [run.kind for run in runs] == ["guidance_cells", "scoring", "truth", "guidance_grid"]
    assert runs[-1] == grid
    assert {row.role for row in grid.inputs.all()} == {
        "generations",
        "scores:reward",
        "scores:truth",
    }
    assert {row.role for row in runs[0].inputs.all()} == {
        "prompts",
        "generator",
        "latent_reward_model",
    }
    assert {row.role for row in runs[1].inputs.all()} == {
        "generations",
        "reward_model",
        "backbone",
    }
    with remembered():
        play(runs[0], cells_of)
    for run in runs[1:3]:
        play(run, scores_of)
    play(grid)
    table = grid.artifacts.get(kind="guidance_grid")
    client = Client()
    client.force_login(lee)
    for path in (f"/runs/{grid.pk}/", f"/artifacts/{table.pk}/"):
        page = client.get(path)
        view = page.context["grid"]
        assert [each.judge for each in view.judges] == ["truth", "reward"]
        plain, guided, control = view.judges[0].rows
        assert plain.both == [(None, ""), (None, ""), (None, "")]
        assert "no guidance" in plain.kind
        overall, change = guided.both[0]
        assert view.judges[0].columns == ["overall", "TA", "VQ"]
        assert overall.rate == "1.000"
        assert overall.best
        assert change == ""  # of means of dimensions alone
        assert float(guided.both[1][1]) == pytest.approx(0.9, abs=0.6)
        assert "random weights" in control.kind
        assert not control.both[0][0].best
        assert guided.motion == "+0.100"
        assert [len(row.clips) for row in view.samples] == [3, 3, 3]
        assert "Ways of guidance" in page.content.decode()
    told = client.get(f"/artifacts/{table.pk}/grid.json").json()
    assert told["schema"] == "guidance_grid/1"
    assert [each["name"] for each in told["cells"]] == ["plain", *LIFTS]


def test_with_a_grid_its_parts_are_cancelled(inputs: Any, mia: Any) -> None:
    cancel_run(start(inputs, mia), mia)
    assert set(Run.objects.exclude(state="succeeded").values_list("state", flat=True)) == {
        "cancelled"
    }


def test_dimensions_that_nobody_knows_are_named_before_anything_is_sampled(inputs: Any) -> None:
    before = Run.objects.count()
    for changes, sentence in (
        ({"weights": [{"XX": 1.0}]}, "latent reward model does not know the dimension 'XX'"),
        ({"overall": {"MQ": 1.0}}, "the judge reward does not know the dimension 'MQ'; it knows"),
        ({"strengths": [0.0]}, "strengths must be above 0"),
        ({"strenghts": [1.0]}, "unknown key 'strenghts'; did you mean 'strengths'"),
        ({"scoring": {"batch": "x"}}, "unknown key 'batch'"),
        ({"generation": {"reward_guidance": {"weight": 2.0}}}, "the cells say how strongly"),
    ):
        with pytest.raises(InvalidRunConfig, match=sentence):
            start(inputs, **changes)
    with pytest.raises(InvalidRunConfig, match="a guidance_grid run has no input 'scores:x'"):
        start({**inputs, "scores:x": artifact("scores", "scoring")})
    del inputs["latent_reward_model"]
    with pytest.raises(InvalidRunConfig, match="needs an input 'latent_reward_model'"):
        start(inputs)
    assert Run.objects.filter(state="queued").count() == 0
    assert Run.objects.count() == before + 1


def test_the_form_asks_for_what_people_give_and_the_preset_is_the_papers(inputs: Any) -> None:
    spec = kinds.get("guidance_grid")
    fields = set(StartRunForm(spec).fields)
    assert {"prompts", "generator", "latent_reward_model", "judges"} <= fields
    assert not fields & {"generations", "scores"}
    config = spec.check(spec.preset("videoalign-weights"))
    assert config["strengths"] == [100.0]
    assert config["weights"][2] == {"VQ": 0.1, "MQ": 0.1, "TA": 0.6}


def test_without_a_judge_the_table_says_how_much_cells_move(inputs: Any, lee: Any) -> None:
    del inputs["judges:reward"], inputs["backbone"]
    grid = start(inputs, truth=None)
    (cells,) = Run.objects.filter(kind="guidance_cells")
    with remembered():
        play(cells, cells_of)
    play(grid)
    client = Client()
    client.force_login(lee)
    view = client.get(f"/runs/{grid.pk}/").context["grid"]
    assert [row[:2] for row in view.motion] == [
        ("plain", "+0.000"),
        ("TA 1, strength 2", "+0.100"),
        ("untrained, strength 2", "+0.200"),
    ]
