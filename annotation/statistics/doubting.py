"""Which pairs a reward model knows least about: pure functions over its beliefs of clips.

`gaining` asks what a vote tells about two generators; here the question is two clips. The reward
of a clip is a normal distribution: what the model gives it, and how sure it is. The expected gain
of a vote is the mutual information of the answer (A, tie, B) and the difference of the rewards. It
is small where the model knows the winner, and small where it knows that the clips are equal: a
likely tie is not a doubt (ML.md 8.5 and 8.12).
"""

import heapq
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from scipy.special import expit

from annotation.errors import CampaignError
from annotation.statistics.gaining import Floats, expected_gain, information
from annotation.statistics.strategies import MOST, Asked, Candidate, Pick

LEAST: Final = 0.01  # nats: below this a vote is a waste of somebody's time


@dataclass(slots=True)
class ClipBeliefs:
    """What a reward model thinks of clips: raw rewards and their variances, [clips, dimensions]."""

    place: Mapping[str, int]  # of a clip among the rows
    mean: Floats
    variance: Floats
    theta: Floats  # [dimensions]
    keys: tuple[str, ...] = ()  # of the dimensions, for people

    @classmethod
    def of(
        cls,
        clips: Sequence[str],
        mean: Floats,
        std: Floats,
        theta: Sequence[float],
        keys: Sequence[str] = (),
    ) -> "ClipBeliefs":
        """ValueError where a number is not finite, or a theta not above 1."""
        found = cls(
            {clip: n for n, clip in enumerate(clips)},
            np.asarray(mean, dtype=np.float64),
            np.asarray(std, dtype=np.float64) ** 2,
            np.asarray(theta, dtype=np.float64),
            tuple(keys),
        )
        if not (np.isfinite(found.mean).all() and np.isfinite(found.variance).all()):
            raise ValueError("rewards and deviations must be finite numbers")
        if not (found.theta > 1).all():
            raise ValueError(f"theta must be above 1, got {found.theta.tolist()}")
        return found

    def gains(self, pairs: Sequence[tuple[str, str]]) -> Floats:  # [pairs], nats
        """What a vote on each pair is expected to tell, summed over dimensions."""
        a, b = (np.array([self.place[pair[side]] for pair in pairs]) for side in (0, 1))
        mean, variance = self.mean[a] - self.mean[b], self.variance[a] + self.variance[b]
        columns = [
            expected_gain(mean[:, d], variance[:, d], float(theta))
            for d, theta in enumerate(self.theta)
        ]
        total: Floats = np.sum(columns, axis=0)
        return total

    def difference(self, a: str, b: str) -> tuple[Floats, Floats]:  # [dimensions] each
        """Of the rewards, A minus B: its mean and its variance."""
        one, other = self.place[a], self.place[b]
        return self.mean[one] - self.mean[other], self.variance[one] + self.variance[other]

    def learn(self, pair: tuple[str, str], votes: int) -> None:
        """Be surer of both clips, as votes make one on the average, whatever they will say."""
        a, b = self.place[pair[0]], self.place[pair[1]]
        for d, theta in enumerate(self.theta):
            of_a, of_b = self.variance[a, d], self.variance[b, d]
            told = votes * information(float(self.mean[a, d] - self.mean[b, d]), float(theta))
            # Kalman's update by a look at the difference; what ties A to B is left out.
            share = told / (1 + told * (of_a + of_b))
            self.variance[a, d], self.variance[b, d] = (
                of_a - of_a**2 * share,
                of_b - of_b**2 * share,
            )


def foreseen(difference: float, variance: float, theta: float) -> tuple[float, float, float]:
    """What people are expected to say, P(A), P(tie), P(B): the mean over the uncertainty.

    By the closed form of `models_rm.networks.uncertainty`, which is within 0.03 of the integral.
    """
    a, tie, b = foreseen_all(np.array(difference), np.array(variance), np.array(theta)).tolist()
    return a, tie, b


def foreseen_all(difference: Floats, variance: Floats, theta: Floats) -> Floats:  # [..., 3]
    """The same of many pairs; the three run together as arrays do."""
    scale = 1 / np.sqrt(1 + math.pi / 8 * variance)
    gap, band = difference * scale, np.log(theta) * scale
    a, b = expit(gap - band), expit(-gap - band)
    found: Floats = np.stack([a, 1 - a - b, b], axis=-1)
    return found


def most_doubtful(
    candidates: Sequence[Candidate],
    beliefs: ClipBeliefs,
    *,
    budget: int,
    votes: int = 1,
    seed: int = 0,
    asked: Asked | None = None,
) -> list[Pick]:
    """The pairs of one prompt of which a vote tells most, best first; at most `budget`.

    The gain of a pair is divided by 1 + how often its prompt was asked about, and each pair that is
    drawn makes its clips surer, by as many votes as a pair gets: so no clip and no prompt takes
    all. A pair of which a vote tells less than `LEAST` is not asked at all. `asked` is read and
    grows with what is drawn; a lot decides between equals.
    """
    if not 1 <= budget <= MOST:
        raise CampaignError(f"a budget must be from 1 to {MOST} pairs, got {budget}")
    done = asked if asked is not None else Asked()
    chance = random.Random(seed)
    heap = _ranked(list(fresh_pairs(candidates, done)), beliefs, done, chance)
    drawn: list[Pick] = []
    while heap and len(drawn) < budget:
        value, lot, pick = heap[0]
        now = -_worth(pick, beliefs, done)
        if now > value + 1e-12:
            # Worth only falls, so what is still the best after a new look is the best.
            heapq.heapreplace(heap, (now, lot, pick))
            continue
        heapq.heappop(heap)
        if -now * (1 + done.prompts[pick[0].prompt]) < LEAST:
            continue
        drawn.append(pick)
        done.note(pick)
        beliefs.learn((pick[0].clip, pick[1].clip), votes)
    return drawn


Ranked = tuple[float, float, Pick]


def _ranked(
    picks: Sequence[Pick], beliefs: ClipBeliefs, asked: Asked, chance: random.Random
) -> list[Ranked]:
    if not picks:
        return []
    gains = beliefs.gains([(pick[0].clip, pick[1].clip) for pick in picks])
    worth = gains / [1 + asked.prompts[pick[0].prompt] for pick in picks]
    heap = [
        (-value, chance.random(), pick) for value, pick in zip(worth.tolist(), picks, strict=True)
    ]
    heapq.heapify(heap)
    return heap


def _worth(pick: Pick, beliefs: ClipBeliefs, asked: Asked) -> float:
    gain = float(beliefs.gains([(pick[0].clip, pick[1].clip)])[0])
    return gain / (1 + asked.prompts[pick[0].prompt])


def fresh_pairs(candidates: Sequence[Candidate], asked: Asked) -> Iterator[Pick]:
    """Every two clips of a prompt, of one generator too: the model judges clips."""
    by_prompt: dict[int, list[Candidate]] = {}
    for each in sorted(candidates):
        by_prompt.setdefault(each.prompt, []).append(each)
    for clips in by_prompt.values():
        for pick in combinations(clips, 2):
            if frozenset(each.clip for each in pick) not in asked.picks:
                yield pick
