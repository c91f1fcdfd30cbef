"""The table of bench.active_world."""

from collections.abc import Callable
from typing import Any

Table = Callable[..., str]
_WAYS = {"alone": "one model", "committee": "committee", "last_layer": "last layer known"}


def active_world(figures: dict[str, Any], table: Table) -> str:
    world, seeds = figures["world"], len(figures["seeds"])
    rows = [
        [
            f"{said}, {way_said}",
            _needed(figures, name, "random"),
            _needed(figures, name, way),
            _ratio(figures["ratio"][name][way]),
            f"{figures['wanted']:g}" if name == "of_accuracy" else "",
        ]
        for name, said in (
            ("of_accuracy", "90 % of the final accuracy"),
            ("above_chance", "90 % of what it is above chance"),
        )
        for way, way_said in _WAYS.items()
    ]
    head = ["to reach", "votes, random", "votes, active", "ratio", "aim"]
    return (
        f"## Active selection\n\n`make bench-active`: {seeds} worlds of {world['prompts']} prompts"
        f" with {world['clips']} clips each, {100 * world['held_out']:.0f} % of the prompts held"
        f" out; {world['people']} simulated people, {world['careless']} of them careless, one vote"
        f" per pair. After {world['first_pairs']} random pairs, {world['round_pairs']} are bought"
        " per round, at random or by `annotation.statistics.doubting` (one model) or"
        " `annotation.statistics.committee`"
        f" ({world['members']} members, or the posterior of the last layer itself, which score sets"
        " do not carry); the reward model is a linear head on"
        f" {figures['directions']} directions of what the frozen, pretrained tiny base sees."
        f" Random ends at {_with_interval(figures['final'])} after"
        f" {world['votes'] * world['pairs']} votes (accuracy without ties on held-out prompts, the"
        " mean over VQ, MQ and TA). Votes: medians over worlds. Ratio: the geometric mean of that"
        " within each world, with its 95 % interval.\n\n"
        f"{table(head, rows)}\n\n![Learning curves](benchmarks/active_world.svg)\n"
    )


def _needed(figures: dict[str, Any], name: str, way: str) -> str:
    found = sorted(
        votes for row in figures["seeds"] if (votes := row[name]["votes"][way]) is not None
    )
    return f"{found[len(found) // 2]:.0f}" if len(found) == len(figures["seeds"]) else "–"


def _ratio(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return f"not reached in {found['never']} worlds"
    return f"{found['mean']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _with_interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
