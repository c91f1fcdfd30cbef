"""The true quality of a clip, measured from its pixels: analytic, never trained.

A clip that a generator made has no recipe. This says what its quality is, on the scale of
`Recipe.quality`. It is used to report whether alignment worked and by the simulated annotators, and
never for pairs, training or early stopping.
"""

from typing import Final

import numpy as np

from demo.drawing import FRAMES, SIDE, Frames
from demo.recipes import SPAN, TA_STEP, parse
from demo.seeing import Sight, look

FAINT: Final = 25.0  # levels between figure and background, below which nothing is drawn
# Renders of this world stay below 0.15 unless stains drown them.
ODD_SHAPE: Final = 0.15
NO_SHAPE: Final = 0.6
STILL: Final = 2.0  # pixels of travel, below which no direction is shown


def measure(frames: Frames, caption: str) -> dict[str, float]:
    """Reward per dimension of a clip [9, 64, 64, 3] for a prompt of this world; 0 is the worst.

    ValueError for a clip of another size; FormatError for a prompt of another world.
    """
    if frames.shape != (FRAMES, SIDE, SIDE, 3) or frames.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 frames of shape {(FRAMES, SIDE, SIDE, 3)}, "
            f"got {frames.dtype} of shape {frames.shape}"
        )
    asked = parse(caption)
    sight = look(frames)
    if sight.contrast < FAINT or sight.misfit > NO_SHAPE:
        return dict.fromkeys(SPAN, 0.0)
    wrong = set(asked.differing(sight.facts))
    if sight.travel < STILL:
        wrong.add("direction")
    return {
        "VQ": SPAN["VQ"] * (1 - _visual_level(sight)),
        "MQ": SPAN["MQ"] * (1 - _motion_level(sight)),
        "TA": max(0.0, SPAN["TA"] - TA_STEP * len(wrong)),
    }


def _visual_level(sight: Sight) -> float:
    # A figure that is none of this world's is a defect that no render has but a generator may.
    odd = max(0.0, sight.misfit - ODD_SHAPE) / (NO_SHAPE - ODD_SHAPE)
    return min(1.0, sight.detail_lost + sight.noise + sight.washed + odd)


def _motion_level(sight: Sight) -> float:
    return min(1.0, sight.jitter + sight.flicker + sight.freezing + sight.ghosting)
