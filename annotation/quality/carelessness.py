"""Who votes at random? A rule that was fixed beforehand, from the votes alone.

Each judgement is compared with those of other people on the same unit (a triplet on one dimension):
1 for the same answer, 1/2 for a tie against a decision, 0 for A against B. Somebody who answers at
random in a share s of cases agrees with others like

    agreement(s) = (1 - s) * usual + s * chance,

where `chance` is what a fair three-sided die would score against the same answers of others. So

    s = (usual - agreement) / (usual - chance).

`usual` is the median over all people, which holds as long as fewer than half of them are careless.
A person is called careless where s exceeds RANDOM_SHARE.

The constants were chosen on the simulated campaigns of seeds 1000 to 1019 and are not to be tuned
on the seeds 0 to 19 that `python -m bench.careless` reports. RANDOM_SHARE is about half of what
somebody has who is random in 60 % of cases: on those seeds honest people, noisy, tie-shy or
one-sided, stayed below 0.23 and careless ones above 0.39.
MIN_COMPARISONS keeps the error of s near 0.1, so that nobody is accused on little evidence.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

RANDOM_SHARE: Final = 0.31
MIN_COMPARISONS: Final = 150

# Rows and columns in the order of formats.labels.CLASSES: A, tie, B.
AGREEMENT: Final = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]])
CHANCE: Final = AGREEMENT.mean(axis=0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Carefulness:
    """How one annotator answers. `random_share` is None where there is too little to compare."""

    annotator: int
    comparisons: int
    agreement: float | None
    random_share: float | None

    @property
    def careless(self) -> bool:
        return self.random_share is not None and self.random_share > RANDOM_SHARE


def carefulness(
    unit: ArrayLike, annotator: ArrayLike, label: ArrayLike, n_annotators: int
) -> list[Carefulness]:
    """One entry per annotator, from equally long int arrays with one entry per judgement.

    `label`: 0 A, 1 tie, 2 B; leave invalid judgements out. ValueError for anything else.
    """
    units, people, labels = _checked(unit, annotator, label, n_annotators)
    cell = units * 3 + labels
    counts = np.bincount(cell, minlength=3 * (int(units.max(initial=-1)) + 1)).reshape(-1, 3)
    # Sums over all answers to a unit, and then without the own one.
    compared = np.bincount(people, counts.sum(1)[units] - 1, n_annotators)
    scored = np.bincount(people, (counts @ AGREEMENT).ravel()[cell] - 1, n_annotators)
    by_chance = np.bincount(people, (counts @ CHANCE)[units] - CHANCE[labels], n_annotators)
    enough = compared >= MIN_COMPARISONS
    agreement = scored / np.maximum(compared, 1)
    shares = _random_shares(agreement, by_chance / np.maximum(compared, 1), enough)
    return [
        Carefulness(
            annotator=index,
            comparisons=int(compared[index]),
            agreement=float(agreement[index]) if compared[index] else None,
            random_share=shares[index],
        )
        for index in range(n_annotators)
    ]


def _checked(
    unit: ArrayLike, annotator: ArrayLike, label: ArrayLike, n_annotators: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    units, people, labels = (np.asarray(each, dtype=np.int64) for each in (unit, annotator, label))
    if not units.shape == people.shape == labels.shape or units.ndim != 1:
        raise ValueError("unit, annotator and label must be equally long lists")
    if len(labels) and (units.min() < 0 or people.min() < 0 or people.max() >= n_annotators):
        raise ValueError(f"ids count from 0 and annotators stay below {n_annotators}")
    if len(labels) and (labels.min() < 0 or labels.max() > 2):
        raise ValueError("labels are 0 (A), 1 (tie) or 2 (B)")
    return units, people, labels


def _random_shares(
    agreement: Floats, chance: Floats, enough: NDArray[np.bool_]
) -> list[float | None]:
    """None for people with too little to compare, and for all where nobody beats chance."""
    # Fewer than three people cannot say which of them is the odd one out.
    if enough.sum() < 3:
        return [None] * len(agreement)
    usual = float(np.median(agreement[enough]))
    return [
        (usual - mine) / (usual - lucky) if known and usual > lucky else None
        for mine, lucky, known in zip(agreement.tolist(), chance.tolist(), enough, strict=True)
    ]
