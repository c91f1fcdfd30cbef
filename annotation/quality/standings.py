"""How everybody in a campaign stands, for its lead: gold, repeats, side, speed. Reads only.

Gold and repeats are judged by the weights of `marking`; the rest comes from the standing votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from annotation.dashboards.people import (
    adjusted_chances,
    chance_of_leaning,
    consensus_tables,
    votes_for_a_side,
)
from annotation.models import Campaign, Cursor, ProbeAnswer, ProbeKind
from annotation.opinions import Ints, Reading
from annotation.quality.marking import Standing as GoldStanding
from annotation.quality.marking import right_by_dimension, standing
from annotation.statistics.clustered import numbered

LONG_RUN: Final = 15  # the same key on all dimensions, so often in a row (ANNOTATION D7)
LEANS: Final = 0.05  # false discoveries among those who are said to lean to a side

_LEFT, _TIE, _RIGHT, _INVALID, _NOTHING_ASKED = range(5)
_MIXED: Final = -2  # several keys in one vote
# The key that was pressed, by swap and value; the last column is reached by NOT_ASKED = -1.
_SCREEN: Final = np.array(
    [
        [_RIGHT, _TIE, _LEFT, _INVALID, _NOTHING_ASKED],
        [_LEFT, _TIE, _RIGHT, _INVALID, _NOTHING_ASKED],
    ]
)


@dataclass(frozen=True, slots=True)
class Standing:
    """One annotator's row. None: too little is known to say."""

    annotator: int
    name: str
    stage: str
    stage_since: datetime
    stage_reason: str
    attempt: int
    questions: int  # everything answered, probes included
    votes: int
    gold: GoldStanding  # of the window that decides about a pause
    gold_answers: int  # ever
    gold_right: dict[str, float]  # ever, by dimension
    repeats: int
    same_again: float | None  # weighted share of equal answers on own repeats
    left_share: float | None
    leans: str  # left, right, or nothing: by the test, false discoveries held at 5 %
    median_seconds: float | None
    longest_run: int
    dawid_skene: float | None  # chance of saying the true label, by Dawid and Skene

    @property
    def straight(self) -> bool:
        return self.longest_run >= LONG_RUN


def standings(campaign: Campaign) -> tuple[Standing, ...]:
    """Everybody who has begun: those whom something stops first, then by name."""
    cursors = list(Cursor.objects.filter(campaign=campaign).select_related("annotator"))
    probed = _probed(campaign)
    figures = _figures(Reading(campaign))
    rows = [
        _row(campaign, cursor, probed, figures.get(cursor.annotator_id, _NOTHING))
        for cursor in cursors
    ]
    return tuple(sorted(rows, key=lambda row: (row.stage not in {"paused", "failed"}, row.name)))


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the votes of one annotator say about them."""

    left_share: float | None = None
    leans: str = ""
    median_seconds: float | None = None
    longest_run: int = 0
    dawid_skene: float | None = None


_NOTHING: Final = _Figures()


def _row(
    campaign: Campaign,
    cursor: Cursor,
    probed: dict[tuple[int, str], list[ProbeAnswer]],
    figures: _Figures,
) -> Standing:
    golds = probed.get((cursor.annotator_id, ProbeKind.GOLD), [])
    repeats = probed.get((cursor.annotator_id, ProbeKind.REPEAT), [])
    window = [each.errors for each in golds if each.submitted_at >= cursor.work_since]
    return Standing(
        annotator=cursor.annotator_id,
        name=cursor.annotator.username,
        stage=cursor.stage,
        stage_since=cursor.stage_since,
        stage_reason=cursor.stage_reason,
        attempt=cursor.attempt,
        questions=cursor.questions,
        votes=cursor.votes,
        gold=standing(window, campaign.keep_share),
        gold_answers=len(golds),
        gold_right=right_by_dimension([each.by_dimension for each in golds]),
        repeats=len(repeats),
        same_again=same_again([each.errors for each in repeats]),
        left_share=figures.left_share,
        leans=figures.leans,
        median_seconds=figures.median_seconds,
        longest_run=figures.longest_run,
        dawid_skene=figures.dawid_skene,
    )


def same_again(errors: Sequence[float]) -> float | None:
    return 1 - sum(errors) / len(errors) if errors else None


def _probed(campaign: Campaign) -> dict[tuple[int, str], list[ProbeAnswer]]:
    rows = ProbeAnswer.objects.filter(
        campaign=campaign, kind__in=[ProbeKind.GOLD, ProbeKind.REPEAT], superseded=False
    )
    found: dict[tuple[int, str], list[ProbeAnswer]] = {}
    wanted = ("annotator_id", "kind", "errors", "by_dimension", "submitted_at")
    for row in rows.only(*wanted).order_by("submitted_at", "pk"):
        found.setdefault((row.annotator_id, row.kind), []).append(row)
    return found


def _figures(reading: Reading) -> dict[int, _Figures]:
    votes, people = reading.votes, len(reading.annotator_ids)
    if not len(votes):
        return {}
    keys = (
        votes.value
        if reading.single
        else _SCREEN[votes.swap.astype(np.int64)[:, None], votes.value]
    )
    left, sided = _sides(keys, votes.annotator, people, single=reading.single)
    leans = [""] * people if reading.single else _leaning(keys, votes.annotator, people)
    seconds = _median_seconds(votes.annotator, votes.active_ms, people)
    runs = longest_runs(votes.annotator, votes.at, keys, people)
    reliable = [None] * people if reading.single else _reliability(reading, people)
    return {
        int(person): _Figures(
            left_share=float(left[n] / sided[n]) if sided[n] else None,
            leans=leans[n],
            median_seconds=seconds[n],
            longest_run=runs[n],
            dawid_skene=reliable[n],
        )
        for n, person in enumerate(reading.annotator_ids.tolist())
    }


def _sides(keys: Ints, annotator: Ints, people: int, *, single: bool) -> tuple[Ints, Ints]:
    """Per annotator: answers for the left, and answers for either side."""
    if single:
        return np.zeros(people, np.int64), np.zeros(people, np.int64)
    left = (keys == _LEFT).sum(1)
    sided = left + (keys == _RIGHT).sum(1)
    return (
        np.bincount(annotator, left, people).astype(np.int64),
        np.bincount(annotator, sided, people).astype(np.int64),
    )


def _leaning(keys: Ints, annotator: Ints, people: int) -> list[str]:
    """Sides are random, so half of the votes are for the left; corrected over people."""
    left, sided = votes_for_a_side(keys == _LEFT, keys == _RIGHT, annotator, people)
    told = [""] * people
    tested = np.flatnonzero(sided)
    if not len(tested):
        return told
    chances = chance_of_leaning(left[tested], sided[tested])
    for n, adjusted in zip(tested, adjusted_chances(chances), strict=True):
        if adjusted < LEANS:
            told[n] = "left" if 2 * left[n] > sided[n] else "right"
    return told


def _median_seconds(annotator: Ints, active_ms: Ints, people: int) -> list[float | None]:
    measured = active_ms >= 0
    who, spent = annotator[measured], active_ms[measured]
    ends = np.cumsum(np.bincount(who, minlength=people))
    parts = np.split(spent[_grouped(who)], ends[:-1])
    return [float(np.median(part)) / 1000 if len(part) else None for part in parts]


def _grouped(annotator: Ints) -> Ints:
    """Places by annotator, otherwise in their order. Small numbers are sorted by counting."""
    small = annotator.max(initial=0) < 2**15
    return np.argsort(annotator.astype(np.int16) if small else annotator, kind="stable")


def longest_runs(annotator: Ints, at: Ints, keys: Ints, people: int) -> list[int]:
    """Most votes in a row with one and the same key on all dimensions: `keys` [votes, dimensions].

    A run is of one annotator, in the order of time.
    """
    by_time = np.argsort(at, kind="stable")  # nearly in order already
    order = by_time[_grouped(annotator[by_time])]
    who, keys = annotator[order], keys[order]
    key = np.where((keys == keys[:, :1]).all(1), keys[:, 0], _MIXED)
    breaks = (key[1:] != key[:-1]) | (who[1:] != who[:-1])
    starts = np.flatnonzero(np.concatenate([[True], breaks]))
    lengths = np.diff(np.append(starts, len(key)))
    longest = np.zeros(people, dtype=np.int64)
    straight = key[starts] != _MIXED
    np.maximum.at(longest, who[starts][straight], lengths[straight])
    return [int(each) for each in longest]


def _reliability(reading: Reading, people: int) -> list[float | None]:
    """The chance of saying the true label, averaged over dimensions by their judgements."""
    votes, labels = reading.votes, len(reading.scale)
    right, judged = np.zeros(people), np.zeros(people)
    for place in range(len(reading.dimensions)):
        said = votes.value[:, place]
        valid = np.flatnonzero((said >= 0) & (said < labels))
        if not len(valid):
            continue
        unit = numbered(votes.triplet[valid])[1]
        tables = consensus_tables(unit, votes.annotator[valid], said[valid], people, labels)
        right += np.einsum("akk->a", tables)
        judged += tables.sum((1, 2))
    return [float(right[n] / judged[n]) if judged[n] else None for n in range(people)]
