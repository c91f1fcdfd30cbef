"""A learning curve from its cells: accuracy per amount of votes with intervals, law, forecast."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from formats.errors import FormatError
from models_rm.learning_curve.cells import CellResult
from models_rm.learning_curve.law import FARTHEST, FEWEST_PROMPTS, Forecast, band, fit_law, forecast

Array = NDArray[np.float64]

MEAN: Final = "mean"  # of all dimensions
_LEVEL: Final = 0.95
_DRAWN: Final = 25  # places of the drawn law
_AHEAD: Final = 2.0  # times the largest amount that the drawing goes


@dataclass(frozen=True, slots=True)
class Counts:
    """Per cell and dimension, over the clusters (prompts) of the test pairs."""

    right: Array  # [cells, D, C]
    decided: Array  # [D, C], the same for all cells

    def accuracies(self, weights: Array) -> Array:  # [B, C] -> [B, cells, D]; NaN where no pair
        right = np.einsum("bc,kdc->bkd", weights, self.right)
        decided = np.einsum("bc,dc->bd", weights, self.decided)
        with np.errstate(invalid="ignore"):
            return np.asarray(right / decided[:, None])


def figures(cells: Sequence[CellResult], *, gain: float, bootstrap: int) -> dict[str, Any]:
    """What learning_curve.json says. FormatError where the cells saw different test pairs."""
    _refuse_different(cells)
    shares = sorted({cell.fraction for cell in cells})
    by_share = [[cell for cell in cells if cell.fraction == share] for share in shares]
    ordered = [cell for group in by_share for cell in group]  # [F * S]
    seeds = len(by_share[0])
    unit = "votes" if all(cell.votes for cell in cells) else "pairs"
    sizes = [float(np.mean([getattr(cell, unit) for cell in group])) for group in by_share]
    keys = [*ordered[0].keys, MEAN]
    values, draws = _accuracies(ordered, seeds, bootstrap)  # [F, S, D+1], [B, F, S, D+1]
    tied, tied_draws = _accuracies(ordered, seeds, bootstrap, ties=True)
    forecasts, laws = {}, {}
    deciding = _deciding_prompts(ordered[0])
    x = np.repeat(sizes, seeds)
    for d, key in enumerate(keys):
        y, resampled = values[..., d].ravel(), _known(draws[..., d].reshape(len(draws), -1))
        forecasts[key] = _forecast(x, y, resampled, gain, deciding[d])
        laws[key] = _law(x, y, resampled)
    return {
        "dimensions": list(ordered[0].keys),
        "unit": unit,
        "gain": gain,
        "farthest": FARTHEST,
        "seeds": sorted({cell.seed for cell in cells}),
        "test": {
            "pairs": len(ordered[0].said),
            "prompts": len(set(ordered[0].clusters)),
        },
        "points": [
            {
                "fraction": share,
                "size": sizes[f],
                "prompts": float(np.mean([cell.prompts for cell in group])),
                "pairs": float(np.mean([cell.pairs for cell in group])),
                "votes": float(np.mean([cell.votes for cell in group])),
                "accuracy_without_ties": _row(keys, values[f], draws[:, f]),
                "accuracy_with_ties": _row(keys, tied[f], tied_draws[:, f]),
            }
            for f, (share, group) in enumerate(zip(shares, by_share, strict=True))
        ],
        "laws": laws,
        "forecasts": {key: asdict(each) for key, each in forecasts.items()},
    }


def _refuse_different(cells: Sequence[CellResult]) -> None:
    first = cells[0]
    for cell in cells[1:]:
        if (cell.keys, cell.clusters, cell.said) != (first.keys, first.clusters, first.said):
            raise FormatError(
                f"the cells {first.fraction:g}-{first.seed} and {cell.fraction:g}-{cell.seed} "
                "were examined on different test pairs"
            )


def _accuracies(
    cells: Sequence[CellResult], seeds: int, bootstrap: int, *, ties: bool = False
) -> tuple[Array, Array]:
    """[F, S, D+1] and resampled [B, F, S, D+1]; the last column is the mean of the dimensions.

    Prompts are resampled for all cells alike, because they share the test pairs; seeds for each
    amount of votes on their own.
    """
    counts = _counts(cells, ties=ties)
    prompts = counts.decided.shape[1]
    rng = np.random.default_rng(0)
    weights = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=bootstrap)
    shape = (len(cells) // seeds, seeds, counts.decided.shape[0])
    value = counts.accuracies(np.ones((1, prompts))).reshape(shape)
    drawn = counts.accuracies(weights.astype(np.float64)).reshape(bootstrap, *shape)
    chosen = rng.integers(seeds, size=(bootstrap, shape[0], seeds))
    drawn = np.take_along_axis(drawn, chosen[..., None], axis=2)
    return _with_mean(value), _with_mean(drawn)


def _counts(cells: Sequence[CellResult], *, ties: bool) -> Counts:
    first = cells[0]
    said = np.array(first.said, dtype=np.float64).reshape(len(first.said), len(first.keys))
    judged = ~np.isnan(said) if ties else ~np.isnan(said) & (said != 0)
    names, cluster = np.unique(np.asarray(first.clusters), return_inverse=True)
    right = np.zeros((len(cells), len(first.keys), len(names)))
    decided = np.zeros((len(first.keys), len(names)))
    for d, key in enumerate(first.keys):
        np.add.at(decided[d], cluster[judged[:, d]], 1)
        for k, cell in enumerate(cells):
            gap = np.array(cell.gaps).reshape(said.shape)[:, d]
            close = np.abs(gap) <= (cell.thresholds[key] or 0.0) if ties else False
            good = judged[:, d] & (np.where(close, 0, np.sign(gap)) == said[:, d])
            np.add.at(right[k, d], cluster[good], 1)
    return Counts(right, decided)


def _with_mean(values: Array) -> Array:
    return np.concatenate([values, values.mean(-1, keepdims=True)], axis=-1)


def _known(draws: Array) -> Array:
    """Resamples in which every cell has an accuracy."""
    return draws[np.isfinite(draws).all(axis=1)]


def _row(keys: Sequence[str], values: Array, draws: Array) -> dict[str, Any]:
    """`values` [S, D+1], `draws` [B, S, D+1] of one amount of votes."""
    return {key: _figure(values[:, d], draws[..., d].mean(1)) for d, key in enumerate(keys)}


def _figure(by_seed: Array, means: Array) -> dict[str, Any] | None:
    known = means[np.isfinite(means)]
    if not np.isfinite(by_seed).all() or not len(known):
        return None
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]).tolist()
    return {"value": float(by_seed.mean()), "interval": [low, high], "by_seed": by_seed.tolist()}


def _deciding_prompts(cell: CellResult) -> list[int]:  # [D+1]
    """Test prompts with a winner per dimension; for the mean, those of the poorest one."""
    found = [
        len({prompt for prompt, row in zip(cell.clusters, cell.said, strict=True) if row[d]})
        for d, _ in enumerate(cell.keys)
    ]
    return [*found, min(found)]


def _forecast(sizes: Array, values: Array, draws: Array, gain: float, prompts: int) -> Forecast:
    if not np.isfinite(values).all() or not len(draws):
        return Forecast(gain, refusal="no_decisions")
    if prompts < FEWEST_PROMPTS:
        return Forecast(gain, refusal="few_prompts")
    return forecast(sizes, values, draws, gain=gain)


def _law(sizes: Array, values: Array, draws: Array) -> dict[str, Any] | None:
    """The fitted law and its band, to be drawn to twice the largest amount."""
    if len(np.unique(sizes)) < 3 or not np.isfinite(values).all() or not len(draws):
        return None
    law = fit_law(sizes, values)
    at = np.geomspace(sizes.min(), _AHEAD * sizes.max(), _DRAWN)
    low, high = band(sizes, draws, at)
    return {
        "asymptote": law.asymptote,
        "scale": law.scale,
        "exponent": law.exponent,
        "unit": law.unit,
        "curve": [
            [float(n), law.at(n), float(a), float(b)] for n, a, b in zip(at, low, high, strict=True)
        ],
    }
