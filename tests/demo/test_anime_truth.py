"""The measured truth of the anime world follows the known one on all six dimensions, and says what
is wrong with what only a generator can make. `python -m bench.truth` has the count in full."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from demo.anime.drawing import render, start_image
from demo.anime.recipes import (
    DIMENSIONS,
    EXAMPLE,
    KINDS,
    SPAN,
    AnimeDefects,
    AnimeProfile,
    AnimeRecipe,
    caption,
    random_facts,
    random_recipe,
)
from demo.anime.scenery import scenery
from demo.anime.truth import measure
from demo.anime.world import GENERATORS
from demo.clip_files import read_clip, write_clip
from demo.dct_vae import round_trip
from formats.errors import FormatError

pytestmark = pytest.mark.one_engine

PROMPT = caption(EXAMPLE)
START = start_image(EXAMPLE, 3)
PERFECT = AnimeRecipe(EXAMPLE, EXAMPLE, start=3)
NOTHING = dict.fromkeys(DIMENSIONS, 0.0)

Frames = NDArray[np.uint8]


def unseen(count: int, seed: int) -> list[AnimeRecipe]:
    """Half of them of the world's generators, half of uniform quality. Constants saw seed 7."""
    rng = np.random.default_rng(seed)
    profiles = [*GENERATORS.values(), *[AnimeProfile("uniform")] * len(GENERATORS)]
    return [
        random_recipe(rng, random_facts(rng), int(rng.integers(2**20)), profiles[n % len(profiles)])
        for n in range(count)
    ]


def shares(frames: Frames, start: Frames = START, prompt: str = PROMPT) -> dict[str, float]:
    """The measured truth as a share of a perfect clip's."""
    return {key: value / SPAN[key] for key, value in measure(frames, prompt, start).items()}


def test_it_follows_the_known_quality_through_autoencoder_and_file(tmp_path: Path) -> None:
    found, known = [], []
    for recipe in unseen(56, seed=2024):
        write_clip(tmp_path / "clip.mp4", round_trip(render(recipe)), 8)
        start = start_image(recipe.asked, recipe.start)
        found.append(measure(read_clip(tmp_path / "clip.mp4"), caption(recipe.asked), start))
        known.append(recipe.quality())
    for key in DIMENSIONS:
        rho = spearmanr([row[key] for row in found], [row[key] for row in known]).statistic
        assert rho >= 0.9, f"{key}: {rho:.3f}"


@pytest.mark.parametrize(
    ("own", "kind"), [(own, kind) for own, kinds in KINDS.items() for kind in kinds]
)
def test_more_of_a_defect_is_measured_as_worse_on_its_own_dimension(own: str, kind: str) -> None:
    levels = [
        shares(round_trip(render(replace(PERFECT, defects=AnimeDefects(**{kind: level}), seed=8))))
        for level in (0.4, 0.8)
    ]
    assert levels[0][own] == pytest.approx(0.6, abs=0.2)
    assert levels[1][own] == pytest.approx(0.2, abs=0.2)
    assert levels[0][own] - levels[1][own] > 0.2
    for each in levels:
        assert all(each[other] > 0.75 for other in KINDS if other != own)
        assert each["text"] == 1


@pytest.mark.parametrize("seen", [lambda frames: frames, round_trip])
def test_a_perfect_clip_has_nearly_the_top_marks(seen: Any) -> None:
    found = shares(seen(render(PERFECT)))
    assert found["text"] == 1
    assert min(found.values()) > 0.85


@pytest.mark.parametrize(
    ("wrong", "reward"),
    [(("emote",), 2.5), (("action",), 1.25), (("action", "emote"), 0.0)],
)
def test_wrong_facts_cost_the_text_alone(wrong: tuple[str, ...], reward: float) -> None:
    other = {"action": "jumps", "emote": "star"}
    shown = replace(EXAMPLE, **{name: other[name] for name in wrong})
    found = measure(round_trip(render(replace(PERFECT, shown=shown))), PROMPT, START)
    assert found["text"] == reward
    assert all(found[key] > 0.8 * SPAN[key] for key in KINDS)


def test_a_still_is_smooth_and_faithful_but_nothing_happens() -> None:
    found = shares(np.repeat(START[None], 9, axis=0))
    assert found["motion"] == found["text"] == 0
    assert min(found[key] for key in ("smoothness", "appeal", "image", "character")) > 0.9


def empty() -> Frames:
    return np.repeat(scenery("meadow").astype(np.uint8)[None], 9, axis=0)


def test_a_clip_in_which_nobody_is_drawn_is_the_worst() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    for clip in (empty(), noise, np.full((9, 64, 64, 3), 90, np.uint8)):
        assert measure(clip, PROMPT, START) == NOTHING


def test_half_a_figure_and_a_smear_are_badly_drawn() -> None:
    good = render(PERFECT)
    half = good.copy()
    half[:, 45:] = empty()[:, 45:]
    smear = np.repeat(good.astype(float).mean(0, keepdims=True), 9, axis=0).astype(np.uint8)
    for clip in (half, smear):
        found = shares(clip)
        assert found["appeal"] < 0.3
        assert found["character"] < 0.6
        assert found["motion"] < 0.6


def test_a_clip_of_somebody_else_somewhere_else_is_not_that_of_the_image() -> None:
    facts = replace(EXAMPLE, character="Kuro", scene="town")
    found = shares(round_trip(render(AnimeRecipe(facts, facts, start=3))))
    assert found["image"] < 0.1
    assert found["character"] < 0.1
    assert found["text"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_every_picture_gets_bounded_numbers(seed: int) -> None:
    coarse = np.random.default_rng(seed).uniform(0, 255, (3, 4, 4, 3))
    clouds = round_trip(coarse.repeat(3, 0).repeat(16, 1).repeat(16, 2).astype(np.uint8))
    found = measure(clouds, PROMPT, START)
    assert all(0 <= found[key] <= SPAN[key] for key in DIMENSIONS)


def test_wrong_input_is_refused_in_a_sentence() -> None:
    clip = render(PERFECT)
    with pytest.raises(ValueError, match="expected uint8 frames of shape"):
        measure(clip[:8], PROMPT, START)
    with pytest.raises(ValueError, match="expected a start image, uint8 of shape"):
        measure(clip, PROMPT, START[:32])
    with pytest.raises(FormatError, match="not a prompt of the anime world"):
        measure(clip, "a red bar moving up on a sky background", START)
    with pytest.raises(FormatError, match="shows nobody of the anime world"):
        measure(clip, PROMPT, np.full((64, 64, 3), 90, np.uint8))
