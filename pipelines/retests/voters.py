"""Whose votes of a re-test count, and how each annotator's fit those of the others. No database."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from annotation.consensus import consensus_of
from annotation.quality.carelessness import carefulness
from annotation.retests import CastVote
from formats.labels import CLASSES, Label

_CLASS: Final = {label: at for at, label in enumerate(CLASSES)}


def careless(votes: Iterable[CastVote]) -> dict[int, str]:
    """Who answers at random, by the rule of `quality.carelessness`; why, by annotator."""
    said = [
        (vote.triplet, key, vote.annotator, _CLASS[label])
        for vote in votes
        for key, label in vote.labels.items()
        if label in _CLASS
    ]
    people = sorted({row[2] for row in said})
    units = {unit: at for at, unit in enumerate(dict.fromkeys(row[:2] for row in said))}
    place = {person: at for at, person in enumerate(people)}
    found = carefulness(
        np.array([units[row[:2]] for row in said], dtype=np.int64),
        np.array([place[row[2]] for row in said], dtype=np.int64),
        np.array([row[3] for row in said], dtype=np.int64),
        len(people),
    )
    return {
        people[each.annotator]: (
            f"about {each.random_share:.0%} of their answers are random, by the fixed rule"
        )
        for each in found
        if each.careless and each.random_share is not None
    }


def kept(votes: Iterable[CastVote], excluded: Mapping[int, str]) -> dict[int, list[CastVote]]:
    """The votes that count, by triplet, in their order.

    In the place of an excluded vote comes one that was kept as surplus, where there is one.
    """
    by_triplet: dict[int, list[CastVote]] = defaultdict(list)
    for vote in votes:
        by_triplet[vote.triplet].append(vote)
    return {triplet: _kept(rows, excluded) for triplet, rows in by_triplet.items()}


def _kept(votes: Sequence[CastVote], excluded: Mapping[int, str]) -> list[CastVote]:
    wanted = sum(vote.counted for vote in votes)
    good = [vote for vote in votes if vote.annotator not in excluded]
    first = sorted(good, key=lambda vote: not vote.counted)[:wanted]
    return [vote for vote in good if vote in first]


def agrees(votes: Iterable[CastVote]) -> dict[int, float]:
    """By annotator: how often they say what most of the others say on the same pair."""
    by_triplet: dict[int, list[CastVote]] = defaultdict(list)
    for vote in votes:
        by_triplet[vote.triplet].append(vote)
    same: Counter[int] = Counter()
    asked: Counter[int] = Counter()
    for rows in by_triplet.values():
        for vote in rows:
            others = [row for row in rows if row is not vote]
            for key, label in vote.labels.items():
                majority = consensus_of([row.labels[key] for row in others if key in row.labels])
                if majority is not None and label is not Label.INVALID:
                    asked[vote.annotator] += 1
                    same[vote.annotator] += label is majority
    return {person: same[person] / count for person, count in asked.items()}
