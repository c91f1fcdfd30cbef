"""What the paper prints: VideoAlign, arXiv 2501.13918, the table of reward models (in percent).

On VideoGen-RewardBench with 26,457 pairs, and on the video part of GenAI-Bench with 1,891, where
VideoReward is used by its TA score alone, at 2 frames per second and 256 x 256 pixels. A figure
that the paper does not print is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models_rm.benchmarks.pairs import GENAI, REWARDBENCH, VOTE

SOURCE: Final = "arXiv 2501.13918"
PAIRS: Final = {REWARDBENCH: 26_457, GENAI: 1_891}


@dataclass(frozen=True, slots=True)
class Published:
    """One model: per column (accuracy with ties, accuracy without ties), as shares."""

    model: str
    figures: dict[str, tuple[float | None, float | None]]


def _of(model: str, **percent: tuple[float | None, float | None]) -> Published:
    return Published(
        model,
        {
            column: tuple(None if each is None else each / 100 for each in pair)  # type: ignore[misc]
            for column, pair in percent.items()
        },
    )


_REWARDBENCH: Final = (
    _of("Random", Overall=(41.86, 50.30)),
    # Its figures with ties are exactly those of "everything is a tie".
    _of(
        "VideoScore",
        VQ=(47.41, None),
        MQ=(59.05, None),
        TA=(37.24, None),
        Overall=(41.80, 50.22),
    ),
    _of("LiFT", Overall=(39.08, 57.26)),
    _of(
        "VisionReward",
        VQ=(47.43, 59.03),
        MQ=(59.03, 60.98),
        TA=(46.56, 61.15),
        Overall=(56.77, 67.59),
    ),
    _of(
        "VideoReward",
        VQ=(59.68, 75.66),
        MQ=(66.03, 74.70),
        TA=(53.80, 72.20),
        Overall=(61.26, 73.59),
    ),
)
_GENAI: Final = (
    _of("Random", vote=(33.67, 49.84)),
    _of("VideoScore", vote=(49.03, 71.69)),
    _of("LiFT", vote=(37.06, 58.39)),
    _of("VisionReward", vote=(51.56, 72.41)),
    _of("VideoReward", vote=(49.41, 72.89)),
)
PUBLISHED: Final = {REWARDBENCH: _REWARDBENCH, GENAI: _GENAI}


def published_figures(
    figures: Mapping[str, tuple[float | None, float | None]], column: Mapping[str, str]
) -> tuple[float | None, float | None] | None:
    """(with ties, without ties) of a column of our table. Where one vote stands for a clip, what is
    published is that of TA, as the paper has it; other dimensions have nothing beside them."""
    if column["label"] == VOTE and column["dimension"] != "TA":
        return None
    return figures.get(column["label"])
