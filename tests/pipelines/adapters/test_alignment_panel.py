"""The page of an alignment run: who sees it, what it shows of looks, judges and alarms, live."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from formats.files import sha256_of, write_json
from formats.outcome import OutputKind
from formats.records import GenerationRecord, PairRecord, PromptRecord, ScoreRecord, VideoRef
from models_align.watching.leaving import generation_set
from models_align.watching.looks import Look, WatchedClip
from pipelines import kinds
from pipelines.adapters.alignment_inputs import refuse_unfit
from pipelines.adapters.alignment_page import panel_of
from pipelines.adapters.watched import folder_of, looks_of
from pipelines.errors import InvalidRunConfig
from pipelines.forms import StartRunForm
from pipelines.models import Artifact, Run
from pipelines.starting import start_run

pytestmark = pytest.mark.django_db

PROMPTS = ["a red circle", "two blue bars", "a green triangle"]


def clip(step: int, prompt: int, seed: int, **more: Any) -> WatchedClip:
    return WatchedClip(
        name=f"{step:08d}-{prompt:020x}{seed:04x}",
        prompt_id=f"p{prompt}",
        prompt=PROMPTS[prompt],
        split="validation",
        seed=seed,
        sha256=f"{step:032x}{prompt:016x}{seed:016x}",
        fps=8.0,
        num_frames=9,
        **more,
    )


def write_look(run: Run, step: int, reward: float, motion: float = 10.0) -> Look:
    """Three prompts with two seeds; each prompt scores a little higher than the one before."""
    folder = folder_of(run) / "outputs" / "watched"
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    clips = tuple(
        clip(
            step,
            prompt,
            seed,
            measures={"motion": motion + prompt},
            scores={
                "reward": {"VQ": reward + 0.1 * prompt, "MQ": reward},
                "judge": {"VQ": -reward},
            },
        )
        for prompt in range(3)
        for seed in (7, 8)
    )
    for each in clips:
        (folder / "clips" / f"{each.name}.mp4").write_bytes(f"clip {each.name}".encode())
    look = Look(step, clips, {f"p{n}": 4.0 - reward for n in range(3)})
    look.write(folder)
    return look


@pytest.fixture
def watched(mia: Any) -> Run:
    run = Run.objects.create(
        kind="alignment", name="Flow-DPO", config={"steps": 40, "method": "gapo"}, config_sha="x",
        queue="gpu", total=40, created_by=mia,
    )  # fmt: skip
    run.inputs.create(role="watch_prompts", file="given/prompts.jsonl", sha256="y")
    return run


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def live(run: Run) -> str:
    return reverse("pipelines:alignment-live", args=[run.pk])


def address(run: Run, step: int, number: int) -> str:
    return reverse("pipelines:watched-clip", args=[run.pk, step, number])


# Who.


def test_leads_and_engineers_see_panel_and_clips_and_nobody_else_does(
    watched: Run, alice: Any, charlie: Any, lee: Any, mia: Any
) -> None:
    write_look(watched, 0, 0.0)
    for path in (live(watched), address(watched, 0, 0)):
        assert _as(lee).get(path).status_code == _as(mia).get(path).status_code == 200
        assert _as(alice).get(path).status_code == _as(charlie).get(path).status_code == 403
        assert Client().get(path).status_code in {302, 401, 403}


def test_a_clip_is_served_in_parts_from_the_run_directory(watched: Run, lee: Any) -> None:
    look = write_look(watched, 20, 0.0)
    whole = _as(lee).get(address(watched, 20, 3))
    assert b"".join(whole.streaming_content) == f"clip {look.clips[3].name}".encode()
    assert whole["Content-Type"] == "video/mp4"
    assert whole["X-Content-Type-Options"] == "nosniff"
    part = _as(lee).get(address(watched, 20, 3), headers={"Range": "bytes=0-3"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"clip")


@pytest.mark.parametrize(("step", "number"), [(21, 0), (20, 6), (10**40, 0)])
def test_a_clip_that_is_not_there_is_not_found(
    watched: Run, lee: Any, step: int, number: int
) -> None:
    write_look(watched, 20, 0.0)
    assert _as(lee).get(address(watched, step, number)).status_code == 404


@pytest.mark.parametrize("name", ["../../config", "/etc/passwd", "00000020-zz", ""])
def test_a_look_that_names_another_file_leads_nowhere(watched: Run, lee: Any, name: str) -> None:
    folder = folder_of(watched) / "outputs" / "watched"
    write_look(watched, 20, 0.0)
    (folder_of(watched) / "config.mp4").write_bytes(b"secret")
    odd = WatchedClip(**{**_fields(clip(20, 0, 7)), "name": name})
    Look(20, (odd,), {}).write(folder)
    assert _as(lee).get(address(watched, 20, 0)).status_code == 404


def test_runs_of_other_kinds_have_no_such_panel(mia: Any, lee: Any) -> None:
    run = Run.objects.create(
        kind="pairing", config={}, config_sha="x", queue="default", created_by=mia
    )
    assert _as(lee).get(live(run)).status_code == 404
    assert _as(lee).get(address(run, 0, 0)).status_code == 404
    page = _as(lee).get(reverse("pipelines:run", args=[run.pk]))
    assert b"data-alignment" not in page.content


# What.


def test_the_page_places_the_panel_and_names_no_curve_twice(watched: Run, lee: Any) -> None:
    page = _as(lee).get(reverse("pipelines:run", args=[watched.pk])).content.decode()
    assert f'data-alignment="{live(watched)}"' in page
    assert "winner_drift loser_drift" in page
    assert "alignment.js" in page
    assert "Not there yet" in page
    assert "<script>" not in page and "style=" not in page  # noqa: PT018


def test_a_run_that_watches_nothing_still_shows_its_training(mia: Any, lee: Any) -> None:
    run = Run.objects.create(
        kind="alignment", config={}, config_sha="x", queue="gpu", created_by=mia
    )
    page = _as(lee).get(reverse("pipelines:run", args=[run.pk])).content.decode()
    assert "data-training-charts" in page
    assert "data-quality-charts" not in page


def test_quality_is_the_change_against_the_base_with_an_interval_over_prompts(
    watched: Run,
) -> None:
    write_look(watched, 0, 0.5)
    write_look(watched, 20, 0.75, motion=8.0)
    panel = panel_of(watched)
    reward, judge = panel["quality"]
    assert (reward["kind"], judge["kind"]) == ("training", "independent")
    base, now = reward["points"]["VQ"]
    assert (base["step"], base["change"], base["low"], base["high"]) == (0, 0.0, 0.0, 0.0)
    assert now["step"] == 20
    assert now["change"] == pytest.approx(0.25)
    assert now["mean"] == pytest.approx(0.85)
    assert now["low"] <= 0.25 <= now["high"]
    assert reward["points"]["overall"][1]["change"] == pytest.approx(0.25)
    assert judge["points"]["VQ"][1]["change"] == pytest.approx(-0.25)
    motion, diversity = panel["measures"]
    assert motion["points"][1]["change"] == pytest.approx(-2.0)
    assert diversity["points"][1]["change"] == pytest.approx(-0.25)


def test_clips_stand_beside_the_base_by_their_place(watched: Run) -> None:
    write_look(watched, 0, 0.0)
    write_look(watched, 20, 1.0)
    first, second = panel_of(watched)["looks"]
    assert [c["prompt"] for c in first["clips"]] == [c["prompt"] for c in second["clips"]]
    assert [c["seed"] for c in second["clips"]] == [7, 8] * 3
    assert second["clips"][2]["url"].startswith(address(watched, 20, 2))
    assert second["clips"][0]["scores"] == {"reward": 1.0, "judge": -1.0}


def test_a_look_that_is_being_written_is_left_out(watched: Run) -> None:
    write_look(watched, 0, 0.0)
    torn = folder_of(watched) / "outputs" / "watched" / "look-00000020.json"
    torn.write_text('{"schema": "look/1", "step": 20, "cl')
    assert [look.step for look in looks_of(watched)] == [0]
    assert len(panel_of(watched)["looks"]) == 1


def test_alarms_come_with_step_advice_and_whether_they_ended_the_run(
    watched: Run, lee: Any
) -> None:
    row = {"name": "hacking", "step": 30, "good": 20, "sentence": "it rises", "advice": "Stop.",
           "stopped": True}  # fmt: skip
    folder_of(watched).mkdir(parents=True)
    write_json(folder_of(watched) / "alarms.json", "alarms/1", {"alarms": [row]})
    (alarm,) = _as(lee).get(live(watched)).json()["panel"]["alarms"]
    assert alarm == {**row, "title": "Reward hacking"}


def test_nothing_is_sent_again_until_there_is_something_new(watched: Run, lee: Any) -> None:
    client = _as(lee)
    write_look(watched, 0, 0.0)
    first = client.get(live(watched)).json()
    assert first["panel"]["looks"]
    again = client.get(live(watched), {"mark": first["mark"]}).json()
    assert again == {"mark": first["mark"], "ended": False}
    write_look(watched, 20, 0.0)
    news = client.get(live(watched), {"mark": first["mark"]}).json()
    assert [look["step"] for look in news["panel"]["looks"]] == [0, 20]


# Judges that come later.


def test_a_truth_run_on_the_watched_clips_becomes_a_curve(watched: Run, mia: Any) -> None:
    write_look(watched, 0, 0.0)
    write_look(watched, 20, 1.0)
    left = _left_clips(watched)
    truth = Run.objects.create(
        kind="truth", config={}, config_sha="x", queue="default", created_by=mia
    )
    truth.inputs.create(role="generations", artifact=left)
    rows = GenerationRecord.read(folder_of(watched) / "outputs" / "watched" / "generations.jsonl")
    true = {row.video.id: 3.0 if "step 20" in row.video.generator else 1.0 for row in rows}
    scores = [
        ScoreRecord(row.video.id, row.prompt_id, row.prompt, score={"VQ": true[row.video.id]})
        for row in rows
    ]
    scores[0] = ScoreRecord(rows[0].video.id, rows[0].prompt_id, rows[0].prompt, error="torn")
    folder_of(truth).mkdir(parents=True)
    ScoreRecord.write(folder_of(truth) / "scores.jsonl", scores)
    Artifact.objects.create(
        run=truth, kind=OutputKind.SCORES, path=f"{truth.pk}/scores.jsonl", sha256="z",
        meta={"judge": "truth"},
    )  # fmt: skip
    unread = [each for each in panel_of(watched)["quality"] if each["kind"] == "truth"]
    # One clip of the base could not be read: without the base there is nothing to compare with.
    assert unread[0]["points"]["overall"] == []
    scores[0] = ScoreRecord(rows[0].video.id, rows[0].prompt_id, rows[0].prompt, score={"VQ": 1.0})
    ScoreRecord.write(folder_of(truth) / "scores.jsonl", scores)
    (found,) = [each for each in panel_of(watched)["quality"] if each["kind"] == "truth"]
    assert found["title"] == "True quality"
    assert found["points"]["VQ"][1] == {
        "step": 20, "mean": 3.0, "change": 2.0, "low": 2.0, "high": 2.0,
    }  # fmt: skip


def test_an_alignment_that_still_trains_can_be_measured_once_it_has_ended(mia: Any) -> None:
    run = Run.objects.create(
        kind="alignment", config={}, config_sha="x", queue="gpu", created_by=mia
    )
    truth = start_run("truth", {}, {"generations": run}, user=mia)
    row = truth.inputs.get()
    assert (row.producer_id, row.producer_kind) == (run.pk, OutputKind.GENERATIONS)


# Before it is queued.


def _pairs(folder: Path, run: Run, prompts: list[str], split: str = "train") -> Artifact:
    video = VideoRef("v", "v.mp4", "ab" * 32, 8.0, 9)
    rows = [
        PairRecord(str(n), f"p{n}", text, split, video, video, 1.0, 0.8, 0.2, "rewards")
        for n, text in enumerate(prompts)
    ]
    path = folder_of(run) / "pairs.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    PairRecord.write(path, rows)
    return Artifact.objects.create(
        run=run, kind=OutputKind.PAIRS, path=f"{run.pk}/pairs.jsonl", sha256=sha256_of(path)
    )


def test_training_prompts_are_refused_as_watched_ones_before_the_run_is_queued(
    watched: Run, tmp_path: Path
) -> None:
    pairs = _pairs(tmp_path, watched, ["a red circle", "two blue bars"])
    held_out = [PromptRecord("a", "a green triangle"), PromptRecord("b", "a grey bar")]
    refuse_unfit({}, {"pairs": pairs, "watch_prompts": held_out})
    with pytest.raises(InvalidRunConfig, match="'two blue bars' is one of the training prompts"):
        refuse_unfit(
            {}, {"pairs": pairs, "watch_prompts": [*held_out, PromptRecord("c", "two blue bars")]}
        )


def test_one_prompt_is_too_few_to_be_watched() -> None:
    with pytest.raises(InvalidRunConfig, match="two held-out prompts at least, got 1"):
        refuse_unfit({}, {"watch_prompts": [PromptRecord("a", "a green triangle")]})


def test_the_reward_model_itself_is_refused_as_its_judge(watched: Run) -> None:
    model = Artifact.objects.create(run=watched, kind=OutputKind.REWARD_MODEL, path="x", sha256="z")
    with pytest.raises(InvalidRunConfig, match="the judge is the reward model itself"):
        refuse_unfit({}, {"judge": model, "reward_model": Artifact.objects.get(pk=model.pk)})


def test_a_judge_without_prompts_to_watch_is_refused() -> None:
    with pytest.raises(InvalidRunConfig, match="the judge judges clips of watch_prompts"):
        refuse_unfit({}, {"judge": object()})


def test_the_page_says_which_step_an_alarm_has_kept(watched: Run) -> None:
    assert panel_of(watched)["kept"] is None
    watched.summary = {"stopped_by": "motion", "steps": 20}
    assert panel_of(watched)["kept"] == 20


def test_the_start_form_offers_validation_prompts_to_be_watched() -> None:
    form = StartRunForm(kinds.get("alignment"))
    assert form.fields["prompts_split"].initial == "validation"
    assert form.fields["watch_prompts"].label == "Watch prompts"
    assert StartRunForm(kinds.get("generation")).fields["prompts_split"].initial == ""


def test_an_alignment_takes_prompts_and_judges_to_watch() -> None:
    spec = kinds.get("alignment")
    assert spec.role("watch_prompts").given  # type: ignore[union-attr]
    for name in ("watch_prompts", "reward_model", "judge", "reward_backbone", "judge_backbone"):
        role = spec.role(name)
        assert role is not None
        assert not role.required
    assert spec.leaves == (OutputKind.ADAPTER, OutputKind.GENERATIONS)


def _left_clips(run: Run) -> Artifact:
    output = generation_set(folder_of(run) / "outputs" / "watched", "Flow-DPO (run 1)")
    assert output is not None
    return Artifact.objects.create(
        run=run, kind=output.kind, path=f"{run.pk}/{output.path}", sha256=output.sha256
    )


def _fields(record: WatchedClip) -> dict[str, Any]:
    return {name: getattr(record, name) for name in WatchedClip.__dataclass_fields__}
