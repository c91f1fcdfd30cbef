"""Simulated annotators: they judge by the Bradley-Terry-with-ties chances of the true quality.

Each person has an own noise, tie threshold and side bias; a careless one answers at random in most
cases. They know a left and a right clip and nothing of A and B, like people do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from demo.anime.recipes import SPAN as ANIME_SPAN
from demo.recipes import SPAN as FIRST_SPAN
from formats.supervised import BadConfigError

SIDES: Final = ("left", "tie", "right")
THETA: Final = 3.0  # of a person with tie = 1: equal clips are called equal in half of the cases
CARELESS_SHARE: Final = 0.6  # of a careless person's votes are answered at random
SPAN: Final = {**FIRST_SPAN, **ANIME_SPAN}  # of all worlds: no two share a dimension
SCORES: Final = (1, 5)  # the worst and the best that a person can give to one clip


@dataclass(frozen=True, slots=True)
class Annotator:
    """`noise`: standard deviation added to each difference of rewards; `tie`: multiplies ln theta;
    `side_bias`: added in favour of the left clip; `leniency`: points added to each score from 1 to
    5. The chance of all comes from `rng`.
    """

    noise: float = 0.0
    tie: float = 1.0
    side_bias: float = 0.0
    careless: bool = False
    leniency: float = 0.0

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise BadConfigError(
                f"the noise of an annotator must not be negative, got {self.noise}"
            )
        if self.tie <= 0:
            raise BadConfigError(
                f"the tie threshold of an annotator must be above 0, got {self.tie}"
            )

    def judge(
        self, left: Mapping[str, float], right: Mapping[str, float], rng: np.random.Generator
    ) -> dict[str, str]:
        """left | tie | right per dimension, from the true rewards of both clips."""
        if self.careless and rng.random() < CARELESS_SHARE:
            return {key: str(rng.choice(SIDES)) for key in left}
        return {
            key: str(rng.choice(SIDES, p=self.probabilities(left[key] - right[key], rng)))
            for key in left
        }

    def score(self, quality: Mapping[str, float], rng: np.random.Generator) -> dict[str, int]:
        """One clip by itself, 1 to 5 per dimension, from its true rewards.

        What a person sees of a clip is its reward and a Gumbel error; so two people's comparison of
        two such impressions is Bradley-Terry, and scores are neither surer nor less sure than
        votes. Only `leniency` is an error that votes do not know.
        """
        low, high = SCORES
        if self.careless and rng.random() < CARELESS_SHARE:
            return {key: int(rng.integers(low, high + 1)) for key in quality}
        return {key: self._score(key, value, rng) for key, value in quality.items()}

    def _score(self, key: str, value: float, rng: np.random.Generator) -> int:
        low, high = SCORES
        seen = value + rng.gumbel() - np.euler_gamma + self.noise / math.sqrt(2) * rng.normal()
        points = low + (high - low) * seen / SPAN[key] + self.leniency
        return int(np.clip(np.rint(points), low, high))

    def probabilities(self, difference: float, rng: np.random.Generator) -> tuple[float, ...]:
        """Of left, tie, right (Rao-Kupper); `difference` is left minus right."""
        gap = difference + self.side_bias + self.noise * rng.normal()
        log_theta = self.tie * math.log(THETA)
        left = 1 / (1 + math.exp(log_theta - gap))
        right = 1 / (1 + math.exp(log_theta + gap))
        return left, 1 - left - right, right


def random_crowd(count: int, careless: int, rng: np.random.Generator) -> list[Annotator]:
    """`count` people as they come, the last `careless` of them careless."""
    return [
        Annotator(
            noise=float(rng.uniform(0.0, 0.8)),
            tie=float(rng.uniform(0.7, 1.3)),
            side_bias=float(rng.normal(0, 0.15)),
            careless=index >= count - careless,
        )
        for index in range(count)
    ]


def from_config(row: Mapping[str, Any]) -> Annotator:
    known = Annotator.__dataclass_fields__
    return Annotator(**{name: row[name] for name in known if name in row})
