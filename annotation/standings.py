"""How everybody in a campaign stands, for its lead: gold, repeats, side, speed. Reads only.

Gold and repeats are judged by the weights of `marking`; the rest comes from the standing votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, false_discovery_control

from annotation.agreement import dawid_skene
from annotation.marking import Standing as GoldStanding
from annotation.marking import right_by_dimension, standing
from annotation.models import Campaign, Cursor, ProbeAnswer, ProbeKind
from annotation.opinions import INVALID, A, B, Ints, Reading, Votes

LONG_RUN: Final = 15  # the same key on all dimensions, so often in a row (ANNOTATION D7)
LEANS: Final = 0.05  # false discoveries among those who are said to lean to a side

_LEFT, _TIE, _RIGHT, _INVALID = range(4)


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
    keys = _screen_keys(votes, single=reading.single)
    left, sided = _sides(keys, votes.annotator, people, single=reading.single)
    leans = _leaning(left, sided)
    reliable = [None] * people if reading.single else _reliability(votes, people)
    return {
        int(person): _Figures(
            left_share=float(left[n] / sided[n]) if sided[n] else None,
            leans=leans[n],
            median_seconds=_median_seconds(votes.active_ms[votes.annotator == n]),
            longest_run=_longest_run_of(votes, keys, n),
            dawid_skene=reliable[n],
        )
        for n, person in enumerate(reading.annotator_ids.tolist())
    }


def _screen_keys(votes: Votes, *, single: bool) -> Ints:
    """[votes, dimensions]: the key that was pressed: left, same, right, invalid; or the score."""
    if single:
        return votes.value
    swap = votes.swap[:, None]
    on_left = (votes.value == A) & ~swap | (votes.value == B) & swap
    on_right = (votes.value == B) & ~swap | (votes.value == A) & swap
    keys = np.select([on_left, on_right, votes.value == INVALID], [_LEFT, _RIGHT, _INVALID], _TIE)
    return keys.astype(np.int64)


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


def _leaning(left: Ints, sided: Ints) -> list[str]:
    """Sides are random, so left answers are half of them; Benjamini and Hochberg over people."""
    told = [""] * len(left)
    tested = [n for n in range(len(left)) if sided[n]]
    if not tested:
        return told
    chances = [binomtest(int(left[n]), int(sided[n])).pvalue for n in tested]
    for n, adjusted in zip(tested, false_discovery_control(chances), strict=True):
        if adjusted < LEANS:
            told[n] = "left" if 2 * left[n] > sided[n] else "right"
    return told


def _median_seconds(active_ms: Ints) -> float | None:
    known = active_ms[active_ms >= 0]
    return float(np.median(known)) / 1000 if len(known) else None


def _longest_run_of(votes: Votes, keys: Ints, person: int) -> int:
    mine = votes.annotator == person
    order = np.argsort(votes.at[mine], kind="stable")
    return longest_run(keys[mine][order])


def longest_run(keys: Ints) -> int:
    """Most votes in a row with one and the same key on all dimensions: [votes, dimensions]."""
    if not len(keys):
        return 0
    straight = (keys == keys[:, :1]).all(1)
    key = np.where(straight, keys[:, 0], -1)
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    lengths = np.diff(np.append(starts, len(key)))
    return int(lengths[key[starts] >= 0].max(initial=0))


def _reliability(votes: Votes, people: int) -> list[float | None]:
    """The chance of saying the true label, averaged over dimensions by their judgements."""
    chance, weight = np.zeros(people), np.zeros(people)
    for column in range(votes.value.shape[1]):
        said = votes.value[:, column]
        valid = (said >= 0) & (said != INVALID)
        if not valid.any():
            continue
        right, judged = _dawid_skene(votes.triplet[valid], votes.annotator[valid], said[valid])
        chance[: len(right)] += right * judged
        weight[: len(judged)] += judged
    known = weight > 0
    return [float(chance[n] / weight[n]) if known[n] else None for n in range(people)]


def _dawid_skene(
    triplet: Ints, annotator: Ints, said: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per annotator: the share of true labels that they name, and how often they judged."""
    _, unit = np.unique(triplet, return_inverse=True)
    found = dawid_skene(unit, annotator, said, INVALID)
    diagonal = np.einsum("akk->ak", found.confusion)
    return diagonal @ found.prior, np.bincount(annotator, minlength=len(diagonal)).astype(float)
