"""Votes of a re-test into win, tie and loss with their intervals. Pure arithmetic, no database.

Per pair and dimension: what more than half of the valid votes say, `invalid` where half say so
(`annotation.consensus`, with win for A and loss for B). Rates: over the pairs that ended so, ties
counting one half, and without ties; 95 % by a bootstrap over prompts, because clips of one prompt
are not independent, and Wilson's interval beside it. ML.md 6.4.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from annotation.agreement import agreement
from annotation.consensus import consensus_of
from annotation.statistics.clustered import numbered
from formats.labels import Label
from pipelines.retests.result import (
    INVALID,
    LOSS,
    MISSING,
    OUTCOMES,
    TIE,
    UNDECIDED,
    WIN,
    Agreement,
    DimensionResult,
    Share,
)
from pipelines.win_rates import prompt_test, wilson, win_rate

OVERALL: Final = "overall"
_POINT: Final = {WIN: 1.0, TIE: 0.0, LOSS: -1.0}
_SCALE: Final = (LOSS, TIE, WIN)  # ordinal
# What people compare has two sides: consensus knows them as A and B.
_AS_LABEL: Final = {WIN: Label.A, TIE: Label.TIE, LOSS: Label.B, INVALID: Label.INVALID}
_AS_WORD: Final = {label: word for word, label in _AS_LABEL.items()}

Said = Mapping[str, str]  # dimension -> win, tie, loss or invalid


@dataclass(frozen=True, slots=True)
class PairVotes:
    """One prompt and seed. `votes` in the order in which they came; `ruled`: by adjudication.

    `identical`: both sides are the same bytes; nobody was asked, and it is a tie.
    """

    prompt: str
    votes: tuple[Said, ...] = ()
    ruled: Said = field(default_factory=dict)
    identical: bool = False


def seen_from(label: Label, candidate_is: str) -> str:
    """A label in canonical order as the candidate sees it."""
    if label in (Label.TIE, Label.INVALID):
        return _AS_WORD[label]
    return WIN if label.value == candidate_is else LOSS


def outcome(pair: PairVotes, key: str) -> str:
    """How a pair ended on one dimension: one of OUTCOMES."""
    if pair.identical:
        return TIE
    if key in pair.ruled:
        return pair.ruled[key]
    return _majority([said[key] for said in pair.votes if key in said])


def outcomes(pair: PairVotes, keys: Sequence[str]) -> dict[str, str]:
    """On every dimension, and overall: the side that wins more of them."""
    found = {key: outcome(pair, key) for key in keys}
    return {OVERALL: overall(found.values()), **found}


def overall(words: Iterable[str]) -> str:
    """The side that wins more dimensions. Where no dimension has a winner or a tie, why not."""
    counts = Counter(words)
    if counts[WIN] + counts[TIE] + counts[LOSS]:
        more = counts[WIN] - counts[LOSS]
        return WIN if more > 0 else LOSS if more < 0 else TIE
    return next((word for word in (UNDECIDED, INVALID) if counts[word]), MISSING)


def _majority(words: Sequence[str]) -> str:
    if not words:
        return MISSING
    label = consensus_of([_AS_LABEL[word] for word in words])
    return UNDECIDED if label is None else _AS_WORD[label]


def results(
    pairs: Sequence[PairVotes],
    titles: Mapping[str, str],
    *,
    votes_wanted: int,
    seed: int = 0,
    resamples: int = 4000,
) -> tuple[DimensionResult, ...]:
    """`titles`: of the dimensions, in their order. `overall` comes first."""
    ended = [outcomes(pair, list(titles)) for pair in pairs]
    chance = _Chance(seed, resamples)
    return tuple(
        _result(
            column := _Column(key, title, pairs, [each[key] for each in ended]),
            chance,
            _settled_further(column, list(titles), votes_wanted),
        )
        for key, title in {OVERALL: "Overall", **titles}.items()
    )


@dataclass(frozen=True, slots=True)
class _Chance:
    seed: int
    resamples: int


@dataclass(frozen=True, slots=True)
class _Column:
    """One dimension of all pairs."""

    key: str
    title: str
    pairs: Sequence[PairVotes]
    ended: Sequence[str]

    def single_votes(self) -> list[list[str]]:
        """What each vote says here, by pair."""
        if self.key != OVERALL:
            return [[said[self.key] for said in p.votes if self.key in said] for p in self.pairs]
        return [[overall(said.values()) for said in pair.votes] for pair in self.pairs]


def _result(column: _Column, chance: _Chance, settled_further: int) -> DimensionResult:
    counts = Counter(column.ended)
    votes = column.single_votes()
    said = Counter(word for words in votes for word in words)
    return DimensionResult(
        key=column.key,
        title=column.title,
        wins=counts[WIN],
        ties=counts[TIE],
        losses=counts[LOSS],
        invalid=counts[INVALID],
        undecided=counts[UNDECIDED],
        missing=counts[MISSING],
        settled_further=settled_further,
        ties_half=_share(column, (WIN, TIE, LOSS), chance),
        without_ties=_share(column, (WIN, LOSS), chance),
        p_value=_p_value(column),
        votes={word: said[word] for word in OUTCOMES if word in _AS_LABEL},
        agreement=_agreement(column.pairs, votes, chance),
    )


def _settled_further(column: _Column, keys: Sequence[str], votes_wanted: int) -> int:
    """Pairs on which the wanted votes had no majority and a further vote gave one."""
    return sum(
        word in _POINT
        and len(pair.votes) > votes_wanted
        and not pair.ruled
        and outcomes(replace(pair, votes=pair.votes[:votes_wanted]), keys)[column.key] not in _POINT
        for pair, word in zip(column.pairs, column.ended, strict=True)
    )


def _p_value(column: _Column) -> float | None:
    ended = zip(column.pairs, column.ended, strict=True)
    kept = [(pair.prompt, _POINT[word]) for pair, word in ended if word in _POINT]
    return prompt_test([each[0] for each in kept], [each[1] for each in kept])


def _share(column: _Column, counted: Sequence[str], chance: _Chance) -> Share:
    kept = [
        (pair.prompt, _POINT[word])
        for pair, word in zip(column.pairs, column.ended, strict=True)
        if word in counted
    ]
    if not kept:
        return Share(None, None, None, None, None, 0)
    prompts, points = [each[0] for each in kept], [each[1] for each in kept]
    rate = win_rate(prompts, points, seed=chance.seed, resamples=chance.resamples)
    low, high = wilson(rate.rate, len(points))
    return Share(rate.rate, rate.low, rate.high, low, high, len(points))


def _agreement(
    pairs: Sequence[PairVotes], votes: Sequence[Sequence[str]], chance: _Chance
) -> Agreement:
    """Over the votes that compare: `invalid` is no value of the scale."""
    counts = np.array(
        [[words.count(word) for word in _SCALE] for words in votes], dtype=np.int64
    ).reshape(-1, len(_SCALE))  # fmt: skip
    shared = int((counts.sum(1) >= 2).sum())
    if not shared:
        return Agreement(int(counts.sum()), 0, None, None, None, None, None)
    ids = {prompt: at for at, prompt in enumerate(dict.fromkeys(pair.prompt for pair in pairs))}
    cluster = numbered(np.array([ids[pair.prompt] for pair in pairs]))[1]
    found = agreement(counts, cluster, seed=chance.seed)
    return Agreement(
        votes=int(counts.sum()),
        pairs=shared,
        raw=found.raw.value,
        alpha=found.alpha_nominal.value,
        alpha_low=found.alpha_nominal.low,
        alpha_high=found.alpha_nominal.high,
        ac1=found.ac1.value,
    )
