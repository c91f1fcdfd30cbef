"""How many votes does active selection save a reward model on the demo world?

    python -m bench.active_world [--backbone FOLDER] [--seeds 8] [--json FILE] [--svg FILE]

Each seed is a world of its own: clips, people, held-out prompts. The reward model is that of
`bench.active_market`, a head on the frozen base, which is trained anew after every round. Four
ways buy pairs in rounds, after equally many random ones; who votes are the demo's people, careless
ones included:

- `random`: any two clips of a prompt;
- `alone`: `annotation.statistics.doubting`, what one model with its own uncertainty asks;
- `committee`: `annotation.statistics.committee`, what several models ask that were trained on the
  votes so far. Here they are draws from the posterior of the head;
- `last_layer`: the same with the posterior itself, as if there were any number of members. It needs
  the states of the last layer, which score sets do not carry.

The active ways are the product's own code. Settings were chosen on worlds with other seeds.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotation.statistics.committee import Committee, most_telling
from annotation.statistics.doubting import ClipBeliefs, most_doubtful
from annotation.statistics.strategies import Asked, Pick
from bench.active_features import DIRECTIONS
from bench.active_market import Head, Market, World, accuracy, fitted, market_of, votes_on
from bench.active_plot import drawn
from bench.reward_runs import arguments_of_seeds, backbone, base_facts, interval, machine
from demo.annotators import THETA

Floats = NDArray[np.float64]
FIRST_SEED: Final = 501
WAYS: Final = ("random", "alone", "committee", "last_layer")
SHARE: Final = 0.9  # of the final accuracy of random
WANTED: Final = 0.5


# Buying votes.


class Buyer:
    """Votes bought so far in one world, and the head that they make."""

    def __init__(self, market: Market, way: str, seed: int):
        self.market, self.way, self.seed = market, way, seed
        self.rng = np.random.default_rng([seed, 77])
        self.asked = Asked()
        self.pairs: list[tuple[int, int]] = []
        self.counts: list[Floats] = []
        self.heads: list[Head] = []

    def curve(self) -> list[float]:
        """The accuracy after each round, the first one from `first_pairs` random pairs."""
        world = self.market.world
        self._buy(self._any(world.first_pairs))
        found = [accuracy(self.market, self.heads)]
        last = world.pairs if self.way == "random" else world.pairs_active
        while len(self.pairs) < last:
            self._buy(self._next(world.round_pairs))
            found.append(accuracy(self.market, self.heads))
        return found

    def _next(self, count: int) -> list[Pick]:
        if self.way == "random":
            return self._any(count)
        limits: dict[str, Any] = {
            "budget": count, "votes": self.market.world.votes, "asked": self.asked,
            "seed": int(self.rng.integers(2**31)),
        }  # fmt: skip
        if self.way == "alone":
            return most_doubtful(self.market.candidates, self._beliefs(), **limits)
        members = self._committee() if self.way == "committee" else self._posterior()
        return most_telling(self.market.candidates, members, **limits)

    def _any(self, count: int) -> list[Pick]:
        """Two random clips of a random prompt, each pair once."""
        everybody = self.market.candidates
        found: list[Pick] = []
        while len(found) < count:
            one = everybody[self.rng.integers(len(everybody))]
            others = [each for each in everybody if each.prompt == one.prompt and each != one]
            pick = (one, others[self.rng.integers(len(others))])
            if frozenset(each.clip for each in pick) not in self.asked.picks:
                self.asked.note(pick)
                found.append(pick)
        return found

    def _buy(self, picks: list[Pick]) -> None:
        market = self.market
        new = np.array([[int(each.clip) for each in pick] for pick in picks])
        votes = votes_on(new, market.clips.quality, market.crowd, market.world.votes, self.rng)
        self.pairs += [tuple(pair) for pair in new.tolist()]
        self.counts += list(votes)
        a, b = np.array(self.pairs).T
        counts = np.array(self.counts)
        self.heads = [
            fitted(
                market.features[a, number] - market.features[b, number],
                counts[:, number],
                market.world.prior,
            )
            for number in range(market.features.shape[1])
        ]

    def _beliefs(self) -> ClipBeliefs:
        """What one model says of each clip by itself."""
        features = self.market.features
        mean = np.stack([features[:, n] @ head.weights for n, head in enumerate(self.heads)], 1)
        spread = [
            np.einsum("nk,kl,nl->n", features[:, n], head.covariance, features[:, n])
            for n, head in enumerate(self.heads)
        ]
        return ClipBeliefs.of(*self._named(), mean, np.sqrt(np.stack(spread, 1)), self._thetas())

    def _committee(self) -> Committee:
        """Models as they would come out of as many trainings: draws from the posterior."""
        features, members = self.market.features, self.market.world.members
        rewards = [
            features[:, n] @ self.rng.multivariate_normal(head.weights, head.covariance, members).T
            for n, head in enumerate(self.heads)
        ]  # D times [clips, members]
        return Committee.of(*self._named(), np.stack(rewards, -1).swapaxes(0, 1), self._thetas())

    def _posterior(self) -> Committee:
        """The posterior of the head: a member per direction, each a column of its root."""
        features = self.market.features
        mean = np.stack([features[:, n] @ head.weights for n, head in enumerate(self.heads)], 1)
        apart = np.stack(
            [
                features[:, n] @ np.linalg.cholesky(head.covariance)
                for n, head in enumerate(self.heads)
            ],
            1,
        )
        place = {clip: n for n, clip in enumerate(*self._named())}
        return Committee(place, mean, apart, np.array(self._thetas()))

    def _named(self) -> tuple[list[str]]:
        return ([str(n) for n in range(len(self.market.features))],)

    def _thetas(self) -> list[float]:
        return [THETA] * self.market.features.shape[1]


# Figures.


def one_seed(base: Path, world: World, seed: int) -> dict[str, Any]:
    market = market_of(base, world, seed)
    curves = {
        way: np.mean(
            [Buyer(market, way, 1000 * seed + n).curve() for n in range(world.repeats)], axis=0
        )
        for way in WAYS
    }
    row: dict[str, Any] = {
        "seed": seed,
        "curves": {way: curve.round(4).tolist() for way, curve in curves.items()},
        "final": float(curves["random"][-5:].mean()),
    }
    for name, target in targets(row["final"]).items():
        needed = {way: votes_for(curve, target, world) for way, curve in curves.items()}
        row[name] = {"accuracy": target, "votes": needed, "ratio": ratios(needed)}
    print(_line(row), flush=True)
    return row


def targets(final: float) -> dict[str, float]:
    """To be reached: 90 % of the final accuracy; 90 % of what it is above chance, later on."""
    return {"of_accuracy": SHARE * final, "above_chance": 0.5 + SHARE * (final - 0.5)}


def votes_for(curve: Floats, target: float, world: World) -> float | None:
    """Votes until a curve is at the target, between two rounds in proportion; None if it never is.

    The curve counts from its last point below the target, so that no lucky round is an end.
    """
    below = np.flatnonzero(curve < target)
    if not len(below):
        return float(world.votes * world.first_pairs)
    last = int(below[-1])
    if last + 1 == len(curve):
        return None
    share = (target - curve[last]) / (curve[last + 1] - curve[last])
    return world.votes * (world.first_pairs + world.round_pairs * (last + float(share)))


def ratios(needed: dict[str, float | None]) -> dict[str, float | None]:
    base = needed["random"]
    return {
        way: None if votes is None or base is None else votes / base
        for way, votes in needed.items()
        if way != "random"
    }


def geometric(found: list[float | None]) -> dict[str, Any]:
    """The mean ratio and its 95 % interval over seeds, on the scale of logarithms."""
    known = [each for each in found if each is not None]
    if len(known) < len(found) or not known:
        return {"mean": None, "low": None, "high": None, "never": len(found) - len(known)}
    logs = interval([math.log(each) for each in known])
    return {**{name: math.exp(value) for name, value in logs.items()}, "never": 0}


def figures(rows: list[dict[str, Any]], world: World) -> dict[str, Any]:
    curves = {
        way: [
            interval([row["curves"][way][n] for row in rows])
            for n in range(len(rows[0]["curves"][way]))
        ]
        for way in WAYS
    }
    found = {
        name: {way: geometric([row[name]["ratio"][way] for row in rows]) for way in WAYS[1:]}
        for name in targets(1.0)
    }
    return {
        "world": asdict(world),
        "directions": DIRECTIONS,
        "wanted": WANTED,
        "final": interval([row["final"] for row in rows]),
        "ratio": found,
        "curves": curves,
        "seeds": rows,
    }


def _line(row: dict[str, Any]) -> str:
    said = "; ".join(
        f"{row[name]['accuracy']:.3f} after "
        + ", ".join(f"{way} {_votes(row[name]['votes'][way])}" for way in WAYS)
        for name in targets(1.0)
    )
    return f"seed {row['seed']}: random ends at {row['final']:.3f}; {said}"


def _votes(votes: float | None) -> str:
    return "never" if votes is None else f"{votes:.0f}"


def main() -> None:
    parser = arguments_of_seeds(__doc__ or "", FIRST_SEED)
    parser.set_defaults(seeds=8)
    parser.add_argument("--svg", type=Path, help="draw the learning curves into this file")
    given = parser.parse_args()
    base, world = backbone(given.backbone), World()
    at = machine([0])
    rows: list[dict[str, Any]] = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        rows.append(one_seed(base, world, seed))
        found = {"machine": at, "base": base_facts(base), **figures(rows, world)}
        if given.json:  # what is measured is not lost with the last seed
            given.json.write_text(json.dumps(found, indent=1) + "\n")
        if given.svg:
            given.svg.write_text(drawn(found))
    for name, by_way in found["ratio"].items():
        for way, each in by_way.items():
            print(f"{name}, {way}: {each}")


if __name__ == "__main__":
    main()
