"""Several reward models as one: each dimension by whoever judges it best, as AnimeReward has it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.dimensions import ANIME, VIDEOALIGN, DimensionSet
from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode, Outcome, OutputKind
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import write_snapshot
from formats.supervised import supervise
from models_rm.config import CompositionConfig
from models_rm.errors import CompositionError
from models_rm.examination.run import evaluate
from models_rm.reward_models.composing import ComposedCard, compose, compose_folder
from models_rm.scores.run import score
from models_rm.scoring import RewardModel
from tests.models_rm.ready_models import ready_model

Media = tuple[Path, list[VideoRef]]
Folders = dict[str, Path]


def only(*keys: str) -> DimensionSet:
    return VIDEOALIGN.only(keys)


@pytest.fixture(scope="session")
def members(
    tmp_path_factory: pytest.TempPathFactory, backbone_folder: Callable[[str], Path]
) -> Folders:
    """Two families, two kinds of head, two frame rules; the second needs its backbone beside it."""
    folder = tmp_path_factory.mktemp("members")
    looks = ready_model(
        folder / "looks", backbone_folder("qwen2_vl"), only("VQ", "MQ"), seed=1, loss="btt"
    )
    text = ready_model(
        folder / "text", backbone_folder("qwen3_vl"), only("TA"), seed=2, embed=False,
        loss="regression", fps=4.0, min_pixels=64 * 64, max_pixels=64 * 64,
    )  # fmt: skip
    return {"looks": looks, "text": text}


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory, members: Folders) -> Path:
    target = tmp_path_factory.mktemp("composed") / "model"
    compose_folder(target, members, CompositionConfig(title="Looks and text"))
    return target


def run_of(
    tmp_path: Path, members: Folders, name: str = "composition", **config: Any
) -> tuple[RunDir, Outcome]:
    run = RunDir(tmp_path / name)
    inputs = {
        f"reward_model:{each}": Input(str(folder), sha256_of(folder / "manifest.json"))
        for each, folder in members.items()
    }
    run.prepare(config, inputs)
    supervise(compose, run)
    outcome = run.outcome()
    assert outcome is not None
    return run, outcome


def test_every_dimension_has_the_score_of_its_member(
    composed: Path, members: Folders, media: Media
) -> None:
    folder, clips = media
    paths, prompts = [folder / clip.path for clip in clips[:3]], ["a", "b", "c"]
    together = RewardModel.load(composed)
    assert together.dimensions == ("VQ", "MQ", "TA")
    alone = {name: RewardModel.load(path) for name, path in members.items()}
    for raw in (True, False):
        scores = together.score(prompts, paths, raw=raw)
        for model in alone.values():
            for key, values in model.score(prompts, paths, raw=raw).items():
                assert scores[key] == pytest.approx(values, abs=1e-5)
    assert together.theta == {"VQ": 5.0, "MQ": 5.0, "TA": 5.0}
    assert together.calibration.mean == {"VQ": 0.25, "MQ": 0.25, "TA": 0.5}


def test_members_look_at_a_clip_by_their_own_frame_rules(composed: Path, media: Media) -> None:
    folder, clips = media
    model = RewardModel.load(composed)
    first, second = model.read(folder / clips[0].path).clips
    assert first.frames.shape[-1] != second.frames.shape[-1]
    assert first.fps > second.fps
    with pytest.raises(ValueError, match="composed of looks, text; ask its members"):
        _ = model.network


def test_the_run_leaves_a_reward_model_that_names_its_members(
    tmp_path: Path, members: Folders
) -> None:
    run, outcome = run_of(tmp_path, members, title="Looks and text")
    assert outcome.exit_code == 0, outcome.message
    assert outcome.message == "2 reward models judge VQ, MQ, TA together"
    assert outcome.outputs[0].kind is OutputKind.REWARD_MODEL
    assert outcome.summary["members"]["text"]["dimensions"] == ["TA"]
    card = ComposedCard.read(run.outputs / "reward_model")
    assert card.dimensions.title == "Looks and text"
    assert card.weights == {"VQ": 1.0, "MQ": 1.0, "TA": 1.0}
    text = (run.outputs / "reward_model" / "README.md").read_text()
    assert "equal weights" in text
    assert "| text | TA | `regression` |" in text


def test_a_composed_model_scores_a_set_and_is_compared_with_people(
    tmp_path: Path, composed: Path, media: Media, records: list[PreferenceRecord]
) -> None:
    judge = Input(str(composed), sha256_of(composed / "manifest.json"))
    folder, clips = media
    rows = [GenerationRecord("p", "a circle", "test", clip) for clip in clips[:2]]
    sha256 = GenerationRecord.write(folder / "for-composed.jsonl", rows)
    run = RunDir(tmp_path / "scoring")
    generations = Input(str(folder / "for-composed.jsonl"), sha256)
    run.prepare({}, {"reward_model": judge, "generations": generations})
    assert supervise(score, run) == 0
    assert set(ScoreRecord.read(run.outputs / "scores.jsonl")[0].score) == {"VQ", "MQ", "TA"}
    run = RunDir(tmp_path / "evaluation")
    sha256 = write_snapshot(tmp_path / "snapshot", VIDEOALIGN, records, {})
    run.prepare(
        {"split": "train", "bootstrap": 5},
        {"reward_model": judge, "snapshot": Input(str(tmp_path / "snapshot"), sha256)},
        media_root=folder,
    )
    assert supervise(evaluate, run) == 0, run.outcome()


def test_a_chosen_dimension_comes_from_the_member_that_is_named(
    tmp_path: Path, members: Folders, backbone_folder: Callable[[str], Path]
) -> None:
    all_three = ready_model(tmp_path / "all", backbone_folder(), VIDEOALIGN, seed=3)
    both = {"all": all_three, "text": members["text"]}
    _, outcome = run_of(tmp_path, both, "refused")
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert outcome.message == (
        "TA is judged by all and by text; say in `dimensions` which of them gives it"
    )
    run, outcome = run_of(tmp_path, both, "chosen", dimensions={"all": ["VQ"]})
    assert outcome.exit_code == 0, outcome.message
    model = RewardModel.load(run.outputs / "reward_model")
    assert model.dimensions == ("VQ", "TA")
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    alone = RewardModel.load(all_three).score(["x"], [frames])
    assert model.score(["x"], [frames])["VQ"] == pytest.approx(alone["VQ"], abs=1e-5)


@pytest.mark.parametrize(
    ("names", "config", "sentence"),
    [
        (["looks"], {}, "two reward models at least are composed, got 1"),
        (["looks", "text"], {"dimensions": {"txet": ["TA"]}}, "there is no member 'txet'"),
        (["looks", "text"], {"dimensions": {"text": ["VQ"]}}, "member text judges TA, not VQ"),
        (["looks", "text"], {"dimensions": {"text": []}}, "must be a list of keys"),
        (["looks", "text"], {"dimensions": 3}, "dimensions must be an object"),
        (["looks", "text"], {"nmae": "x"}, "unknown key 'nmae'; did you mean 'name'"),
    ],
)
def test_what_cannot_be_composed_is_named(
    tmp_path: Path, members: Folders, names: list[str], config: Any, sentence: str
) -> None:
    _, outcome = run_of(tmp_path, {name: members[name] for name in names}, **config)
    assert outcome.exit_code in (ExitCode.BAD_DATA, ExitCode.BAD_CONFIG)
    assert sentence in outcome.message
    assert not (tmp_path / "composition/outputs/reward_model").exists()


def test_a_composed_model_is_no_member(tmp_path: Path, composed: Path, members: Folders) -> None:
    with pytest.raises(CompositionError, match="is itself composed; give its members instead"):
        compose_folder(tmp_path / "m", {"a": composed, "b": members["text"]}, CompositionConfig())


@pytest.mark.parametrize("name", ["../up", "", "a b", "a" * 65])
def test_a_members_name_is_no_path(tmp_path: Path, members: Folders, name: str) -> None:
    with pytest.raises(CompositionError, match="a member's name is letters"):
        compose_folder(
            tmp_path / "m", {name: members["looks"], "b": members["text"]}, CompositionConfig()
        )


def reseal(folder: Path) -> None:
    manifest = read_json(folder / "manifest.json", "manifest/1")
    for name, row in manifest["files"].items():
        row["sha256"] = sha256_of(folder / name)
    write_json(folder / "manifest.json", "manifest/1", manifest)


def test_a_member_that_was_exchanged_is_refused(tmp_path: Path, composed: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(composed, copy)
    weights = copy / "members/looks/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(Exception, match=r"weights\.safetensors: the file is damaged"):
        RewardModel.load(copy)
    reseal(copy / "members/looks")
    reseal(copy)
    with pytest.raises(CompositionError, match="the member has changed: expected sha256"):
        RewardModel.load(copy)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"members": None}, "not the card of a composed model"),
        ({"weights": {"VQ": "many"}}, "not the card of a composed model"),
        ({"dimensions": {}}, "not a dimension set"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    tmp_path: Path, composed: Path, change: dict[str, Any], sentence: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(composed, copy)
    card = json.loads((copy / "model.json").read_text()) | change
    (copy / "model.json").write_text(json.dumps(card))
    reseal(copy)
    with pytest.raises(Exception, match=sentence):
        RewardModel.load(copy)


def test_a_backbone_that_has_moved_is_found_for_the_member_that_wants_it(
    tmp_path: Path, composed: Path, members: Folders, media: Media
) -> None:
    folder, clips = media
    clip = folder / clips[0].path
    expected = RewardModel.load(composed).score(["x"], [clip])
    source = json.loads((members["text"] / "model.json").read_text())["backbone"]["source"]
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    assert RewardModel.load(composed, backbone={"text": moved}).score(["x"], [clip]) == expected
    with pytest.raises(Exception, match="backbone '/gone' is not there"):
        RewardModel.load(composed, backbone={"text": "/gone"})


def test_the_six_dimensions_of_anime_are_six_members(
    tmp_path: Path, backbone_folder: Callable[[str], Path], media: Media
) -> None:
    losses = ("regression", "bt", "regression", "btt", "btt", "bt")
    folders = {
        key: ready_model(
            tmp_path / key, backbone_folder(), ANIME.only([key]), seed=number, loss=loss
        )
        for number, (key, loss) in enumerate(zip(ANIME.keys, losses, strict=True))
    }
    compose_folder(tmp_path / "six", folders, CompositionConfig(name="anime"))
    model = RewardModel.load(tmp_path / "six")
    assert model.dimensions == ANIME.keys
    scores = model.score(["a girl runs"], [media[0] / media[1][0].path])
    assert all(np.isfinite(scores[key]).all() for key in ANIME.keys)


def test_only_a_member_that_says_how_sure_it_is_has_a_deviation(
    tmp_path: Path, members: Folders, media: Media, backbone_folder: Callable[[str], Path]
) -> None:
    sure = ready_model(tmp_path / "sure", backbone_folder(), only("VQ"), seed=4, uncertainty=True)
    compose_folder(tmp_path / "m", {"sure": sure, "text": members["text"]}, CompositionConfig())
    folder, clips = media
    file = folder / "for-deviations.jsonl"
    sha256 = GenerationRecord.write(file, [GenerationRecord("p", "x", "test", clips[0])])
    run = RunDir(tmp_path / "scoring")
    judge = Input(str(tmp_path / "m"), sha256_of(tmp_path / "m/manifest.json"))
    run.prepare({}, {"reward_model": judge, "generations": Input(str(file), sha256)})
    assert supervise(score, run) == 0
    (row,) = ScoreRecord.read(run.outputs / "scores.jsonl")
    assert set(row.std) == {"VQ"}
    assert row.std["VQ"] > 0
    assert set(row.score) == {"VQ", "TA"}
