"""Reward models that look at the start image: in training and scoring it precedes the clip."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from formats.dimensions import VIDEOALIGN
from formats.files import sha256_of
from formats.outcome import ExitCode
from formats.records import GenerationRecord, ImageRef, PreferenceRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, supervise
from models_rm.clips.frame_cache import FrameCache
from models_rm.clips.start_images import StartImage, fitted, with_start
from models_rm.clips.video import Clip, FrameRule, clip_of_array, read_clip
from models_rm.errors import ClipUnreadableError
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.checkpoints import (
    CheckpointMismatchError,
    load_folder,
    refuse_other_start,
)
from models_rm.scores import clip_tool
from models_rm.scores.run import score
from models_rm.scoring import RewardModel
from models_rm.training.run import train
from tests.models_rm.ready_models import ready_model

pytestmark = pytest.mark.one_engine

RULE = FrameRule(8.0, 4, 768, 56 * 56, 56 * 56, 28, start_frames=2)
GREY = np.full((9, 64, 64, 3), 90, dtype=np.uint8)


def picture(path: Path, level: int, size: tuple[int, int] = (64, 64)) -> ImageRef:
    Image.new("RGB", size, (level, level, level)).save(path)
    return ImageRef(path.name, sha256_of(path))


@pytest.fixture
def images(media: tuple[Path, list[VideoRef]]) -> tuple[ImageRef, ImageRef]:
    """A dark and a bright one, beside the clips."""
    return picture(media[0] / "dark.png", 10), picture(media[0] / "bright.png", 240)


@pytest.fixture(scope="session")
def seeing_folder(
    tmp_path_factory: pytest.TempPathFactory, backbone_folder: Callable[[str], Path]
) -> Path:
    folder = tmp_path_factory.mktemp("seeing") / "m"
    return ready_model(folder, backbone_folder("qwen2_vl"), VIDEOALIGN, start_image="prepend")


def test_the_image_fills_a_temporal_patch_in_front_of_the_frames() -> None:
    plain = clip_of_array(GREY, replace(RULE, start_frames=0), fps=8.0)
    seen = with_start(plain, StartImage(np.zeros((64, 64, 3), np.uint8)), RULE)
    assert seen.frames.shape == (len(plain.frames) + 2, 3, 56, 56)
    assert seen.fps == plain.fps
    assert int(seen.frames[:2].max()) == 0
    assert bool((seen.frames[2:] == plain.frames).all())


def test_a_wide_image_is_cut_around_its_middle_and_not_stretched() -> None:
    wide = np.zeros((30, 90, 3), dtype=np.uint8)
    wide[:, 30:60] = 200
    assert int(fitted(wide, 56, 56).min()) == 200
    assert fitted(wide, 28, 84).shape == (3, 28, 84)
    with pytest.raises(ClipUnreadableError, match=r"must be uint8 \[H, W, 3\], got float64 \[4, 4"):
        fitted(np.zeros((4, 4, 3)), 56, 56)


def test_the_cache_tells_images_apart_and_keeps_what_it_joined(
    tmp_path: Path, media: tuple[Path, list[VideoRef]], images: tuple[ImageRef, ImageRef]
) -> None:
    folder, clips = media
    cache = FrameCache(tmp_path / "frames", 64)
    path, sha256 = folder / clips[0].path, clips[0].sha256
    starts = [StartImage.of(each, folder) for each in images]
    dark, bright = (cache.read(path, sha256, RULE, each) for each in starts)
    assert (cache.hits, cache.misses) == (0, 2)
    assert not bool((dark.frames == bright.frames).all())
    again = cache.read(path, sha256, RULE, starts[0])
    assert cache.hits == 1
    assert bool((again.frames == dark.frames).all())
    assert bool((again.frames == with_start(read_clip(path, RULE), starts[0], RULE).frames).all())


@pytest.mark.parametrize(
    ("harm", "said"),
    [("gone", "the start image is missing"), ("text", "the start image cannot be read"),
     ("other", "not the start image that the records name")],
)  # fmt: skip
def test_an_image_that_is_not_what_it_should_be_is_named(
    tmp_path: Path, harm: str, said: str
) -> None:
    ref = picture(tmp_path / "a.png", 50)
    if harm == "gone":
        (tmp_path / "a.png").unlink()
    elif harm == "text":
        (tmp_path / "a.png").write_text("no picture")
    else:
        picture(tmp_path / "a.png", 51)
    with pytest.raises(ClipUnreadableError, match=said):
        StartImage(tmp_path / ref.path, ref.sha256).pixels()


def test_rewards_depend_on_the_image_where_the_model_looks_at_it(
    seeing_folder: Path, ready_folder: Path
) -> None:
    black, white = (np.full((64, 64, 3), level, dtype=np.uint8) for level in (0, 255))
    model, clips = RewardModel.load(seeing_folder), [GREY, GREY]
    assert model.sees_start_image
    found = model.score(["x", "x"], clips, images=[black, white], raw=True)
    assert found["VQ"][0] != found["VQ"][1]
    blind = RewardModel.load(ready_folder)
    same = blind.score(["x", "x"], clips, images=[black, white], raw=True)
    assert same["VQ"][0] == same["VQ"][1]
    with pytest.raises(BadConfigError, match="this clip comes without one"):
        model.score(["x"], [GREY])
    with pytest.raises(ValueError, match="one image per video, got 1 and 2"):
        model.score(["x", "x"], clips, images=[black])


def test_the_fingerprint_covers_the_image(seeing_folder: Path, ready_folder: Path) -> None:
    (seeing, _, card), (_, _, blind) = load_folder(seeing_folder), load_folder(ready_folder)
    assert card.fingerprint["patches"] != blind.fingerprint["patches"]
    assert card.fingerprint["tokens"] != blind.fingerprint["tokens"]
    assert seeing.family.temporal_patch == card.frame_rule.start_frames


def test_single_clips_are_scored_with_an_image_that_is_named(
    seeing_folder: Path,
    media: tuple[Path, list[VideoRef]],
    images: tuple[ImageRef, ImageRef],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, clips = media
    words = [str(seeing_folder), str(folder / clips[0].path), "--prompt", "x", "--json", "--raw"]
    found = []
    for image in images:
        assert clip_tool.main([*words, "--image", str(folder / image.path)]) == ExitCode.DONE
        found.append(json.loads(capsys.readouterr().out)[0]["scores"])
    assert found[0] != found[1]


def test_a_scoring_run_shows_the_images_of_the_clips(
    tmp_path: Path,
    seeing_folder: Path,
    media: tuple[Path, list[VideoRef]],
    images: tuple[ImageRef, ImageRef],
) -> None:
    folder, clips = media

    def run(name: str, image: ImageRef | None) -> RunDir:
        records = [GenerationRecord("p", "x", "test", clips[0], image=image)]
        made = RunDir(tmp_path / name)
        GenerationRecord.write(folder / f"{name}.jsonl", records)
        inputs = {
            "reward_model": Input(str(seeing_folder)),
            "generations": Input(str(folder / f"{name}.jsonl")),
        }
        made.prepare({"threads": 1}, inputs, media_root=folder)
        return made

    found = []
    for name, image in zip(("dark", "bright"), images, strict=True):
        made = run(name, image)
        assert supervise(score, made) == ExitCode.DONE
        found.append(ScoreRecord.read(made.outputs / "scores.jsonl")[0].raw)
    assert found[0]["VQ"] != found[1]["VQ"]
    without = run("none", None)
    assert supervise(score, without) == ExitCode.BAD_CONFIG
    outcome = without.outcome()
    assert outcome is not None
    assert "this clip comes without one" in outcome.message


def test_a_training_learns_from_pairs_with_images_and_says_so(
    make_run: Callable[..., RunDir],
    records: list[PreferenceRecord],
    images: tuple[ImageRef, ImageRef],
) -> None:
    rows = [replace(each, image=images[n % 2]) for n, each in enumerate(records)]
    run = make_run(rows=rows, start_image="prepend", probe_pairs=4, steps=2)
    assert supervise(train, run) == ExitCode.DONE
    folder = run.outputs / "reward_model"
    _, _, card = load_folder(folder)
    assert (card.frame_rule.start_frames, card.config.start_image) == (2, "prepend")
    assert "start image" in (folder / "README.md").read_text()
    crooked = replace(card, frame_rule=replace(card.frame_rule, start_frames=0))
    with pytest.raises(CheckpointMismatchError, match="0 times before the frames, the config says"):
        refuse_other_start(crooked, folder)


def test_pairs_without_an_image_are_counted_before_anything_is_learned(
    make_run: Callable[..., RunDir],
    records: list[PreferenceRecord],
    images: tuple[ImageRef, ImageRef],
) -> None:
    rows = [replace(each, image=images[0] if n else None) for n, each in enumerate(records)]
    run = make_run(rows=rows, start_image="prepend")
    supervise(train, run)
    outcome = run.outcome()
    assert outcome is not None
    assert "1 of 12 pairs have none, the first of them 'p000'" in outcome.message


def test_a_guideline_says_that_an_image_comes_first() -> None:
    text = RatingTemplate.of(VIDEOALIGN, "guideline", start_image=True).text("x")
    assert text.startswith("You see an image, and then a video clip that was to start from it.")
    assert RatingTemplate.of(VIDEOALIGN, "guideline").text("x").startswith("You see one video clip")


def test_frames_without_a_wish_for_images_stay_as_they_are() -> None:
    rule = replace(RULE, start_frames=0)
    plain: Clip = clip_of_array(GREY, rule, fps=8.0)
    assert with_start(plain, None, rule) is plain
