"""Which pairs tell a committee of reward models most about all pairs: pure functions, numpy alone.

`doubting` takes clips for independent, which is all that one model says of itself. Several models
that were trained apart agree on what the votes so far have settled and differ where they have not,
and clips on which they differ in the same way hang together: a vote on one pair tells of others.
A pair is worth what a vote on it is expected to take from the chance of calling other pairs wrong
(Fisher's information on the last layer, arXiv 2502.04354, aimed at pairs that are still open).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from annotation.errors import CampaignError
from annotation.statistics.doubting import LEAST, fresh_pairs
from annotation.statistics.gaining import Floats, expected_gain
from annotation.statistics.strategies import MOST, Asked, Candidate, Pick

FEWEST: Final = 4  # members: of fewer, chance decides on what they differ
CONSIDERED: Final = 100_000  # pairs that are weighed; of more, a random part
_TARGETS: Final = 2_000  # pairs that stand for all
_LOOKED_AT: Final = 64  # of the best so far, weighed anew for each pick
_NODES: Final = (-(3**0.5), 0.0, 3**0.5)  # Gauss and Hermite's three points
_SHARES: Final = (1 / 6, 2 / 3, 1 / 6)


@dataclass(frozen=True, slots=True)
class Committee:
    """What several reward models think of clips, on the scale on which rewards meet theta."""

    place: Mapping[str, int]  # of a clip among the rows
    mean: Floats  # [clips, dimensions]
    apart: Floats  # [clips, dimensions, members]: covariance of two clips = their product
    theta: Floats  # [dimensions]
    keys: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        clips: Sequence[str],
        rewards: Floats,  # [members, clips, dimensions]
        theta: Sequence[float],
        keys: Sequence[str] = (),
    ) -> "Committee":
        """ValueError where a number is not finite, a theta not above 1, or members are too few."""
        given = np.asarray(rewards, dtype=np.float64)
        band = np.asarray(theta, dtype=np.float64)
        if len(given) < FEWEST:
            raise ValueError(f"a committee has at least {FEWEST} members, got {len(given)}")
        if not np.isfinite(given).all():
            raise ValueError("rewards must be finite numbers")
        if not (band > 1).all():
            raise ValueError(f"theta must be above 1, got {band.tolist()}")
        mean = given.mean(0)
        apart = np.moveaxis(given - mean, 0, -1) / math.sqrt(len(given) - 1)
        return cls({clip: n for n, clip in enumerate(clips)}, mean, apart, band, tuple(keys))

    def difference(self, a: str, b: str) -> tuple[Floats, Floats]:  # [dimensions] each
        """Of the rewards, A minus B: its mean and its variance."""
        one, other = self.place[a], self.place[b]
        spread = ((self.apart[one] - self.apart[other]) ** 2).sum(-1)
        return self.mean[one] - self.mean[other], spread

    def gains(self, pairs: Sequence[tuple[str, str]]) -> Floats:  # [pairs], nats
        """What a vote on each pair is expected to tell of that pair, summed over dimensions."""
        mean, variance = map(
            np.stack, zip(*(self.difference(*pair) for pair in pairs), strict=True)
        )
        columns = [
            expected_gain(mean[:, d], variance[:, d], float(theta))
            for d, theta in enumerate(self.theta)
        ]
        total: Floats = np.sum(columns, axis=0)
        return total


def most_telling(
    candidates: Sequence[Candidate],
    committee: Committee,
    *,
    budget: int,
    votes: int = 1,
    seed: int = 0,
    asked: Asked | None = None,
) -> list[Pick]:
    """The pairs of one prompt that tell most of all pairs, best first; at most `budget`.

    After each pair that is drawn the committee is taken to agree better on all that hangs together
    with it, whatever people will say; so no prompt and no clip takes all. A pair of which a vote
    tells less than `LEAST` nats is not asked at all. `asked` is read and grows with what is drawn.
    """
    if not 1 <= budget <= MOST:
        raise CampaignError(f"a budget must be from 1 to {MOST} pairs, got {budget}")
    done = asked if asked is not None else Asked()
    chance = random.Random(seed)
    pairs = list(fresh_pairs(candidates, done))
    if len(pairs) > CONSIDERED:
        pairs = chance.sample(pairs, CONSIDERED)
    if not pairs:
        return []
    drawn = [pairs[n] for n in _drawn(_Open.of(pairs, committee, votes, chance), budget)]
    for pick in drawn:
        done.note(pick)
    return drawn


@dataclass(slots=True)
class _Open:
    """Pairs that may be drawn, per dimension in one array: d, then pairs, then members."""

    difference: Floats  # [D, pairs]
    side: Floats  # [D, pairs, members]: how far the members are apart on the difference
    told: Floats  # [D, pairs], the information of the votes on a pair
    left: Floats  # [D, members, members]: what the picks so far have left of the disagreement
    wanted: Floats  # [D, members, members]: the pairs that stand for all, by how open they are
    theta: Floats

    @classmethod
    def of(
        cls, pairs: Sequence[Pick], committee: Committee, votes: int, chance: random.Random
    ) -> "_Open":
        a, b = (np.array([committee.place[pick[side].clip] for pick in pairs]) for side in (0, 1))
        difference = (committee.mean[a] - committee.mean[b]).T
        side = np.moveaxis(committee.apart[a] - committee.apart[b], 1, 0)
        variance = (side**2).sum(-1)
        some = chance.sample(range(len(pairs)), min(_TARGETS, len(pairs)))
        weight = _openness(difference[:, some], variance[:, some])
        targets = side[:, some]
        return cls(
            difference=difference,
            side=side,
            told=votes * _information(difference, variance, committee.theta),
            left=np.broadcast_to(np.eye(side.shape[-1]), (len(side), *2 * side.shape[-1:])).copy(),
            wanted=np.einsum("dt,dtm,dtn->dmn", weight, targets, targets),
            theta=committee.theta,
        )

    def worth(self, rows: NDArray[np.int64] | slice) -> Floats:  # [rows]
        """What votes on these pairs are expected to take from the errors on all."""
        side, told = self.side[:, rows], self.told[:, rows]
        seen = side @ self.left
        variance = (seen * side).sum(-1)
        taken = ((seen @ self.wanted) * seen).sum(-1)
        total: Floats = (taken * told / (1 + told * variance)).sum(0)
        return total

    def gain(self, row: int) -> float:
        """What a vote on one pair is expected to tell of that pair, in nats over dimensions."""
        side = self.side[:, row]
        variance = np.einsum("dm,dmn,dn->d", side, self.left, side)
        return math.fsum(
            float(expected_gain(difference[None], spread[None], float(theta))[0])
            for difference, spread, theta in zip(
                self.difference[:, row], variance, self.theta, strict=True
            )
        )

    def learn(self, row: int) -> None:
        """Kalman's update by a look at the difference, on each dimension."""
        side, told = self.side[:, row], self.told[:, row]
        seen = np.einsum("dmn,dn->dm", self.left, side)
        share = told / (1 + told * (seen * side).sum(-1))
        self.left -= np.einsum("d,dm,dn->dmn", share, seen, seen)


def _drawn(pairs: _Open, budget: int) -> list[int]:
    """Rows, best first. What a pair is worth falls with what others have told, so only the best of
    the last look are weighed anew."""
    value = pairs.worth(slice(None))
    drawn: list[int] = []
    while len(drawn) < budget:
        count = min(_LOOKED_AT, len(value))
        best = np.argpartition(-value, count - 1)[:count]
        value[best] = np.where(np.isinf(value[best]), -np.inf, pairs.worth(best))
        row = int(value.argmax())
        if value[row] <= 0:
            break
        if row not in best:
            continue  # another one is ahead now; it is weighed in the next look
        if pairs.gain(row) >= LEAST:
            drawn.append(row)
            pairs.learn(row)
        value[row] = -np.inf
    return drawn


def _openness(difference: Floats, variance: Floats) -> Floats:
    """How much the chance of calling a pair wrong falls with its variance, but for a constant: much
    where the sign is open, nothing where it is known. A pair without variance wants nothing."""
    known = np.maximum(variance, 1e-9)
    found: Floats = np.where(variance > 1e-9, np.exp(-0.5 * difference**2 / known) / known, 0.0)
    return found


def _information(difference: Floats, variance: Floats, theta: Floats) -> Floats:
    """Fisher's information of one answer on the difference, the mean over what is believed."""
    band, spread = np.log(theta)[:, None], np.sqrt(variance)
    total = np.zeros_like(difference)
    for node, share in zip(_NODES, _SHARES, strict=True):
        gap = difference + node * spread
        a, b = expit(gap - band), expit(-gap - band)
        slope = a * (1 - a) - b * (1 - b)
        tie = np.maximum(1 - a - b, 1e-12)
        total += share * (a * (1 - a) ** 2 + b * (1 - b) ** 2 + slope**2 / tie)
    return total
