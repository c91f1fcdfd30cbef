"""The worlds as rendering and measuring need them: what can be asked for, drawn and seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from demo import recipes, truth, world
from demo.anime import recipes as anime
from demo.anime import truth as anime_truth
from demo.anime import world as anime_world
from formats.errors import FormatError

Rng = np.random.Generator
FIRST: Final = "first"
ANIME: Final = "anime"


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt: its text, and the seed of its start image where the world has such images."""

    text: str
    start: int | None = None


@dataclass(frozen=True, slots=True)
class WorldKind:
    """`captions`: how many different texts there are. `recipe` gives a clip that a generator of a
    profile makes for a prompt, `image` its start image, uint8 [64, 64, 3]; `measure` the true
    quality of frames for a text and a start image."""

    captions: int
    generators: Mapping[str, Any]
    draw: Callable[[int, Rng], list[Asked]]
    of_texts: Callable[[Sequence[str], Rng], list[Asked]]
    recipe: Callable[[Rng, Asked, Any], Any]
    render: Callable[[Any], NDArray[np.uint8]]
    dimensions: tuple[str, ...]
    measure: Callable[[NDArray[np.uint8], str, NDArray[np.uint8] | None], dict[str, float]]
    image: Callable[[Asked], NDArray[np.uint8]] | None = None


def _anime_image(asked: Asked) -> NDArray[np.uint8]:
    assert asked.start is not None  # prompts of this world have one
    return anime_world.start_image(anime.parse(asked.text), asked.start)


def _anime_recipe(rng: Rng, asked: Asked, profile: anime.AnimeProfile) -> anime.AnimeRecipe:
    assert asked.start is not None
    return anime.random_recipe(rng, anime.parse(asked.text), asked.start, profile)


def _anime_truth(
    frames: NDArray[np.uint8], text: str, start: NDArray[np.uint8] | None
) -> dict[str, float]:
    if start is None:
        raise FormatError(
            f"the prompt {text[:60]!r} has no start image, so nothing can be measured"
        )
    return anime_truth.measure(frames, text, start)


WORLDS: Final = {
    FIRST: WorldKind(
        captions=recipes.CAPTIONS,
        generators=world.GENERATORS,
        draw=lambda count, rng: [Asked(text) for text in world.random_prompts(count, rng)],
        of_texts=lambda texts, _rng: [Asked(text) for text in texts],
        recipe=lambda rng, asked, profile: recipes.random_recipe(
            rng, recipes.parse(asked.text), profile
        ),
        render=world.render,
        dimensions=recipes.DIMENSIONS,
        measure=lambda frames, text, _start: truth.measure(frames, text),
    ),
    ANIME: WorldKind(
        captions=anime.CAPTIONS,
        generators=anime_world.GENERATORS,
        draw=lambda count, rng: [Asked(*each) for each in anime_world.random_prompts(count, rng)],
        of_texts=lambda texts, rng: [
            Asked(text, int(rng.integers(anime_world.STARTS))) for text in texts
        ],
        recipe=_anime_recipe,
        render=anime_world.render,
        dimensions=anime.DIMENSIONS,
        measure=_anime_truth,
        image=_anime_image,
    ),
}
