"""What the page of a re-test shows of its result: numbers as text, shares as places."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User

from annotation.models import Video
from pipelines.comparisons.members import Rate
from pipelines.comparisons.page import RateCell, rate_cell
from pipelines.retests.counting import OVERALL
from pipelines.retests.result import (
    LOSS,
    TIE,
    UNDECIDED,
    WIN,
    DimensionResult,
    HumanTest,
    PairResult,
    Share,
    Voter,
)
from pipelines.run_pages import Clip, playable

SHOWN: Final = 2  # pairs to look at, of each way in which pairs end
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar of wins, ties and losses, in hundredths."""

    name: str
    count: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class HumanRow:
    """One dimension."""

    title: str
    parts: list[Part]
    counts: str
    rest: str  # pairs that have no such word
    ties_half: RateCell | None
    without_ties: RateCell | None
    wilson: str
    p_value: str
    further: str
    alpha: str
    raw: str
    votes: str


@dataclass(frozen=True, slots=True)
class HumanPair:
    """Base and candidate on one prompt, and how it ended."""

    prompt: str
    seed: int | None
    ended: str
    outcome: str
    base: Clip
    candidate: Clip


@dataclass(frozen=True, slots=True)
class HumanView:
    result: HumanTest
    rows: list[HumanRow]
    voters: list[tuple[Voter, str]]
    pairs: list[HumanPair]


def view_of(result: HumanTest, user: User) -> HumanView:
    return HumanView(
        result=result,
        rows=[_row(each) for each in result.dimensions],
        voters=[(each, _number(each.agrees)) for each in result.voters],
        pairs=_pairs(result, user),
    )


def _row(row: DimensionResult) -> HumanRow:
    agreed, said = row.agreement, row.votes
    return HumanRow(
        title=row.title,
        parts=_parts(row),
        counts=f"{row.wins} / {row.ties} / {row.losses}",
        rest=_rest(row),
        ties_half=_cell(row.ties_half),
        without_ties=_cell(row.without_ties),
        wilson=_span(row.ties_half.wilson_low, row.ties_half.wilson_high),
        p_value=_p(row.p_value),
        further=str(row.settled_further),
        alpha=_with(agreed.alpha, _span(agreed.alpha_low, agreed.alpha_high)),
        raw=_number(agreed.raw),
        votes=f"{said[WIN]} / {said[TIE]} / {said[LOSS]}",
    )


def _parts(row: DimensionResult) -> list[Part]:
    parts, start = [], 0.0
    for name, count in (("win", row.wins), ("tie", row.ties), ("loss", row.losses)):
        width = 100 * count / row.counted if row.counted else 0.0
        parts.append(Part(name, count, round(start, 3), round(width, 3)))
        start += width
    return parts


def _rest(row: DimensionResult) -> str:
    words = (
        (row.undecided, "undecided"),
        (row.invalid, "cannot be judged"),
        (row.missing, "without a vote"),
    )
    return ", ".join(f"{count} {word}" for count, word in words if count)


def _cell(share: Share) -> RateCell | None:
    if share.value is None or share.low is None or share.high is None:
        return None
    return rate_cell(Rate(share.value, share.low, share.high))


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _span(low: float | None, high: float | None) -> str:
    return _NONE if low is None or high is None else f"{low:.3f} – {high:.3f}"


def _with(value: float | None, span: str) -> str:
    return _number(value) if span == _NONE else f"{_number(value)} ({span})"


def _p(value: float | None) -> str:
    if value is None:
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


# Pairs to look at: a few of each end, those on which people split first.


def _pairs(result: HumanTest, user: User) -> list[HumanPair]:
    shown = [
        pair
        for word in (UNDECIDED, LOSS, WIN, TIE)
        for pair in [each for each in result.pairs if each.outcome[OVERALL] == word][:SHOWN]
    ]
    rows = _videos(shown)
    found = []
    for pair in shown:
        base, candidate = (rows.get((sha, pair.seed)) for sha in _clips(pair))
        if base is not None and candidate is not None:
            found.append(_pair(pair, base, candidate, user))
    return found


def _clips(pair: PairResult) -> tuple[str, str]:
    return pair.base_sha256, pair.candidate_sha256


def _videos(pairs: Iterable[PairResult]) -> dict[tuple[str, int | None], Video]:
    wanted = {sha for pair in pairs for sha in _clips(pair)}
    rows = Video.objects.filter(sha256__in=wanted, withdrawn=False)
    return {(video.sha256, video.seed): video for video in rows}


def _pair(pair: PairResult, base: Video, candidate: Video, user: User) -> HumanPair:
    words = ", ".join(f"{key} {word}" for key, word in pair.outcome.items() if key != OVERALL)
    return HumanPair(
        prompt=pair.prompt,
        seed=pair.seed,
        ended=pair.outcome[OVERALL],
        outcome=words,
        base=playable(base, user, f"base: {pair.prompt}"),
        candidate=playable(candidate, user, f"candidate: {pair.prompt}"),
    )
