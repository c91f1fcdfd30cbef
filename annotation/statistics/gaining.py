"""How much one more vote is expected to tell about two generators: pure, numpy alone.

What is known of a generator is a normal distribution of its strength in Bradley and Terry's model
with ties. The expected gain of a vote on A and B is the mutual information, in nats, between the
answer (A, tie, B) and the difference of their strengths: H(E[p]) - E[H(p)].
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from annotation.ranking import Ranking

Floats = NDArray[np.float64]

UNKNOWN: Final = 1.5  # standard deviation of a strength of which nothing is known
_USUAL_THETA: Final = 2.0
_LEAST: Final = 1e-3
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_SHARES: Final = _WEIGHTS / _WEIGHTS.sum()
_Z95: Final = 1.959964  # half the width of a 95 % interval in standard deviations


@dataclass(slots=True)
class Belief:
    """What is known of the strengths on one dimension: a normal distribution, and theta.

    A vote tells of a difference alone, so the strengths hang together: after many votes on A and
    B, their difference is known, and how both stand to C is not.
    """

    names: list[str] = field(default_factory=list)
    mean: Floats = field(default_factory=lambda: np.zeros(0))
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    theta: float = _USUAL_THETA

    def cover(self, names: Iterable[str]) -> None:
        """Take in generators of which nothing is known yet."""
        new = [name for name in names if name not in self.names]
        size, more = len(self.names), len(new)
        covariance = np.zeros((size + more, size + more))
        covariance[:size, :size] = self.covariance
        covariance[size:, size:] = np.eye(more) * UNKNOWN**2
        self.names += new
        self.mean, self.covariance = np.append(self.mean, np.zeros(more)), covariance

    def gains(self, pairs: Sequence[Sequence[str]]) -> Floats:  # [pairs]
        """What a vote on these two generators is expected to tell; nothing on one alone."""
        self.cover({name for pair in pairs for name in pair})
        a, b = (np.array([self.names.index(pair[side]) for pair in pairs]) for side in (0, -1))
        own = self.covariance.diagonal()
        variance = own[a] + own[b] - 2 * self.covariance[a, b]
        return expected_gain(self.mean[a] - self.mean[b], variance, self.theta)

    def learn(self, pair: Sequence[str], votes: int = 1) -> None:
        """Be surer of the difference, as votes make one on the average, whatever they will say."""
        a, b = self.names.index(pair[0]), self.names.index(pair[-1])
        if a == b:
            return
        look = self.covariance[:, a] - self.covariance[:, b]
        variance = float(look[a] - look[b])
        told = votes * information(float(self.mean[a] - self.mean[b]), self.theta)
        # Kalman's update by a look at the difference.
        self.covariance -= np.outer(look, look) * (told / (1 + told * variance))


def belief_of(ranking: Ranking, names: Sequence[str]) -> Belief:
    """What a fit says of its generators; the interval of 95 % gives the variance."""
    width = (ranking.high - ranking.low) / (2 * _Z95)
    variance = np.clip(width, _LEAST, UNKNOWN) ** 2
    return Belief(
        names=list(names),
        mean=ranking.strength.copy(),
        covariance=np.diag(variance),
        theta=max(ranking.theta, 1 + 1e-6),
    )


def probabilities(difference: Floats | float, theta: float) -> Floats:  # [..., 3]: A, tie, B
    gap = np.asarray(difference, dtype=np.float64)
    a, b = expit(gap - math.log(theta)), expit(-gap - math.log(theta))
    found: Floats = np.stack([a, 1 - a - b, b], axis=-1)
    return found


def expected_gain(mean: Floats, variance: Floats, theta: float) -> Floats:  # all [N]
    """Mutual information of the answer and the difference ~ N(mean, variance), by quadrature."""
    spread = np.sqrt(np.maximum(variance, 0))
    chances = probabilities(mean[:, None] + spread[:, None] * _NODES, theta)  # [N, nodes, 3]
    marginal = np.einsum("k,nkc->nc", _SHARES, chances)
    gain: Floats = _entropy(marginal) - _entropy(chances) @ _SHARES
    return gain.clip(0)


def information(difference: float, theta: float) -> float:
    """Fisher's information of one answer on the difference: sum of p'^2 / p."""
    log_theta = math.log(theta)
    a, b = float(expit(difference - log_theta)), float(expit(-difference - log_theta))
    slope_a, slope_b = a * (1 - a), -b * (1 - b)
    tie = 1 - a - b
    told = slope_a**2 / a + slope_b**2 / b
    if tie > 1e-12:
        told += (slope_a + slope_b) ** 2 / tie
    return told


def _entropy(chances: Floats) -> Floats:
    found: Floats = -np.sum(chances * np.log(np.clip(chances, 1e-300, None)), axis=-1)
    return found
