"""A demo world as a market: what can be asked, what people say, what a reward model learns of it.

The reward model is a linear head per dimension on the frozen, pretrained tiny base
(`bench.active_features`), fitted by Bradley and Terry with ties; it trains in milliseconds.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from annotation.statistics.strategies import Candidate
from bench.active_features import Clips, seen
from demo.annotators import CARELESS_SHARE, THETA, random_crowd
from demo.render import RenderConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LOG_THETA: Final = math.log(THETA)
_JUDGES: Final = 3  # of each pair to test on


@dataclass(frozen=True, slots=True)
class World:
    """`repeats`: how often the votes are bought anew in the same world; its curves are the means.

    `prior`: precision of the head's weights before any vote.
    """

    prompts: int = 96
    clips: int = 20
    held_out: float = 0.4
    test_pairs: int = 3000
    people: int = 12
    careless: int = 3
    votes: int = 1
    first_pairs: int = 10
    round_pairs: int = 10
    pairs: int = 400  # of random; the others stop at `pairs_active`
    pairs_active: int = 200
    members: int = 16
    prior: float = 1.0
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Market:
    """What can be bought in one world, and what it is worth."""

    world: World
    features: Floats  # [clips, D, directions]
    clips: Clips
    candidates: list[Candidate]  # of the prompts to train on
    crowd: list[Any]
    test: Ints  # [pairs, 2]
    said: Floats  # [test pairs, D]: sign of the label, 0 for a tie or none


def market_of(base: Path, world: World, seed: int) -> Market:
    rng = np.random.default_rng([seed, 9])
    clips = seen(base, RenderConfig(seed=seed, prompts=world.prompts, clips_per_prompt=world.clips))
    order = rng.permutation(world.prompts)
    held_out = order[: round(world.held_out * world.prompts)]
    trained_on = ~np.isin(clips.prompt, held_out)
    crowd = random_crowd(world.people, world.careless, rng)
    pairs = np.array([
        pair
        for prompt in sorted(held_out.tolist())
        for pair in combinations(np.flatnonzero(clips.prompt == prompt).tolist(), 2)
    ])  # fmt: skip
    test = pairs[rng.choice(len(pairs), min(world.test_pairs, len(pairs)), replace=False)]
    counts = votes_on(test, clips.quality, crowd, _JUDGES, rng)
    return Market(
        world=world,
        features=clips.directions(trained_on),
        clips=clips,
        candidates=[
            Candidate(int(clips.prompt[n]), clips.generator[n], str(n))
            for n in np.flatnonzero(trained_on).tolist()
        ],
        crowd=crowd,
        test=test,
        said=(2 * counts[..., 0] > _JUDGES).astype(float) - (2 * counts[..., 2] > _JUDGES),
    )


def votes_on(
    pairs: Ints, quality: Floats, crowd: list[Any], votes: int, rng: np.random.Generator
) -> Floats:
    """[pairs, D, 3]: how many of the people asked say A, tie, B; as `demo.annotators` judges, but
    all pairs at once."""
    who = np.stack([rng.permutation(len(crowd))[:votes] for _ in pairs])  # [pairs, votes]
    noise, tie, bias, careless = (
        np.array([getattr(person, name) for person in crowd])[who]
        for name in ("noise", "tie", "side_bias", "careless")
    )
    gap = (quality[pairs[:, 0]] - quality[pairs[:, 1]])[:, None]  # [pairs, 1, D]
    swapped = (rng.random(who.shape) < 0.5)[..., None]
    seen = np.where(swapped, -gap, gap) + bias[..., None]
    seen = seen + noise[..., None] * rng.normal(size=seen.shape)
    left, right = (
        expit(seen - _LOG_THETA * tie[..., None]),
        expit(-seen - _LOG_THETA * tie[..., None]),
    )
    drawn_at = rng.random(seen.shape)
    word = np.where(drawn_at < left, 0, np.where(drawn_at < 1 - right, 1, 2))
    anyhow = (careless & (rng.random(who.shape) < CARELESS_SHARE))[..., None]
    word = np.where(anyhow, rng.integers(0, 3, word.shape), word)
    word = np.where(swapped, 2 - word, word)  # [pairs, votes, D]
    return np.stack([(word == each).sum(1) for each in range(3)], -1).astype(float)


# The reward model.


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of a linear head and the covariance of their posterior (Laplace)."""

    weights: Floats
    covariance: Floats


def fitted(difference: Floats, counts: Floats, prior: float) -> Head:
    """The most likely head by Bradley and Terry with ties, after Newton; `counts`: A, tie, B."""
    weights = np.zeros(difference.shape[1])
    up, down = counts[:, 0] + counts[:, 1], counts[:, 2] + counts[:, 1]
    for _ in range(50):
        gap = difference @ weights
        a, b = expit(gap - _LOG_THETA), expit(-gap - _LOG_THETA)
        slope = down * (1 - b) - up * (1 - a)
        bend = up * a * (1 - a) + down * b * (1 - b)
        curvature = (difference.T * bend) @ difference + prior * np.eye(len(weights))
        step = np.linalg.solve(curvature, difference.T @ slope + prior * weights)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return Head(weights, np.linalg.inv(curvature))


def accuracy(market: Market, heads: list[Head]) -> float:
    """Without ties, the mean over dimensions, on the pairs of held-out prompts."""
    found = []
    for number, head in enumerate(heads):
        rewards = market.features[:, number] @ head.weights
        gap, said = rewards[market.test[:, 0]] - rewards[market.test[:, 1]], market.said[:, number]
        found.append((np.sign(gap) == said)[said != 0].mean())
    return float(np.mean(found))
