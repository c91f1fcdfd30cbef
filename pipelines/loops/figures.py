"""The figures of a loop that are held against what was promised, from its report."""

from collections.abc import Mapping
from typing import Any

JUDGE = "truth"


def figures_of(content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Shares of the ceiling, true win rates and first losses, as plain JSON."""
    model = content["reward_models"][0]["dimensions"]
    return {
        "seed": seed,
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
    }


def _true_rates(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    found = [each for each in evaluation["judges"] if each["judge"] == JUDGE]
    return {
        key: {name: rate[name] for name in ("rate", "low", "high", "wins", "ties", "losses")}
        for each in found
        for key, rate in each["dimensions"].items()
    }
