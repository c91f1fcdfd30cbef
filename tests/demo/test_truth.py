"""The measured truth follows the known one, also on what only a generator can make."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from demo.clip_files import read_clip, write_clip
from demo.dct_vae import round_trip
from demo.drawing import render
from demo.recipes import (
    DIMENSIONS,
    EXAMPLE,
    MOTION,
    SPAN,
    VISUAL,
    Defects,
    Profile,
    Recipe,
    caption,
    random_facts,
    random_recipe,
)
from demo.seeing import look
from demo.truth import measure
from demo.world import GENERATORS
from formats.errors import FormatError

PROMPT = caption(EXAMPLE)


def unseen(count: int, seed: int) -> list[Recipe]:
    """Half of them of the demo's generators, half of uniform quality. Constants saw seed 7."""
    rng = np.random.default_rng(seed)
    profiles = [*GENERATORS.values(), *[Profile("uniform")] * len(GENERATORS)]
    return [
        random_recipe(rng, random_facts(rng), profiles[index % len(profiles)])
        for index in range(count)
    ]


def through_file(clip: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    write_clip(path, clip, 8)
    return read_clip(path)


@pytest.mark.parametrize("from_file", [False, True])
def test_it_follows_the_known_quality_through_the_generators_autoencoder(
    from_file: bool, tmp_path: Path
) -> None:
    recipes = unseen(300, seed=2024)
    clips = round_trip(np.stack([render(recipe) for recipe in recipes]))
    if from_file:
        clips = np.stack([through_file(clip, tmp_path / "clip.mp4") for clip in clips])
    found = [
        measure(clip, caption(recipe.asked)) for clip, recipe in zip(clips, recipes, strict=True)
    ]
    known = [recipe.quality() for recipe in recipes]
    for key in DIMENSIONS:
        rho = spearmanr([row[key] for row in found], [row[key] for row in known]).statistic
        assert rho >= 0.9, f"{key}: {rho:.3f}"


@pytest.mark.parametrize("kind", [*VISUAL, *MOTION])
def test_more_of_a_defect_is_measured_as_worse(kind: str) -> None:
    own, other = ("VQ", "MQ") if kind in VISUAL else ("MQ", "VQ")
    found = [
        measure(round_trip(render(Recipe(EXAMPLE, EXAMPLE, Defects(**{kind: level})))), PROMPT)
        for level in (0.0, 0.4, 0.8)
    ]
    values = [row[own] / SPAN[own] for row in found]
    assert values[0] > 0.85
    assert values[0] - values[1] > 0.2
    assert values[1] - values[2] > 0.2
    # Strong stains pull the centre of the figure about, which looks a little like shaking.
    assert all(row[other] > 0.7 * SPAN[other] for row in found)
    assert all(row["TA"] == SPAN["TA"] for row in found)


def test_all_facts_of_renders_are_seen() -> None:
    recipes = unseen(60, seed=9)
    clips = round_trip(np.stack([render(recipe) for recipe in recipes]))
    right = [look(clip).facts == r.shown for clip, r in zip(clips, recipes, strict=True)]
    assert np.mean(right) >= 0.95


def test_a_clip_in_which_nothing_is_drawn_is_the_worst() -> None:
    nothing = dict.fromkeys(DIMENSIONS, 0.0)
    assert measure(np.full((9, 64, 64, 3), 90, np.uint8), PROMPT) == nothing
    noise = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    assert measure(noise, PROMPT) == nothing


def test_a_still_figure_moves_badly_and_shows_no_direction() -> None:
    still = np.repeat(render(Recipe(EXAMPLE, EXAMPLE))[:1], 9, axis=0)
    found = measure(still, PROMPT)
    assert found["MQ"] < 0.1 * SPAN["MQ"]
    assert found["TA"] < SPAN["TA"]
    assert found["VQ"] > 0.9 * SPAN["VQ"]


def test_a_perfect_clip_has_the_top_marks() -> None:
    assert measure(render(Recipe(EXAMPLE, EXAMPLE)), PROMPT) == pytest.approx(SPAN, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_every_picture_gets_bounded_numbers(seed: int) -> None:
    found = measure(strange(np.random.default_rng(seed)), PROMPT)
    assert all(0 <= found[key] <= SPAN[key] for key in DIMENSIONS)


def strange(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Smooth coloured clouds that move: what a half-trained generator makes."""
    coarse = rng.uniform(0, 255, (3, 4, 4, 3))
    clip = coarse.repeat(3, 0).repeat(16, 1).repeat(16, 2)
    return round_trip(clip.astype(np.uint8))


def test_wrong_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="expected uint8 frames of shape"):
        measure(np.zeros((8, 56, 56, 3), np.uint8), PROMPT)
    with pytest.raises(FormatError, match="not a prompt of the demo world"):
        measure(np.zeros((9, 64, 64, 3), np.uint8), "a cat plays the piano")
