"""The section of docs/benchmarks.md on weights of reward guidance."""

from collections.abc import Callable
from typing import Any, Final

DIMENSIONS: Final = ("VQ", "MQ", "TA")
Figures = dict[str, Any]


def align_guidance(figures: Figures, table: Callable[..., str]) -> str:
    head = ["cell", *DIMENSIONS, "all", "change of all", "change of motion", "paper VQ / MQ / TA"]
    return (
        "\n\n".join(
            [
                "## Weights of reward guidance",
                _what(figures),
                table(
                    head, [_row(number, row, figures) for number, row in enumerate(figures["rows"])]
                ),
            ]
        )
        + "\n"
    )


def _what(figures: Figures) -> str:
    return (
        "`python -m bench.align_guidance --pairs RUN_DIR..."
        " --json docs/benchmarks/align_guidance.json`: the grid of"
        f" weights of VideoAlign (arXiv 2501.13918) on {figures['worlds']} worlds of the demo, each"
        " with a latent reward model trained on its own votes: wins of the true quality against"
        f" plain sampling on the same seeds, {figures['clips']} clips of {figures['prompts']}"
        " prompts that no vote for training has seen, ties counting half, with the 95 % interval"
        " by a bootstrap over prompts. *untrained* is pushed as hard by the same network with"
        " random weights. `all` is the mean of the dimensions on the demo's scale from 0 to 1. The"
        " paper's figures are its reward model's, at its strength 100."
    )


def _row(number: int, row: Figures, figures: Figures) -> list[str]:
    tables = len(figures["config"]["weights"])
    guided = 1 <= number <= tables * len(figures["config"]["strengths"])
    paper = figures["paper"][(number - 1) % tables] if guided else ()
    return [
        row["cell"],
        *(_interval(row["wins"][key]) for key in (*DIMENSIONS, "all")),
        _interval(row["changes"]["all"], signed=True),
        f"{row['changes']['motion']['mean']:+.2f}",
        " / ".join(f"{value:.2f}" for value in paper),
    ]


def _interval(value: Figures, *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".2f"
    return f"{value['mean']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"
