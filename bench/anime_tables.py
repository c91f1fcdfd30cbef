"""The figures of the anime loop as a section of docs/benchmarks.md."""

from collections.abc import Callable
from typing import Any, Final

DIMENSIONS: Final = ("smoothness", "motion", "appeal", "text", "image", "character")


def anime_world(figures: dict[str, Any], table: Callable[..., str]) -> str:
    wanted, seeds = figures["wanted"], figures["seeds"]
    head = ["what", "wanted", *(f"seed {row['seed']}" for row in seeds)]
    rows = [
        [
            "true quality, all dimensions: win rate",
            f"lower end > {wanted['low']:.2f} (aim {wanted['aim']:.2f})",
            *(_rate(row["win_rates"]["overall"]) for row in seeds),
        ]
    ]
    rows += [
        [f"true {key}: win rate", "", *(_rate(row["win_rates"][key]) for row in seeds)]
        for key in DIMENSIONS
    ]
    rows += [
        [
            f"true {key}: change, of a scale from 0 to 1",
            f">= -{wanted['fall']:.2f} (aim 0)" if key == "motion" else "",
            *(_change(row["changes"][key], 3) for row in seeds),
        ]
        for key in DIMENSIONS
    ]
    rows.append(
        [
            "motion amount of the pixels: change",
            "",
            *(_change(row["motion_amount"], 2) for row in seeds),
        ]
    )
    rows.append(
        [
            "win rate by the training reward",
            "",
            *(f"{row['by_training_reward']:.3f}" for row in seeds),
        ]
    )
    return (
        "## The anime loop\n\n`python -m bench.anime_world`: image-to-video, votes on six"
        " dimensions, one reward model with six heads that sees the start image, best and worst of"
        " four, GAPO. Candidate against base on held-out prompts and the same seeds, with 95 %"
        " intervals over prompts; the seeds are worlds of their own on the same tiny bases."
        f"\n\n{table(head, rows)}\n"
    )


def _rate(row: dict[str, Any]) -> str:
    return f"{row['rate']:.3f} ({row['low']:.3f}–{row['high']:.3f})"


def _change(row: dict[str, Any] | None, digits: int) -> str:
    if row is None:
        return "–"
    words = f"{row['change']:+.{digits}f}"
    if row.get("low") is None:
        return words
    return f"{words} ({row['low']:+.{digits}f} to {row['high']:+.{digits}f})"
