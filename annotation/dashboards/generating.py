"""Which generator is preferred? Leaderboards, rank ranges, win matrices; mean scores of clips."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annotation.dashboards.panel import Column, Table, interval_columns, table
from annotation.opinions import TIE, A, B, Reading
from annotation.ranking import Ranking, elo, fit_btt, ranges_of
from annotation.statistics.clustered import ROUNDS, Interval, numbered, resamples, size_of
from annotation.statistics.clustered import interval as percentile_interval

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """One generator on one dimension: a strength of pairs, a mean score of clips."""

    generator: str
    judgements: int
    best_rank: int
    worst_rank: int
    strength: float | None = None
    low: float | None = None
    high: float | None = None
    elo: float | None = None  # the strength, rescaled
    elo_low: float | None = None
    elo_high: float | None = None
    score: float | None = None  # mean, from 1 to 5
    score_low: float | None = None
    score_high: float | None = None


@dataclass(frozen=True, slots=True)
class Duel:
    """Row against column: judgements won, tied, lost."""

    wins: int
    ties: int
    losses: int

    @property
    def total(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def share(self) -> float | None:
        """Of the wins, a tie counting one half."""
        return (self.wins + self.ties / 2) / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    key: str
    title: str
    judgements: int
    theta: float | None  # the tie parameter; None for scores
    connected: bool  # else strengths of separate groups cannot be compared
    places: tuple[Place, ...]  # best first
    duels: tuple[tuple[Duel, ...], ...]  # in the order of `places`; empty for scores
    distribution: tuple[int, ...]  # how often each score was given; empty for pairs


@dataclass(frozen=True, slots=True)
class GeneratorsPanel:
    campaign: int
    single: bool
    generators: int
    unknown: int  # judgements of clips whose generator is not known, or of a generator and itself
    dimensions: tuple[Leaderboard, ...]

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("dimension", _("Dimension")),
            Column("best_rank", _("Best rank"), "count"),
            Column("worst_rank", _("Worst rank"), "count"),
            Column("generator", _("Generator")),
            *interval_columns("strength", _("Strength"), "coefficient"),
            *interval_columns("elo", _("Elo"), "elo"),
            *interval_columns("score", _("Mean score"), "coefficient"),
            Column("judgements", _("Judgements"), "count"),
        ]
        places = [_place_cells(board.key, row) for board in self.dimensions for row in board.places]
        tables = [table("leaderboard", _("Leaderboard"), columns, places)]
        if self.single:
            scores = [
                Column("dimension", _("Dimension")),
                *(Column(n, n, "count") for n in "12345"),
            ]
            rows = [(board.key, *board.distribution) for board in self.dimensions]
            return (*tables, table("scores", _("Scores given"), scores, rows))
        duels = [
            Column("dimension", _("Dimension")),
            Column("generator", _("Generator")),
            Column("against", _("Against")),
            Column("wins", _("Wins"), "count"),
            Column("ties", _("Ties"), "count"),
            Column("losses", _("Losses"), "count"),
            Column("share", _("Win rate, a tie one half"), "share"),
        ]
        return (*tables, table("wins", _("Win matrix"), duels, _duel_rows(self.dimensions)))


def _place_cells(key: str, row: Place) -> tuple[Any, ...]:
    return (
        *(key, row.best_rank, row.worst_rank, row.generator),
        *(row.strength, row.low, row.high, row.elo, row.elo_low, row.elo_high),
        *(row.score, row.score_low, row.score_high, row.judgements),
    )


def _duel_rows(boards: tuple[Leaderboard, ...]) -> list[tuple[Any, ...]]:
    return [
        (board.key, one.generator, other.generator, duel.wins, duel.ties, duel.losses, duel.share)
        for board in boards
        for one, row in zip(board.places, board.duels, strict=True)
        for other, duel in zip(board.places, row, strict=True)
        if duel.total
    ]


def generators_panel(reading: Reading) -> GeneratorsPanel:
    names, a, b = reading.generators
    votes = reading.votes
    side_a, side_b = a[votes.triplet], b[votes.triplet]
    known = side_a >= 0 if reading.single else (side_a >= 0) & (side_b >= 0) & (side_a != side_b)
    valid = (votes.value >= 0) & (votes.value < len(reading.scale))
    board = _scores if reading.single else _leaderboard
    found = [board(reading, place, known & valid[:, place]) for place in reading.order]
    return GeneratorsPanel(
        campaign=reading.campaign.pk,
        single=reading.single,
        generators=len(names),
        unknown=int(valid[~known].sum()),
        dimensions=tuple(each for each in found if each is not None),
    )


def _leaderboard(reading: Reading, place: int, kept: NDArray[np.bool_]) -> Leaderboard | None:
    votes = reading.votes
    names, of_a, of_b = reading.generators
    if not kept.any():
        return None
    triplet, value = votes.triplet[kept], votes.value[kept, place]
    a, b = of_a[triplet], of_b[triplet]
    seen, models = numbered(np.concatenate([a, b]))
    a, b = models.reshape(2, -1)
    size = len(seen)
    ranking = fit_btt(a, b, value - TIE, reading.groups[triplet], size)
    cells = np.bincount((a * size + b) * 3 + value, minlength=size * size * 3)
    outcomes = cells.reshape(size, size, 3)  # [a, b, outcome]
    judged = np.bincount(a, minlength=size) + np.bincount(b, minlength=size)
    order = np.argsort(-ranking.strength, kind="stable")
    ranks = ranges_of(ranking.low, ranking.high)
    places = [
        _place(names[seen[each]], int(judged[each]), ranks[each], _ends(ranking, each))
        for each in order
    ]
    dimension = reading.dimensions[place]
    return Leaderboard(
        key=dimension.key,
        title=dimension.title,
        judgements=int(kept.sum()),
        theta=ranking.theta,
        connected=_connected(outcomes.sum(2)),
        places=tuple(places),
        duels=_duels(outcomes, order),
        distribution=(),
    )


def _ends(ranking: Ranking, model: int) -> tuple[float, float, float]:
    strength, low, high = (
        float(ends[model]) for ends in (ranking.strength, ranking.low, ranking.high)
    )
    return strength, low, high


def _place(
    generator: str, judgements: int, ranks: tuple[int, int], ends: tuple[float, float, float]
) -> Place:
    strength, low, high = ends
    return Place(
        generator,
        judgements,
        *ranks,
        strength=strength,
        low=low,
        high=high,
        elo=elo(strength),
        elo_low=elo(low),
        elo_high=elo(high),
    )


def _connected(compared: Ints) -> bool:
    parts, _labels = connected_components(coo_matrix(compared), directed=False)
    return bool(parts == 1)


def _duels(outcomes: Ints, order: Ints) -> tuple[tuple[Duel, ...], ...]:
    wins = outcomes[:, :, A] + outcomes[:, :, B].T
    ties = outcomes[:, :, TIE] + outcomes[:, :, TIE].T
    return tuple(
        tuple(Duel(int(wins[i, j]), int(ties[i, j]), int(wins[j, i])) for j in order) for i in order
    )


# Single clips: means of scores.


def _scores(reading: Reading, place: int, kept: NDArray[np.bool_]) -> Leaderboard | None:
    votes = reading.votes
    names, of_a, _b = reading.generators
    if not kept.any():
        return None
    triplet, score = votes.triplet[kept], votes.value[kept, place] + 1
    seen, model = numbered(of_a[triplet])
    figures = mean_scores(model, score, reading.groups[triplet], len(seen))
    judged = np.bincount(model, minlength=len(seen))
    ends = [np.array([getattr(each, end) for each in figures]) for end in ("low", "high")]
    ranks = ranges_of(*ends)
    order = np.argsort([-each.value for each in figures], kind="stable")
    places = [
        Place(
            names[seen[each]],
            int(judged[each]),
            best_rank=ranks[each][0],
            worst_rank=ranks[each][1],
            score=figures[each].value,
            score_low=figures[each].low,
            score_high=figures[each].high,
        )
        for each in order
    ]
    dimension = reading.dimensions[place]
    return Leaderboard(
        key=dimension.key,
        title=dimension.title,
        judgements=int(kept.sum()),
        theta=None,
        connected=True,
        places=tuple(places),
        duels=(),
        distribution=tuple(np.bincount(score, minlength=6)[1:].tolist()),
    )


def mean_scores(model: Ints, score: Ints, group: Ints, models: int) -> list[Interval]:
    """Mean per generator, prompts drawn anew; without two prompts the interval is the mean."""
    groups = size_of(group)
    cell = group * models + model
    sums, counts = (
        np.bincount(cell, weight, groups * models).reshape(groups, models)
        for weight in (score, np.ones(len(score)))
    )
    means = sums.sum(0) / counts.sum(0)
    if groups < 2:
        return [Interval(float(mean), float(mean), float(mean)) for mean in means]
    weights = resamples(groups, rounds=ROUNDS)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ sums) / (weights @ counts)
    return [
        percentile_interval(float(mean), drawn[:, each])
        or Interval(float(mean), float(mean), float(mean))
        for each, mean in enumerate(means)
    ]
