"""What a person reaches: one annotator against the consensus of the others.

No model can be expected to agree with a consensus more than the people do whose votes made it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models_rm.metrics.intervals import Interval, draws

_SIGN: Final = {"A": 1, "tie": 0, "B": -1}
Said = tuple[int, int]  # what one annotator said, and what the consensus of the others is


@dataclass(frozen=True, slots=True)
class HumanCeiling:
    """Over `judgements` whose pair has a consensus of the others, of `annotators` people.

    `with_ties`: how often all three classes agree. `without_ties`: where the others decided, a tie
    of the annotator counts one half. Intervals draw prompts.
    """

    judgements: int
    annotators: int
    with_ties: float
    with_ties_interval: Interval | None
    without_ties: float | None
    without_ties_interval: Interval | None


def consensus_of(labels: Iterable[str]) -> str | None:
    """The strict majority of A, tie and B among labels that are not invalid; None without one.

    As the consensus of a campaign: None too where at least half of the labels say invalid.
    """
    words = list(labels)
    counts = Counter(word for word in words if word in _SIGN)
    if not counts or 2 * (len(words) - counts.total()) >= len(words):
        return None
    word, most = counts.most_common(1)[0]
    return word if 2 * most > counts.total() else None


def human_ceiling(
    judgements: Sequence[Sequence[tuple[str, str]]],
    prompts: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> HumanCeiling | None:
    """`judgements`: per pair (annotator, label) of one dimension; `prompts`: of each pair.

    None where no pair has an annotator and a consensus of the others.
    """
    found: dict[str, list[Said]] = defaultdict(list)
    people = set()
    for each, prompt in zip(judgements, prompts, strict=True):
        for place, (annotator, label) in enumerate(each):
            others = consensus_of(word for n, (_, word) in enumerate(each) if n != place)
            if label in _SIGN and others is not None:
                found[prompt].append((_SIGN[label], _SIGN[others]))
                people.add(annotator)
    if not found:
        return None
    cluster = np.repeat(np.arange(len(found)), [len(each) for each in found.values()])
    said = np.array([pair for each in found.values() for pair in each])
    equal = (said[:, 0] == said[:, 1]).astype(np.float32)
    decided = (said[:, 1] != 0).astype(np.float32)
    earned = (1 + said[:, 0] * said[:, 1]).astype(np.float32) / 2 * decided
    return HumanCeiling(
        judgements=len(said),
        annotators=len(people),
        with_ties=float(equal.mean()),
        with_ties_interval=_interval(equal, np.ones_like(equal), cluster, resamples, seed),
        without_ties=float(earned.sum() / decided.sum()) if decided.any() else None,
        without_ties_interval=_interval(earned, decided, cluster, resamples, seed),
    )


def _interval(
    above: np.ndarray, below: np.ndarray, cluster: np.ndarray, resamples: int, seed: int
) -> Interval | None:
    if not resamples or not below.any():
        return None
    parts = [
        np.stack([weights @ above, weights @ below]) for weights in draws(cluster, resamples, seed)
    ]
    top, bottom = np.concatenate(parts, axis=1)
    low, high = np.quantile(top[bottom > 0] / bottom[bottom > 0], [0.025, 0.975])
    return Interval(float(low), float(high))
