"""The section of docs/benchmarks.md on latent reward models."""

from collections.abc import Callable
from typing import Any, Final

NAMES: Final = {
    "noised": "trained on noised latents",
    "clean": "trained on clean latents",
    "predicted": "clean model on the predicted clean latent",
}


def latent_reward(figures: dict[str, Any], table: Callable[..., str]) -> str:
    """Table 7 of the paper on the demo world, and accuracy over t."""
    seeds, clips = len(figures["seeds"]), figures["clips"]
    paper = figures["paper"]
    return (
        "## Latent reward models\n\n`python -m bench.latent_reward --json"
        " docs/benchmarks/latent_reward.json`: the first two blocks of the demo's generator and a"
        " head per dimension, trained on simulated votes, guide its sampling for held-out prompts"
        f" (Flow-NRG). Wins of the true quality, guided against unguided on the same seeds, a tie"
        f" counting one half: {clips} clips of {figures['prompts']} prompts, {seeds} seeds, with"
        " the prompt-bootstrap 95 % interval. The paper's table 7 (MQ, judged by its own reward"
        f" model): {paper['noised']:.3f} for noised and {paper['clean']:.3f} for clean latents."
        " docs/latent-reward.md explains the differences. Without guidance the mean truth is"
        f" {_means(figures)}.\n\n"
        f"{_wins(figures, table)}\n\nAccuracy without ties on held-out prompts over t, the same"
        f" noise on both sides, mean of {seeds} seeds; the true quality itself reaches"
        f" {_ceilings(figures)}.\n\n{_curves(figures, table)}\n"
    )


def _wins(figures: dict[str, Any], table: Callable[..., str]) -> str:
    keys = list(figures["unguided"])
    rows = [
        [
            row["guided"],
            f"{row['weight']:g}",
            NAMES[row["model"]],
            *(_rate(row["dimensions"][key], bold=key == row["guided"]) for key in keys),
            f"{row['dimensions'][row['guided']]['mean_change']:+.3f}",
        ]
        for row in figures["rows"]
    ]
    wins = [f"{key} wins" for key in keys]
    return table(["guided by", "weight", "reward", *wins, "mean change of what guides"], rows)


def _rate(found: dict[str, float], *, bold: bool) -> str:
    rate = f"{found['win_rate']:.3f}"
    return f"{f'**{rate}**' if bold else rate} [{found['low']:.3f}, {found['high']:.3f}]"


def _means(figures: dict[str, Any]) -> str:
    return ", ".join(f"{value:.2f} ({key})" for key, value in figures["unguided"].items())


def _ceilings(figures: dict[str, Any]) -> str:
    return ", ".join(f"{value:.3f} ({key})" for key, value in figures["ceilings"].items())


def _curves(figures: dict[str, Any], table: Callable[..., str]) -> str:
    accuracy = figures["accuracy"]
    times = [row["t"] for row in next(iter(accuracy["noised"].values()))]
    rows = [
        [key, NAMES[name], *(f"{row['accuracy']:.3f}" for row in accuracy[name][key])]
        for key in accuracy["noised"]
        for name in accuracy
    ]
    return table(["dimension", "reward", *(f"t = {t:g}" for t in times)], rows)
