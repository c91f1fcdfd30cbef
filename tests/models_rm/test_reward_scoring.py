"""The public door and the commands `score` and `evaluate`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.dimensions import ANIME_GROUPS
from formats.files import read_json, sha256_of, write_json
from formats.labels import Label
from formats.outcome import ExitCode, Outcome, OutputKind
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import write_snapshot
from formats.supervised import supervise
from models_rm.errors import CheckpointMismatchError, ClipUnreadableError
from models_rm.examination.run import evaluate
from models_rm.reward_models.checkpoints import SCHEMA
from models_rm.scores.run import score
from models_rm.scoring import RewardModel
from models_rm.training.run import train

Media = tuple[Path, list[VideoRef]]


@pytest.fixture
def model_folder(make_run: Callable[..., RunDir]) -> Path:
    run = make_run("trained", embed_backbone=True)
    assert supervise(train, run) == 0
    return run.outputs / "reward_model"


@pytest.fixture
def scoring_run(tmp_path: Path, model_folder: Path, media: Media) -> Callable[..., RunDir]:
    def make(records: list[GenerationRecord], **config: Any) -> RunDir:
        folder, _ = media
        generations = folder / "generations.jsonl"
        sha256 = GenerationRecord.write(generations, records)
        run = RunDir(tmp_path / "scoring")
        inputs = {
            "reward_model": Input(str(model_folder), sha256_of(model_folder / "manifest.json")),
            "generations": Input(str(generations), sha256),
        }
        run.prepare(config, inputs)
        return run

    return make


def ended(body: Callable[..., Outcome], run: RunDir) -> Outcome:
    supervise(body, run)
    outcome = run.outcome()
    assert outcome is not None
    return outcome


def generation(clip: VideoRef, prompt: str = "prompt 0") -> GenerationRecord:
    return GenerationRecord(f"id of {prompt}", prompt, "test", clip)


def reseal(folder: Path) -> None:
    """Write the manifest anew, as somebody would who meant the change."""
    manifest = read_json(folder / "manifest.json", "manifest/1")
    for name, row in manifest["files"].items():
        row["sha256"] = sha256_of(folder / name)
    write_json(folder / "manifest.json", "manifest/1", manifest)


def test_scores_are_calibrated_rewards(model_folder: Path, media: Media) -> None:
    folder, clips = media
    model = RewardModel.load(model_folder)
    paths, prompts = [folder / clip.path for clip in clips[:3]], ["a", "b", "c"]
    raw, scores = model.score(prompts, paths, raw=True), model.score(prompts, paths)
    calibration = model.card.calibration
    for key in ("VQ", "MQ", "TA"):
        expected = (np.array(raw[key]) - calibration.mean[key]) / calibration.std[key]
        assert scores[key] == pytest.approx(expected.tolist())
        assert len(set(scores[key])) == 3


def test_batches_do_not_change_scores(model_folder: Path, media: Media) -> None:
    folder, clips = media
    model = RewardModel.load(model_folder)
    paths, prompts = [folder / clip.path for clip in clips], ["x"] * len(clips)
    one, all_at_once = model.score(prompts, paths, batch_size=1), model.score(prompts, paths)
    assert one["VQ"] == pytest.approx(all_at_once["VQ"], abs=1e-4)


def test_frames_score_like_the_file_they_come_from(model_folder: Path) -> None:
    model = RewardModel.load(model_folder)
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    assert model.score(["x", "x"], [frames, frames.copy()])["TA"][0] == pytest.approx(
        model.score(["x"], [frames])["TA"][0], abs=1e-5
    )


def test_nothing_scores_to_nothing_and_lengths_must_agree(model_folder: Path) -> None:
    model = RewardModel.load(model_folder)
    assert model.score([], []) == {"VQ": [], "MQ": [], "TA": []}
    with pytest.raises(ValueError, match="one length, got 1 and 0"):
        model.score(["x"], [])
    with pytest.raises(ClipUnreadableError, match="the clip is missing"):
        model.score(["x"], ["/no/such/clip.mp4"])


def test_the_command_scores_each_clip_and_prompt_once(
    scoring_run: Callable[..., RunDir], media: Media
) -> None:
    _, clips = media
    wanted = [generation(clips[0]), generation(clips[1]), generation(clips[0], "prompt 1")]
    run = scoring_run([*wanted, wanted[0]])
    outcome = ended(score, run)
    assert outcome.outputs[0].kind is OutputKind.SCORES
    rows = ScoreRecord.read(run.outputs / "scores.jsonl")
    assert [(row.video_id, row.prompt) for row in rows] == [
        (each.video.id, each.prompt) for each in wanted
    ]
    assert outcome.summary["scored"] == 3
    assert all(set(row.score) == set(row.raw) == {"VQ", "MQ", "TA"} for row in rows)


def test_an_unreadable_clip_is_a_record_and_not_the_end(
    scoring_run: Callable[..., RunDir], media: Media
) -> None:
    folder, clips = media
    (folder / "broken.mp4").write_bytes(b"nothing")
    broken = VideoRef("broken", "broken.mp4", "", 8.0, 9)
    gone = VideoRef("gone", "gone.mp4", "", 8.0, 9)
    run = scoring_run([generation(each) for each in (broken, clips[0], gone)])
    outcome = ended(score, run)
    assert (outcome.summary["scored"], outcome.summary["unreadable"]) == (1, 2)
    first, second, third = ScoreRecord.read(run.outputs / "scores.jsonl")
    assert "cannot be read" in first.error
    assert (first.score, second.error) == ({}, "")
    assert third.error == "the clip is missing"


def test_no_readable_clip_at_all_is_an_error(scoring_run: Callable[..., RunDir]) -> None:
    outcome = ended(score, scoring_run([generation(VideoRef("g", "gone.mp4", "", 8.0, 9))]))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "none of the 1 clips can be read" in outcome.message


def test_the_program_scores_as_a_process_of_its_own(
    scoring_run: Callable[..., RunDir], media: Media
) -> None:
    run = scoring_run([generation(media[1][0])])
    command = [sys.executable, "-I", "-m", "models_rm", "score", str(run.root)]
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert run.outcome().summary["scored"] == 1


def test_evaluate_compares_with_people(
    tmp_path: Path, model_folder: Path, media: Media, records: list[PreferenceRecord]
) -> None:
    outcome = ended(evaluate, evaluation_run(tmp_path, model_folder, media, records))
    assert outcome.outputs[0].kind is OutputKind.REWARD_EVALUATION
    figures = read_json(tmp_path / "evaluation/outputs/evaluation.json", "reward_evaluation/2")
    assert (figures["split"], figures["pairs"]) == ("train", 8)
    assert figures["evaluation"]["train"]["VQ"]["threshold_fitted"] is not None
    assert figures["evaluation"]["train"]["VQ"]["details"]["histogram"]["decided"]
    assert "details" not in outcome.summary["dimensions"]["VQ"]
    asked = {each["name"]: each["status"] for each in figures["probes"]}
    assert asked["same_clip_twice"] == asked["swapped_sides"] == "passed"


def test_evaluate_compares_two_models_on_the_same_pairs(
    tmp_path: Path, model_folder: Path, media: Media, records: list[PreferenceRecord]
) -> None:
    run = evaluation_run(tmp_path, model_folder, media, records, other=model_folder)
    outcome = ended(evaluate, run)
    assert outcome.summary["comparison"]["other"] == sha256_of(model_folder / "manifest.json")
    rows = outcome.summary["comparison"]["dimensions"]
    assert set(rows) == {"VQ", "MQ", "TA"}
    for row in rows.values():
        assert row["first"] == row["second"]
        assert (row["difference"], row["low"], row["high"], row["p_value"]) == (0, 0, 0, 1)


def test_a_snapshot_of_other_dimensions_is_refused(
    tmp_path: Path, model_folder: Path, media: Media, records: list[PreferenceRecord]
) -> None:
    other = [
        PreferenceRecord(
            row.pair_id, row.prompt, "train", row.video_a, row.video_b, {"appearance": Label.A}
        )
        for row in records
    ]
    run = evaluation_run(tmp_path, model_folder, media, other, ANIME_GROUPS)
    outcome = ended(evaluate, run)
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert outcome.message == (
        "the reward model judges VQ, MQ, TA; the snapshot has appearance, consistency"
    )


def evaluation_run(
    tmp_path: Path,
    model_folder: Path,
    media: Media,
    records: list,
    dimensions: Any = None,
    other: Path | None = None,
) -> RunDir:
    from formats.dimensions import VIDEOALIGN

    snapshot = tmp_path / "snapshot"
    sha256 = write_snapshot(snapshot, dimensions or VIDEOALIGN, records, {})
    run = RunDir(tmp_path / "evaluation")
    inputs = {
        "reward_model": Input(str(model_folder), sha256_of(model_folder / "manifest.json")),
        "snapshot": Input(str(snapshot), sha256),
    }
    if other is not None:
        inputs["other"] = Input(str(other), sha256_of(other / "manifest.json"))
    run.prepare({"split": "train", "bootstrap": 10}, inputs, media_root=media[0])
    return run


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "model.json", "tokenizer/tokenizer.json", "README.md"]
)
def test_a_damaged_file_is_named_and_never_loaded(model_folder: Path, name: str) -> None:
    path = model_folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Exception, match=f"{name}: the file is damaged"):
        RewardModel.load(model_folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"manifest\.json: the file is missing"):
        RewardModel.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "the card has an unknown key 'surprise'"),
        ({"template_sha256": "0" * 64}, "the rating text of this version differs"),
        ({"theta": None}, "not the card of a reward model"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    model_folder: Path, change: dict[str, Any], message: str
) -> None:
    card = json.loads((model_folder / "model.json").read_text()) | change
    (model_folder / "model.json").write_text(json.dumps(card))
    reseal(model_folder)
    with pytest.raises(Exception, match=message):
        RewardModel.load(model_folder)


def test_weights_of_another_shape_are_refused(model_folder: Path) -> None:
    card = read_json(model_folder / "model.json", SCHEMA)
    card["config"]["shared_head"] = True
    write_json(model_folder / "model.json", SCHEMA, card)
    reseal(model_folder)
    with pytest.raises(CheckpointMismatchError, match="heads has shape"):
        RewardModel.load(model_folder)


def test_an_adapter_finds_its_backbone_again_and_no_other(
    make_run: Callable[..., RunDir], tmp_path: Path, media: Media
) -> None:
    run = make_run(language="lora", vision="frozen", lora_r=2, lora_alpha=2)
    assert supervise(train, run) == 0
    folder = run.outputs / "reward_model"
    assert (folder / "weights.safetensors").stat().st_size < 60_000
    clip = media[0] / media[1][0].path
    scores = RewardModel.load(folder).score(["x"], [clip])
    moved = tmp_path / "moved"
    shutil.copytree(run.input("backbone"), moved)
    assert RewardModel.load(folder, backbone=moved).score(["x"], [clip]) == scores
    with pytest.raises(Exception, match="backbone '/gone' is not there"):
        RewardModel.load(folder, backbone="/gone")
