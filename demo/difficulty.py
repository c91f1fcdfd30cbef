"""How hard the demo's votes are: the share of ties, and what even the truth cannot get right.

`python -m demo.difficulty` prints it for the consensus of three and for single votes, by world.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.annotators import SIDES, Annotator, random_crowd
from demo.worlds import FIRST, WORLDS

Label = int  # +1 A is better, 0 tie, -1 B is better


@dataclass(frozen=True, slots=True)
class Difficulty:
    """`ceiling`: accuracy of the sign of the true difference where the label is not a tie.

    A pair of equal true quality whose label is not a tie counts one half: nobody can know it.
    """

    tie_share: float
    ceiling: float


def random_pair(rng: np.random.Generator, world: str = FIRST) -> tuple[Any, Any]:
    """Recipes of clips of two different generators for one prompt."""
    kind = WORLDS[world]
    asked = kind.draw(1, rng)[0]
    first, second = rng.choice(list(kind.generators), size=2, replace=False)
    return (
        kind.recipe(rng, asked, kind.generators[str(first)]),
        kind.recipe(rng, asked, kind.generators[str(second)]),
    )


def vote(person: Annotator, a: Any, b: Any, rng: np.random.Generator) -> dict[str, Label]:
    """One person's labels; which clip is shown on the left is drawn."""
    swapped = bool(rng.random() < 0.5)
    left, right = (b, a) if swapped else (a, b)
    sides = person.judge(left.quality(), right.quality(), rng)
    sign = -1 if swapped else 1
    return {key: sign * (1 - SIDES.index(side)) for key, side in sides.items()}


def consensus(labels: list[Label]) -> Label | None:
    """The strict majority, or None where people split."""
    label, count = Counter(labels).most_common(1)[0]
    return label if 2 * count > len(labels) else None


def difficulty(pairs: int, votes: int, seed: int, world: str = FIRST) -> dict[str, Difficulty]:
    """Simulate a campaign; `votes` = 1 gives the difficulty of single votes."""
    rng = np.random.default_rng(seed)
    crowd = random_crowd(9, 0, rng)
    seen: dict[str, list[tuple[Label, float]]] = {key: [] for key in WORLDS[world].dimensions}
    for _ in range(pairs):
        a, b = random_pair(rng, world)
        people = rng.choice(len(crowd), size=votes, replace=False)
        cast = [vote(crowd[person], a, b, rng) for person in people]
        for key in seen:
            label = consensus([each[key] for each in cast])
            if label is not None:
                seen[key].append((label, a.quality()[key] - b.quality()[key]))
    return {key: _summary(rows) for key, rows in seen.items()}


def _summary(rows: list[tuple[Label, float]]) -> Difficulty:
    label, gap = np.array(rows).T
    decided = label != 0
    right = np.where(gap == 0, 0.5, np.sign(gap) == label)
    return Difficulty(float(1 - decided.mean()), float(right[decided].mean()))


if __name__ == "__main__":
    for name in WORLDS:
        for wanted in (1, 3):
            for key, found in difficulty(4000, wanted, seed=0, world=name).items():
                print(
                    f"{name:6} {wanted} votes  {key:10}  ties {found.tie_share:.3f}"
                    f"  ceiling {found.ceiling:.3f}"
                )
