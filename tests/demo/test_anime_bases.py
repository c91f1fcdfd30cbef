"""Tiny bases of the anime world: what they see of start images, what they leave, what is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demo.anime import recipes as anime
from demo.anime.world import training_clips
from demo.curricula import CURRICULA
from demo.lessons import FAMILY, IGNORE, ClipPool, Lessons
from demo.pretrain_generator import PretrainGeneratorConfig
from demo.pretrain_generator import pretrain as pretrain_generator
from demo.pretrain_vlm import demo_tokenizer
from demo.pretrain_vlm import pretrain as pretrain_vlm
from formats.dimensions import ANIME
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, supervise
from models_align.generators.tiny_wan import gaussian_velocity
from models_align.generators.wan import load_wan
from models_rm.networks.prompts import RatingTemplate

pytestmark = pytest.mark.one_engine

CURRICULUM = CURRICULA["anime_vlm"]


@pytest.fixture(scope="module")
def clips() -> list[Any]:
    return list(training_clips(6, 5, described=True))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return demo_tokenizer("anime_vlm")


@pytest.fixture(scope="module")
def lessons(tokenizer: Any, clips: list[Any]) -> Lessons:
    return Lessons(tokenizer, ClipPool.drawn(clips, len(clips), CURRICULUM), CURRICULUM)


def test_around_a_start_image_nothing_is_left_to_learn_of_a_still_clip() -> None:
    torch.manual_seed(0)
    start = torch.randn(2, 4, 1, 2, 2)
    still, noise = start.expand(-1, -1, 3, -1, -1), torch.randn(2, 4, 3, 2, 2)
    t = torch.tensor([1.0, 1.0])
    assert torch.allclose(gaussian_velocity(noise, t, start), noise - still)
    # In between it is the best guess for numbers of variance 1 around the image.
    t = torch.tensor([0.5, 0.5])
    x_t = 0.5 * still + 0.5 * noise
    assert torch.allclose(gaussian_velocity(x_t, t, start), -still.clone(), atol=1e-6)
    assert torch.equal(gaussian_velocity(x_t, t, 0 * start), gaussian_velocity(x_t, t) - 0 * start)


def test_the_generator_is_one_of_image_to_video(tmp_path: Path) -> None:
    config = {
        "base": "anime_generator", "steps": 2, "clips_per_step": 2, "pool": 4, "heads": 1,
        "layers": 1, "ffn": 32, "warmup_steps": 1, "log_every": 1,
    }  # fmt: skip
    run = RunDir(tmp_path / "run")
    run.prepare(config, {})
    assert supervise(pretrain_generator, run) == 0
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.outputs[0].meta["name"] == "tiny-wan-i2v"
    generator = load_wan(run.outputs / "base")
    assert generator.needs_image
    # x_t, the mask of the four frames of a latent frame, the latents of the start image
    assert generator.transformer.config.in_channels == 32 + 4 + 32
    images = torch.stack([torch.full((64, 64, 3), level, dtype=torch.uint8) for level in (0, 255)])
    condition = generator.encode_start(images, 9)
    text = generator.encode_prompts(["Aki waves", "Aki waves"])
    x = torch.zeros(2, *generator.latent_shape(9, 64, 64))
    found = generator.velocity(x, torch.tensor([0.7, 0.7]), text, condition)
    assert not torch.allclose(found[0], found[1])


def test_another_base_is_refused_by_name() -> None:
    with pytest.raises(BadConfigError, match="one of generator, anime_generator, got 'manga'"):
        PretrainGeneratorConfig.from_json({"base": "manga"})


def test_the_start_image_stands_before_the_clip(clips: list[Any], lessons: Lessons) -> None:
    rule = CURRICULUM.rule(FAMILY.side_factor, FAMILY.temporal_patch)
    seen = CURRICULUM.seen(clips[0], rule)
    assert seen.shape == (2 + 8, 3, 56, 56)
    assert torch.equal(seen[0], seen[1])
    close = np.abs(seen[0].numpy().mean((1, 2)) - clips[0].start.mean((0, 1))).max()
    assert close < 2  # resized, not another picture
    first = CURRICULA["vlm"].rule(FAMILY.side_factor, FAMILY.temporal_patch)
    assert first.start_frames == 0
    lesson = lessons.lesson(np.random.default_rng(0), 2)
    assert lesson.grid.tolist() == [[5, 4, 4], [5, 4, 4]]


def test_questions_come_in_the_order_of_the_rating_text(tokenizer: Any, lessons: Lessons) -> None:
    titles = [each.title for each in CURRICULUM.questions]
    assert titles == [each.title for each in ANIME.dimensions]
    ids, _ = lessons._questions((), lessons._pool.recipes[0], np.random.default_rng(0))
    asked = tokenizer.decode(ids)
    rating = RatingTemplate.of(ANIME, "brief").text("")
    for text in (asked, rating):
        places = [text.index(title) for title in titles]
        assert places == sorted(places)
    fit = next(each for each in CURRICULUM.questions if each.of_fit)
    # As in the rating text, the prompt stands right before the first question that sees it.
    before = asked[: asked.index(fit.title)].rstrip("\n").rpartition("\n")[2]
    assert anime.parse(before)


def test_every_defect_is_graded_where_its_dimension_is_asked_for(
    tokenizer: Any, lessons: Lessons
) -> None:
    lesson = lessons.lesson(np.random.default_rng(0), 3)
    assert lesson.grades.shape == (3, len(CURRICULUM.defects))
    wanted = [each.title for each in CURRICULUM.questions if not each.of_fit]
    assert len(wanted) == 5
    for ids, places in zip(lesson.input_ids[3:], lesson.asks.T, strict=True):
        for title, place in zip(wanted, places, strict=True):
            assert tokenizer.decode(ids[: place + 1]).endswith(f"\n{title}:")
    said = tokenizer.decode(lesson.targets[3][lesson.targets[3] != IGNORE])
    assert said.count(" yes") + said.count(" no") == 1


def test_the_eyes_come_to_an_end_and_are_examined(tmp_path: Path) -> None:
    config = {
        "base": "anime_vlm", "steps": 2, "clips_per_step": 2, "pool": 4, "through_vae": 0.5,
        "log_every": 1, "exam_clips": 4, "threads": 1,
    }  # fmt: skip
    run = RunDir(tmp_path / "run")
    run.prepare(config, {})
    assert supervise(pretrain_vlm, run) == 0
    outcome = run.outcome()
    assert outcome is not None
    assert {"exam_caption", "exam_defects", "exam_matching_right"} <= set(outcome.summary)
