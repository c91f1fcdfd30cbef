"""How well reward models predict the votes of a benchmark, beside each other and beside chance."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from formats.errors import FormatError
from models_rm.benchmarks.pairs import OVERALL, VOTE, Benchmark, Key, Pair
from models_rm.benchmarks.published import PAIRS, PUBLISHED, SOURCE
from models_rm.metrics import (
    Interval,
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    at,
    baselines,
    clustered_interval,
    compare,
    resampled_accuracy_with_ties,
    resampled_accuracy_without_ties,
)
from models_rm.metrics.intervals import Statistic

FOLDS: Final = 5
MEAN: Final = "mean"


@dataclass(frozen=True, slots=True)
class Model:
    """A reward model by its scores, per (path, prompt) and dimension.

    `thresholds` are of differences of the same scores, found on the model's validation split.
    `for_mean` is another scale for the mean (calibrated scores); without it the scores are used.
    """

    name: str
    source: str  # where the scores come from, for people
    scores: Mapping[Key, Mapping[str, float]]
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    for_mean: Mapping[Key, Mapping[str, float]] | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for row in self.scores.values() for key in row))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: which votes, predicted by which dimension or by the mean of all."""

    name: str
    label: str
    dimension: str


@dataclass(frozen=True, slots=True)
class Resampling:
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    """The pairs of one column of which one model has both scores."""

    which: list[int]  # indices of pairs
    human: np.ndarray
    gap: np.ndarray
    prompts: list[str]


def columns_of(benchmark: Benchmark, dimensions: Sequence[str]) -> list[Column]:
    """What can be compared: each dimension with its own votes, and the mean of all with Overall.

    Where there is one vote for the whole clip (GenAI-Bench), each dimension is tried on it: the
    paper uses TA.
    """
    if benchmark.columns == (VOTE,):
        single = [Column(f"by {key}", VOTE, key) for key in dimensions if key != OVERALL]
        return [*single, Column(f"by {MEAN}", VOTE, MEAN)]
    found = [Column(key, key, key) for key in benchmark.columns if key in dimensions]
    if OVERALL in benchmark.columns and OVERALL not in dimensions:
        found.append(Column(OVERALL, OVERALL, MEAN))
    if not found:
        raise FormatError(
            f"the benchmark judges {', '.join(benchmark.columns)}; "
            f"the scores are of {', '.join(dimensions) or 'nothing'}"
        )
    return found


def results_of(
    benchmark: Benchmark, models: Sequence[Model], resampling: Resampling
) -> dict[str, Any]:
    """Everything of the table as plain JSON. The first model is the one that others differ from."""
    dimensions = list(dict.fromkeys(key for model in models for key in model.dimensions))
    columns = columns_of(benchmark, dimensions)
    judged = {
        (model.name, column.name): _judged(benchmark, model, column)
        for model in models
        for column in columns
    }
    return {
        "benchmark": benchmark.name,
        "pairs": len(benchmark.pairs),
        "prompts": len({pair.prompt for pair in benchmark.pairs}),
        "clips": len(benchmark.clips()),
        "pairs_published": PAIRS[benchmark.name],
        "columns": [asdict(column) for column in columns],
        "baselines": {column.name: _chance(benchmark, column) for column in columns},
        "models": [
            {
                "name": model.name,
                "source": model.source,
                "columns": {
                    column.name: _figures(
                        judged[model.name, column.name],
                        model.thresholds.get(column.dimension),
                        resampling,
                    )
                    for column in columns
                },
            }
            for model in models
        ],
        "differences": _differences(models, columns, judged, resampling),
        "published": {
            "source": SOURCE,
            "models": [asdict(each) for each in PUBLISHED[benchmark.name]],
        },
    }


def _chance(benchmark: Benchmark, column: Column) -> dict[str, Any]:
    """What is reached without looking: of all pairs that people judged."""
    human = [pair.labels[column.label] for pair in benchmark.pairs if column.label in pair.labels]
    return {"pairs": len(human), **baselines(human), "random_without_ties": 0.5}


def _judged(benchmark: Benchmark, model: Model, column: Column) -> _Judged:
    which, human, gap = [], [], []
    for index, pair in enumerate(benchmark.pairs):
        found = _gap(model, pair, column.dimension)
        if found is not None and column.label in pair.labels:
            which.append(index)
            human.append(pair.labels[column.label])
            gap.append(found)
    prompts = [benchmark.pairs[index].prompt for index in which]
    return _Judged(which, np.asarray(human, dtype=int), np.asarray(gap, dtype=float), prompts)


def _gap(model: Model, pair: Pair, dimension: str) -> float | None:
    """Score A - score B; None where one of them is not there."""
    table = model.scores
    if dimension == MEAN and model.for_mean is not None:
        table = model.for_mean
    a, b = table.get(pair.a), table.get(pair.b)
    if not a or not b:
        return None
    if dimension != MEAN:
        return a[dimension] - b[dimension] if dimension in a and dimension in b else None
    if a.keys() != b.keys():
        return None
    return float(np.mean(list(a.values())) - np.mean([b[key] for key in a]))


def _figures(judged: _Judged, fitted: float | None, resampling: Resampling) -> dict[str, Any]:
    """One model on one column; `{"pairs": 0}` where it has no pair."""
    human, gap = judged.human, judged.gap
    best = accuracy_with_ties(human, gap)
    if best is None:
        return {"pairs": 0}

    def interval(statistic: Statistic) -> list[float] | None:
        return _plain(
            clustered_interval(
                human, gap, judged.prompts, statistic=statistic,
                resamples=resampling.resamples, seed=resampling.seed,
            )
        )  # fmt: skip

    return {
        "pairs": len(human),
        "decisive": int((human != 0).sum()),
        "prompts": len(set(judged.prompts)),
        "accuracy_with_ties": best.accuracy,
        "accuracy_with_ties_interval": interval(resampled_accuracy_with_ties),
        "threshold_in_sample": best.threshold,
        "accuracy_with_ties_other_prompts": on_other_prompts(human, gap, judged.prompts),
        "accuracy_with_ties_fitted": None if fitted is None else accuracy_at(human, gap, fitted),
        "accuracy_with_ties_fitted_interval": None if fitted is None else interval(at(fitted)),
        "threshold_fitted": fitted,
        "accuracy_without_ties": accuracy_without_ties(human, gap),
        "accuracy_without_ties_interval": interval(resampled_accuracy_without_ties),
        "accuracy_without_ties_half": accuracy_without_ties(human, gap, ties="half"),
    }


def on_other_prompts(human: np.ndarray, gap: np.ndarray, prompts: Sequence[str]) -> float | None:
    """Accuracy with ties where each prompt is judged at the best threshold of the other folds.

    The paper's threshold is fitted on the very labels that it is judged by. This one needs no
    validation split, so a table of scores from anywhere has it too. None with one fold alone.
    """
    fold = np.array([int(hashlib.sha256(p.encode()).hexdigest()[:8], 16) % FOLDS for p in prompts])
    if len(set(fold.tolist())) < 2:
        return None
    right = 0.0
    for each in set(fold.tolist()):
        inside = fold == each
        best = accuracy_with_ties(human[~inside], gap[~inside])
        share = accuracy_at(human[inside], gap[inside], best.threshold) if best else None
        right += (share or 0.0) * int(inside.sum())
    return right / len(human)


def _differences(
    models: Sequence[Model],
    columns: Sequence[Column],
    judged: Mapping[tuple[str, str], _Judged],
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """The first model against each other one, on the pairs that both have scores for."""
    return [
        found
        for other in models[1:]
        for column in columns
        if (
            found := _difference(
                (models[0].name, other.name),
                column.name,
                (judged[models[0].name, column.name], judged[other.name, column.name]),
                resampling,
            )
        )
    ]


def _difference(
    names: tuple[str, str], column: str, both: tuple[_Judged, _Judged], resampling: Resampling
) -> dict[str, Any] | None:
    first, second = both
    shared = sorted(set(first.which) & set(second.which))
    if not shared:
        return None
    of_first, of_second = _places(first, shared), _places(second, shared)
    human, prompts = first.human[of_first], [first.prompts[index] for index in of_first]
    found: dict[str, Any] = {"first": names[0], "second": names[1], "column": column}
    found["pairs"] = len(shared)
    for name, statistic in (
        ("accuracy_with_ties", resampled_accuracy_with_ties),
        ("accuracy_without_ties", resampled_accuracy_without_ties),
    ):
        comparison = compare(
            human, first.gap[of_first], second.gap[of_second], prompts, statistic=statistic,
            resamples=resampling.resamples, seed=resampling.seed,
        )  # fmt: skip
        found[name] = None if comparison is None else asdict(comparison)
    return found


def _places(judged: _Judged, shared: Sequence[int]) -> list[int]:
    place = {index: number for number, index in enumerate(judged.which)}
    return [place[index] for index in shared]


def _plain(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
