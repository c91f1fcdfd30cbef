"""The figures of a loop that are held against what was promised, from its report and its runs."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.models import Artifact, Run
from pipelines.registry import lineage

JUDGE = "truth"


def figures_of(report: Artifact, content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Shares of the ceiling, true win rates, first losses and times, as plain JSON."""
    model = content["reward_models"][0]["dimensions"]
    return {
        "seed": seed,
        "cores": len(os.sched_getaffinity(0)),
        "reward_model": {
            key: {
                "share": row["share_of_ceiling"],
                "accuracy": row["accuracy_without_ties"],
                "ceiling": row["ceiling"]["accuracy"],
            }
            for key, row in model.items()
        },
        "win_rates": {each["candidate"]: _true_rates(each) for each in content["evaluations"]},
        "first_loss": {each["name"]: each["first_loss"] for each in content["alignments"]},
        "seconds": _seconds([step.run for step in lineage([report.run_id])]),
    }


def _true_rates(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    found = [each for each in evaluation["judges"] if each["judge"] == JUDGE]
    return {
        key: {name: rate[name] for name in ("rate", "low", "high", "wins", "ties", "losses")}
        for each in found
        for key, rate in each["dimensions"].items()
    }


def _seconds(runs: list[Run]) -> dict[str, float]:
    """From the first start to the last end: of the pretraining, and of all that came after it."""
    before = [run for run in runs if run.kind == "pretrain"]
    return {
        "pretraining": _span(before),
        "loop": _span([run for run in runs if run.kind != "pretrain"]),
    }


def _span(runs: list[Run]) -> float:
    starts: list[datetime] = [run.started_at for run in runs if run.started_at]
    ends: list[datetime] = [run.finished_at for run in runs if run.finished_at]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0
