"""From the clips of every world to the figures of the table, the curves and the race."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from bench.reward_runs import interval
from demo.recipes import DIMENSIONS, SPAN

NAMES: Final = (*DIMENSIONS, "all")
TARGET: Final = 0.85  # the true win rate to which GAPO and Flow-DPO race

Row = dict[str, Any]


def figures(seeds: Sequence[Mapping[str, Any]], methods: Mapping[str, Any]) -> dict[str, Any]:
    names = list(seeds[0]["rows"])
    return {
        "worlds": len(seeds),
        "prompts": len(set(seeds[0]["rows"][names[0]]["prompts"])),
        "clips": sum(len(each["rows"][names[0]]["prompts"]) for each in seeds),
        "configs": {name: dict(each.config) for name, each in methods.items()},
        "rows": {name: pooled([each["rows"][name] for each in seeds]) for name in names},
        "curves": {
            name: [curve_point(rows) for rows in zip(*_curves(seeds, name), strict=True)]
            for name in seeds[0]["curves"]
        },
        "race": race(_curves(seeds, "flow_dpo"), _curves(seeds, "gapo")),
    }


def _curves(seeds: Sequence[Mapping[str, Any]], name: str) -> list[list[Row]]:
    return [each["curves"][name] for each in seeds]


def pooled(rows: Sequence[Row]) -> Row:
    """One method over all worlds; intervals over prompts, all clips of a prompt together."""
    prompts = [prompt for row in rows for prompt in row["prompts"]]
    gaps = {key: np.concatenate([row["gaps"][key] for row in rows]) for key in NAMES}
    kept = {key: rows[0][key] for key in ("steps",) if key in rows[0]}
    if "winner_drift" in rows[0]:
        kept["winner_drift"] = interval([row["winner_drift"] for row in rows])
    return {
        **kept,
        "wins": {key: bootstrap(prompts, points(gap)) for key, gap in gaps.items()},
        "changes": {key: bootstrap(prompts, gap) for key, gap in gaps.items()},
        "wins_of_worlds": [win_rate(row) for row in rows],
        "judge": interval([row["judge"] for row in rows]),
    }


def win_rate(row: Row) -> float:
    return float(points(np.array(row["gaps"]["all"])).mean())


def curve_point(rows: Sequence[Row]) -> Row:
    """One step of one method, with intervals over the worlds by Student's t."""
    return {
        "step": rows[0]["step"],
        "truth": interval([win_rate(row) for row in rows]),
        "judge": interval([row["judge"] for row in rows]),
        "changes": {
            key: interval([float(np.mean(row["gaps"][key])) for row in rows]) for key in NAMES
        },
        "winner_drift": interval([row["winner_drift"] for row in rows]),
        "loser_drift": interval([row["loser_drift"] for row in rows]),
    }


def race(constant: Sequence[Sequence[Row]], gapo: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """How many steps GAPO needs to the target as a share of Flow-DPO's, world by world."""
    steps = {
        "flow_dpo": [steps_to(curve) for curve in constant],
        "gapo": [steps_to(curve) for curve in gapo],
    }
    found = list(zip(steps["flow_dpo"], steps["gapo"], strict=True))
    logs = [math.log(b / a) for a, b in found if a is not None and b is not None]
    whole = len(logs) == len(found)
    ratio = {key: math.exp(value) for key, value in interval(logs).items()} if whole else None
    return {"target": TARGET, "steps": steps, "ratio": ratio}


def steps_to(curve: Sequence[Row], target: float = TARGET) -> float | None:
    """Where the line between measured steps first reaches the target; None if it never does."""
    step, rate = 0.0, 0.5
    for row in curve:
        reached = win_rate(row)
        if reached >= target:
            return float(step + (row["step"] - step) * (target - rate) / (reached - rate))
        step, rate = row["step"], reached
    return None


def share_of_scale(scores: Mapping[str, float]) -> dict[str, float]:
    """True rewards on the demo's scale from 0, the worst, to 1, the best; `all` is their mean."""
    found = {key: scores[key] / SPAN[key] for key in DIMENSIONS}
    return {**found, "all": sum(found.values()) / len(found)}


def points(gaps: np.ndarray) -> np.ndarray:
    """1 for a win, 0 for a loss, one half for exact equality."""
    return (np.sign(gaps) + 1) / 2


def bootstrap(
    prompts: Sequence[str], values: np.ndarray, *, resamples: int = 4000, seed: int = 0
) -> dict[str, float]:
    """Mean with a 95 % interval over prompts: the clips of a prompt are not independent."""
    names, index = np.unique(np.array(prompts), return_inverse=True)
    totals = np.bincount(index, values, len(names))
    counts = np.bincount(index, minlength=len(names))
    chance = np.random.default_rng(seed)
    draws = chance.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    low, high = np.quantile((draws @ totals) / (draws @ counts), [0.025, 0.975])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}
