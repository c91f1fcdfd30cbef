"""Tables of docs/benchmarks.md on how well reward models learn; called by `bench.tables`."""

from collections.abc import Callable, Sequence
from typing import Any

from bench.reward_plot import NAMES

DIMENSIONS = ("VQ", "MQ", "TA")
Table = Callable[[Sequence[str], list[list[str]]], str]


def reward_world(figures: dict[str, Any], table: Table) -> str:
    """Share above chance of the label-noise ceiling after ten minutes on two cores."""
    seeds, world, config = figures["seeds"], figures["world"], figures["config"]
    rows = [
        [
            f"{key}: share above chance (accuracy of ceiling)",
            f"≥ {figures['wanted'][key]:.2f}, aim 0.95",
            *(_share(row["dimensions"][key]) for row in seeds),
            _interval(figures["shares"][key], 2),
        ]
        for key in DIMENSIONS
    ]
    times = (f"{row['seconds'] / 60:.1f} min" for row in seeds)
    limit = f"≤ {figures['limit_seconds'] / 60:.0f} min"
    rows.append(["start of the trainer to its last step", limit, *times, ""])
    head = ["what", "wanted", *(f"seed {row['seed']}" for row in seeds), "mean [95 %]"]
    pairs = seeds[0]["pairs"]
    return (
        "## What a reward model learns of the demo world in ten minutes\n\n`python -m"
        f" bench.reward_world` (in `make bench-reward`), {_machine(figures)}. Each seed is a world"
        f" of its own: {world['prompts']} prompts, {pairs['train']:,} pairs of"
        f" {world['groups'] * world['clips']} clips a prompt to train on, {pairs['test']:,} test"
        f" pairs; {world['votes']} of {world['people']} simulated people vote on each pair,"
        f" {world['careless']} of them careless, in the process and not through REST."
        f" {config['steps']:,} steps of {config['pairs_per_step']} pairs by {config['processes']}"
        " processes of one thread, from the demo's tiny base. Settings were chosen on validation"
        " prompts of worlds with other seeds. The interval is Student's over the seeds.\n\n"
        f"{table(head, rows)}\n"
    )


def reward_ablation(figures: dict[str, Any], table: Table) -> str:
    """The four rows of Table 6 of the paper, ours beside theirs."""
    rows = [
        [
            NAMES[variant],
            _percent(row["accuracy_with_ties"]["mean"]),
            f"{row['paper']['with_ties']:.2f}",
            _percent(row["accuracy_without_ties"]["mean"]),
            f"{row['paper']['without_ties']:.2f}",
            *_against(row["against_separate"]),
        ]
        for variant, row in figures["variants"].items()
    ]
    head = ["model", "with ties", "paper", "without ties", "paper", "Δ with", "Δ without"]
    first = figures["seeds"][0]["variants"]["btt"]
    moved = figures["moved_by_another_prompt"]
    return (
        "## The parts of VideoReward's recipe, on the demo world\n\n`python -m"
        f" bench.reward_ablation` (in `make bench-reward`), {_machine(figures)}."
        f" {len(figures['seeds'])} seeds, each a world of its own; the four models of a seed share"
        f" pairs, order and {first['steps']} steps. Percent, mean of VQ, MQ and TA; in brackets"
        " Student's 95 % interval over the seeds. Δ is against the last row, paired by seed. The"
        " paper's figures are overall accuracy on VideoGen-RewardBench with a 2B backbone; why"
        " ours differ stands in [reward-models.md](reward-models.md#what-each-part-is-worth).\n\n"
        f"{table(head, rows)}\n\n{table(*_by_dimension(figures))}\n\n"
        "![The ablation as a drawing](benchmarks/reward_ablation.svg)\n\n"
        "**Under another prompt** raw rewards of test clips move by at most"
        f" {_moved(moved['btt_separate'])} with separate tokens (0 is bit for bit the same), and by"
        f" {_moved(moved['btt'])} with one token.\n"
    )


def _by_dimension(figures: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    head = ["model", *(f"{key} {how}" for key in DIMENSIONS for how in ("with", "without"))]
    rows = [
        [
            NAMES[variant],
            *(
                _percent(row[name][key])
                for key in DIMENSIONS
                for name in ("accuracy_with_ties", "accuracy_without_ties")
            ),
        ]
        for variant, row in figures["variants"].items()
    ]
    return head, rows


def _against(row: dict[str, Any]) -> list[str]:
    found = [row[name] for name in ("accuracy_with_ties", "accuracy_without_ties")]
    return ["" if each["low"] == each["high"] == 0 else _percent(each, sign="+") for each in found]


def _moved(row: dict[str, float]) -> str:
    return ", ".join(f"{key} {row[key]:.2g}" for key in DIMENSIONS)


def _share(row: dict[str, Any]) -> str:
    return f"{row['share']:.2f} ({row['accuracy']:.3f} of {row['ceiling']:.3f})"


def _percent(row: dict[str, float], sign: str = "") -> str:
    mean, low, high = (f"{100 * row[name]:{sign}.1f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _interval(row: dict[str, float], digits: int) -> str:
    return f"{row['mean']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def _machine(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    cores = "one core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    load = f"{machine['load_average']:.1f}"
    return f"{cores} of an {machine['processor']}, load average {load} at the end"
