"""The true quality of an anime clip, measured from its pixels: analytic, never trained.

A clip that a generator made has no recipe. This says what its quality is, on the scale of
`AnimeRecipe.quality`. It is used to report whether alignment worked and by the simulated
annotators, and never for pairs, training or early stopping.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.drawing import FRAMES, SIDE, Frames
from demo.anime.moving import LOST_MOVEMENT
from demo.anime.recipes import DIMENSIONS, KINDS, SPAN, parse, text_reward
from demo.anime.seeing import Sight, look

NOBODY: Final = 0.3  # presence of an outline, below which nobody is drawn; renders stay above 0.6
ODD: Final = 0.12  # misfit that renders of this world have
NO_FIGURE: Final = 0.6  # misfit of what is nobody of the cast
CHANGED: Final = 16.0  # levels of unexplained change of the background that renders may have
NO_SCENE: Final = 60.0  # levels where nothing of the background is left
NO_SYMBOL: Final = 0.4  # share of a symbol that is too little to be seen
NO_MOVEMENT: Final = 0.06  # share of an action's way that is too little to be seen


def measure(frames: Frames, caption: str, start_image: NDArray[np.uint8]) -> dict[str, float]:
    """Reward per dimension of a clip [9, 64, 64, 3] for a prompt and its start image [64, 64, 3].

    0 is the worst. ValueError for another size; FormatError for what is not of the anime world.
    """
    if frames.shape != (FRAMES, SIDE, SIDE, 3) or frames.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 frames of shape {(FRAMES, SIDE, SIDE, 3)}, "
            f"got {frames.dtype} of shape {frames.shape}"
        )
    asked = parse(caption)
    sight = look(frames, start_image)
    if sight.presence < NOBODY or sight.misfit > NO_FIGURE:
        return dict.fromkeys(DIMENSIONS, 0.0)
    wrong = set()
    if sight.action != asked.action or sight.movement < NO_MOVEMENT:
        wrong.add("action")
    if sight.emote != asked.emote or sight.emote_there < NO_SYMBOL:
        wrong.add("emote")
    found = {key: SPAN[key] * (1 - _level(sight, key)) for key in KINDS}
    found["text"] = text_reward(wrong)
    return {key: found[key] for key in DIMENSIONS}


def _level(sight: Sight, dimension: str) -> float:
    if dimension == "motion":
        return min(1.0, max(0.0, 1 - sight.movement) / LOST_MOVEMENT)
    level = sum(getattr(sight, kind) for kind in KINDS[dimension])
    return min(1.0, level + _odd(sight, dimension))


def _odd(sight: Sight, dimension: str) -> float:
    """Defects that no render has but a generator may: a figure that is half there or nobody's, and
    a background that becomes none of this world's."""
    if dimension in ("appeal", "character"):
        return max(0.0, sight.misfit - ODD) / (NO_FIGURE - ODD)
    if dimension == "image":
        return max(0.0, sight.strange - CHANGED) / (NO_SCENE - CHANGED)
    return 0.0
