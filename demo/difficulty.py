"""How hard the demo's votes are: the share of ties, and what even the truth cannot get right.

`python -m demo.difficulty` prints it for the consensus of three and for single votes.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from demo.annotators import SIDES, Annotator, random_crowd
from demo.recipes import DIMENSIONS, Recipe, random_facts, random_recipe
from demo.world import GENERATORS

Label = int  # +1 A is better, 0 tie, -1 B is better


@dataclass(frozen=True, slots=True)
class Difficulty:
    """`ceiling`: accuracy of the sign of the true difference where the label is not a tie.

    A pair of equal true quality whose label is not a tie counts one half: nobody can know it.
    """

    tie_share: float
    ceiling: float


def random_pair(rng: np.random.Generator) -> tuple[Recipe, Recipe]:
    """Clips of two different generators for one prompt."""
    facts = random_facts(rng)
    first, second = rng.choice(list(GENERATORS), size=2, replace=False)
    return (
        random_recipe(rng, facts, GENERATORS[str(first)]),
        random_recipe(rng, facts, GENERATORS[str(second)]),
    )


def vote(person: Annotator, a: Recipe, b: Recipe, rng: np.random.Generator) -> dict[str, Label]:
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


def difficulty(pairs: int, votes: int, seed: int) -> dict[str, Difficulty]:
    """Simulate a campaign; `votes` = 1 gives the difficulty of single votes."""
    rng = np.random.default_rng(seed)
    crowd = random_crowd(9, 0, rng)
    seen: dict[str, list[tuple[Label, float]]] = {key: [] for key in DIMENSIONS}
    for _ in range(pairs):
        a, b = random_pair(rng)
        people = rng.choice(len(crowd), size=votes, replace=False)
        cast = [vote(crowd[person], a, b, rng) for person in people]
        for key in DIMENSIONS:
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
    for wanted in (1, 3):
        for key, found in difficulty(4000, wanted, seed=0).items():
            print(f"{wanted} votes  {key}  ties {found.tie_share:.3f}  ceiling {found.ceiling:.3f}")
