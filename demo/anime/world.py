"""The anime world: prompts with first frames, generators with profiles, clips of known quality."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.drawing import FPS, FRAMES, SIDE, Frames, render, start_image
from demo.anime.recipes import (
    AnimeFacts,
    AnimeProfile,
    AnimeRecipe,
    caption,
    parse,
    random_facts,
    random_recipe,
    with_wrong_facts,
)
from demo.anime.words import appearance_words

__all__ = [
    "FPS",
    "FRAMES",
    "GENERATORS",
    "SIDE",
    "AnimeClip",
    "AnimeFacts",
    "AnimeProfile",
    "AnimeRecipe",
    "Frames",
    "appearance_words",
    "caption",
    "mismatched",
    "parse",
    "random_facts",
    "random_prompt",
    "random_prompts",
    "random_recipe",
    "render",
    "start_image",
    "training_clips",
]

STARTS: Final = 2**20  # seeds of first frames

# Mean levels of defects, and the chances of nothing, emote, action and both wrong.
GENERATORS: Final = {
    each.name: each
    for each in (
        AnimeProfile("lantern", 0.42, 0.52, 0.36, 0.40, 0.42, (0.52, 0.22, 0.17, 0.09)),
        AnimeProfile("maple", 0.50, 0.40, 0.50, 0.54, 0.40, (0.42, 0.25, 0.20, 0.13)),
        AnimeProfile("ripple", 0.40, 0.58, 0.54, 0.46, 0.56, (0.42, 0.25, 0.20, 0.13)),
        AnimeProfile("sparrow", 0.62, 0.50, 0.60, 0.60, 0.60, (0.30, 0.28, 0.24, 0.18)),
    )
}


@dataclass(frozen=True, slots=True)
class AnimeClip:
    """A rendered clip, the caption of what it *shows*, its first frame as asked, the recipe."""

    frames: Frames  # uint8 [9, 64, 64, 3]
    caption: str
    start: NDArray[np.uint8]  # [64, 64, 3]
    recipe: AnimeRecipe


def random_prompt(rng: np.random.Generator) -> tuple[str, int]:
    """A text, and the seed of its first frame."""
    return caption(random_facts(rng)), int(rng.integers(STARTS))


def random_prompts(count: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """`count` prompts with different texts, each with the seed of its first frame."""
    prompts: dict[str, int] = {}
    while len(prompts) < count:
        text, start = random_prompt(rng)
        prompts.setdefault(text, start)
    return list(prompts.items())


def training_clips(
    count: int,
    seed: int,
    *,
    described: bool = False,
    through_vae: bool = False,
    exclude: frozenset[str] = frozenset(),
) -> Iterator[AnimeClip]:
    """Captioned clips of mixed quality, as a base model sees them in its pretraining.

    The caption names what is shown; with `described` also how it looks and moves, in coarse words.
    `through_vae` sends the pixels through the demo's video autoencoder, so that they have the look
    of generated ones. No caption in `exclude` (the held-out prompts) is ever shown.
    """
    rng = np.random.default_rng(seed)
    profile = AnimeProfile("training", wrong=(1.0, 0.0, 0.0, 0.0))
    made = 0
    while made < count:
        facts, start = random_facts(rng), int(rng.integers(STARTS))
        if caption(facts) in exclude:
            continue
        recipe = random_recipe(rng, facts, start, profile)
        words = appearance_words(recipe, rng) if described else ()
        yield AnimeClip(
            _frames(recipe, through_vae), caption(facts, words), start_image(facts, start), recipe
        )
        made += 1


def _frames(recipe: AnimeRecipe, through_vae: bool) -> Frames:  # noqa: FBT001
    frames = render(recipe)
    if not through_vae:
        return frames
    from demo.dct_vae import round_trip  # torch is loaded only where it is asked for

    return round_trip(frames)


def mismatched(facts: AnimeFacts, rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """A caption that does not fit these facts, and the names of the facts in which it is wrong."""
    names = [("action",), ("emote",), ("action", "emote")][int(rng.integers(3))]
    return caption(with_wrong_facts(facts, names, rng)), names
