"""The procedural world: prompts, generators with profiles, and clips whose quality is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from demo.drawing import FPS, FRAMES, SIDE, Frames, render
from demo.recipes import (
    Facts,
    Profile,
    Recipe,
    appearance_words,
    caption,
    parse,
    random_facts,
    random_recipe,
    with_wrong_facts,
)

__all__ = [
    "FPS",
    "FRAMES",
    "GENERATORS",
    "SIDE",
    "Clip",
    "Facts",
    "Frames",
    "Profile",
    "Recipe",
    "appearance_words",
    "caption",
    "mismatched",
    "parse",
    "random_facts",
    "random_prompt",
    "random_prompts",
    "random_recipe",
    "render",
    "training_clips",
]

# Mean levels of defects, and the chances of 0, 1 and 2 wrong facts.
GENERATORS: Final = {
    each.name: each
    for each in (
        Profile("aurora", 0.36, 0.40, (0.55, 0.30, 0.15)),
        Profile("breeze", 0.46, 0.38, (0.42, 0.35, 0.23)),
        Profile("cinder", 0.54, 0.58, (0.42, 0.35, 0.23)),
        Profile("drift", 0.64, 0.64, (0.30, 0.38, 0.32)),
    )
}


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered clip, the caption of what it *shows*, and the recipe."""

    frames: Frames  # uint8 [9, 64, 64, 3]
    caption: str
    recipe: Recipe


def random_prompt(rng: np.random.Generator) -> str:
    return caption(random_facts(rng))


def random_prompts(count: int, rng: np.random.Generator) -> list[str]:
    """`count` different prompts; the world has 288."""
    prompts: dict[str, None] = {}
    while len(prompts) < count:
        prompts[random_prompt(rng)] = None
    return list(prompts)


def training_clips(
    count: int,
    seed: int,
    *,
    described: bool = False,
    through_vae: bool = False,
    exclude: frozenset[str] = frozenset(),
) -> Iterator[Clip]:
    """Captioned clips of mixed quality, as a base model sees them in its pretraining.

    The caption names what is shown; with `described` also how it looks and moves, in coarse words.
    `through_vae` sends the pixels through the demo's video autoencoder, so that they have the look
    of generated ones. No caption in `exclude` (the held-out prompts) is ever shown.
    """
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        facts = random_facts(rng)
        if caption(facts) in exclude:
            continue
        recipe = random_recipe(rng, facts, Profile("training", wrong=(1.0, 0.0, 0.0)))
        look, motion = appearance_words(recipe, rng) if described else ("", "")
        yield Clip(_frames(recipe, through_vae), caption(facts, look, motion), recipe)
        made += 1


def _frames(recipe: Recipe, through_vae: bool) -> Frames:  # noqa: FBT001
    frames = render(recipe)
    if not through_vae:
        return frames
    from demo.dct_vae import round_trip  # torch is loaded only where it is asked for

    return round_trip(frames)


def mismatched(
    facts: Facts, rng: np.random.Generator, wrong: int = 1
) -> tuple[str, tuple[str, ...]]:
    """A caption that does not fit these facts, and the names of the facts in which it is wrong."""
    other = with_wrong_facts(facts, wrong, rng)
    return caption(other), facts.differing(other)
