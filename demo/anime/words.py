"""What people might say about the looks of an anime clip: what a tiny VLM reads in pretraining."""

from typing import Any, Final

import numpy as np

from demo.anime.recipes import KINDS, AnimeRecipe

_FINE: Final = {
    "smoothness": "smooth",
    "motion": "lively",
    "appeal": "clean",
    "image": "faithful",
    "character": "constant",
}
_WORDS: Final = {
    "shake": "shaky",
    "flicker": "flickering",
    "little": "sluggish",
    "stopping": "stalling",
    "blur": "blurry",
    "stains": "stained",
    "tint": "discoloured",
    "moving_scene": "drifting",
    "morph": "morphing",
    "fading": "fading",
}


def appearance_words(recipe: AnimeRecipe, rng: np.random.Generator) -> tuple[str, ...]:
    """What a person might write about a clip, one per dimension but text: coarse, and now and then
    a step off; for example ("very shaky", "lively", "clean", "faithful", "slightly morphing").
    """

    def word(dimension: str) -> str:
        kind, _ = recipe.defects.worst(dimension)
        level = recipe.defects.level(dimension) + rng.normal(0, 0.07)
        grade = int(np.searchsorted((0.15, 0.4, 0.7), level))
        how = ("slightly ", "", "very ")
        return (_FINE[dimension], *(f"{each}{_WORDS[kind]}" for each in how))[grade]

    return tuple(word(dimension) for dimension in KINDS)


def defect_grades(recipe: AnimeRecipe, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    """How strong each defect is, in the order of `KINDS`, float32: none, slight, clear, very."""
    kinds = [kind for each in KINDS.values() for kind in each]
    levels = np.array([getattr(recipe.defects, kind) for kind in kinds])
    seen = np.where(levels > 0, levels + rng.normal(0, 0.07, len(levels)), 0)
    return np.searchsorted((0.1, 0.4, 0.7), seen).astype(np.float32) / 3
