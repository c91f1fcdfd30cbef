"""How far people and a reward model disagree over a whole campaign, per dimension."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.disagreement.ranking import CLASHES, LEAST, Clash, Compared, Filters, Floats


@dataclass(frozen=True, slots=True)
class Overview:
    """One dimension: how many triplets, on how many the words are the same, the surprise in nats.

    `expected` is what the mean would be if the chances of the model were right: their entropy less
    that of what people say.
    """

    key: str
    triplets: int
    same_word: float
    mean: float
    expected: float
    clashes: Mapping[str, int]


def overview(compared: Compared, filters: Filters) -> list[Overview]:
    """Per dimension over the entries that the filters leave; none where nothing is left."""
    kept = compared.chosen(filters)
    excess = _entropy(compared.model) - _entropy(compared.people)
    found = []
    for number, key in enumerate(compared.keys):
        rows = kept[:, number]
        if not rows.any():
            continue
        clash = np.bincount(compared.clash[rows, number], minlength=len(CLASHES)).tolist()
        found.append(
            Overview(
                key=key,
                triplets=int(rows.sum()),
                same_word=clash[CLASHES.index(Clash.NONE)] / int(rows.sum()),
                mean=float(compared.surprise[rows, number].mean()),
                expected=float(excess[rows, number].mean()),
                clashes=dict(zip(map(str, CLASHES), clash, strict=True)),
            )
        )
    return found


def _entropy(chances: Floats) -> Floats:
    found: Floats = -(chances * np.log(np.clip(chances, LEAST, 1))).sum(-1)
    return found
