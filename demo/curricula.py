"""What a tiny vision-language base is taught, for each world: clips, their words, what is asked.

The questions come in the order of the rating text that reward models read later: dimensions that do
not see the prompt, then whether the text fits, then those that do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from demo import recipes, world
from demo.anime import recipes as anime
from demo.anime import world as anime_world
from demo.anime.words import appearance_words, defect_grades
from models_rm.clips.start_images import StartImage, with_start
from models_rm.clips.video import Clip, FrameRule, clip_of_array

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that is asked about a clip. `kinds`: the defects that the answer is about; none
    where the question is whether a text fits, which then stands before it."""

    title: str
    kinds: tuple[str, ...] = ()

    @property
    def of_fit(self) -> bool:
        return not self.kinds


@dataclass(frozen=True, slots=True)
class Curriculum:
    """A world as lessons need it.

    `words` gives one word per question with kinds, `grades` the strength of each defect in thirds
    of 1, in the order of the questions. `mismatched` gives a caption that does not fit. `start`:
    the start image of a clip [64, 64, 3], if the base is to see it before the clip.
    """

    clips: Callable[..., Iterator[Any]]
    questions: tuple[Question, ...]
    caption: Callable[..., str]
    described: Callable[[Any, tuple[str, ...]], str]  # a caption with words on the looks in front
    words: Callable[[Any, Rng], tuple[str, ...]]
    grades: Callable[[Any, Rng], NDArray[np.float32]]
    mismatched: Callable[[Any, Rng], str]
    random_recipe: Callable[[Rng], Any]
    start: Callable[[Any], NDArray[np.uint8]] | None = None

    @property
    def defects(self) -> tuple[str, ...]:
        return tuple(kind for each in self.questions for kind in each.kinds)

    def rule(self, side_factor: int, temporal_patch: int) -> FrameRule:
        """What the tiny base sees of a clip: 8 frames of about 56 x 56 pixels, perhaps behind the
        start image."""
        side = 56 // side_factor * side_factor
        front = temporal_patch if self.start is not None else 0
        fps, area = float(world.FPS), side * side
        return FrameRule(fps, 4, 768, area, area, side_factor, start_frames=front)

    def seen(self, clip: Any, rule: FrameRule) -> torch.Tensor:  # uint8 [T, 3, h, w]
        found: Clip = clip_of_array(clip.frames, rule, fps=rule.fps)
        start = None if self.start is None else StartImage(self.start(clip))
        return with_start(found, start, rule).frames


def _first_mismatched(facts: recipes.Facts, rng: Rng) -> str:
    """Most are wrong in one fact."""
    return world.mismatched(facts, rng, 1 if rng.random() < 0.75 else 2)[0]


def _first_recipe(rng: Rng) -> recipes.Recipe:
    profile = recipes.Profile("training", wrong=(1.0, 0.0, 0.0))
    return recipes.random_recipe(rng, recipes.random_facts(rng), profile)


def _anime_recipe(rng: Rng) -> anime.AnimeRecipe:
    profile = anime.AnimeProfile("training", wrong=(1.0, 0.0, 0.0, 0.0))
    return anime.random_recipe(rng, anime.random_facts(rng), 0, profile)


CURRICULA: Final = {
    "vlm": Curriculum(
        clips=world.training_clips,
        questions=(
            Question("Visual quality", recipes.VISUAL),
            Question("Motion quality", recipes.MOTION),
            Question("Text alignment"),
        ),
        caption=recipes.caption,
        described=lambda facts, words: recipes.caption(facts, *words),
        words=recipes.appearance_words,
        grades=recipes.defect_grades,
        mismatched=_first_mismatched,
        random_recipe=_first_recipe,
    ),
    "anime_vlm": Curriculum(
        clips=anime_world.training_clips,
        questions=(
            Question("Visual smoothness", anime.KINDS["smoothness"]),
            Question("Visual motion", anime.KINDS["motion"]),
            Question("Visual appeal", anime.KINDS["appeal"]),
            Question("Text-video consistency"),
            Question("Image-video consistency", anime.KINDS["image"]),
            Question("Character consistency", anime.KINDS["character"]),
        ),
        caption=anime.caption,
        described=anime.caption,
        words=appearance_words,
        grades=defect_grades,
        mismatched=lambda facts, rng: anime_world.mismatched(facts, rng)[0],
        random_recipe=_anime_recipe,
        start=lambda clip: clip.start,
    ),
}
