"""The section of docs/benchmarks.md on what alignment does to the true quality."""

from collections.abc import Callable
from typing import Any, Final

NAMES: Final = {
    "sft": ("SFT on chosen clips", "0.50", "0.70"),
    "rwr": ("Flow-RWR", "0.50", "0.70"),
    "nrg": ("Flow-NRG, no training", "0.50", "0.70"),
    "flow_dpo": ("Flow-DPO, constant beta", "0.65", "0.85"),
    "schedule": ("Flow-DPO, beta (1-t)²", "", ""),
    "gapo": ("GAPO on Flow-DPO", "0.65", "0.85"),
    "safe_dpo": ("safe DPO", "", ""),
}
ALL_TOGETHER: Final = ("flow_dpo", "gapo", "safe_dpo")
SHOWN: Final = (4, 8, 16, 40, 80, 160)

Figures = dict[str, Any]


def align_world(figures: Figures, table: Callable[..., str]) -> str:
    parts = [
        "## Alignment on the demo world",
        _what(figures),
        _rows(figures, table),
        _together(figures),
        "![Curves](benchmarks/align_world.svg)",
        "![Clips of the base beside aligned ones](benchmarks/align_world.png)",
        "### Constant beta against the schedule",
        _curves(figures, table),
        _agreement(figures),
        "### The error on winners",
        _winners(figures, table),
        "### GAPO against Flow-DPO",
        _race(figures),
    ]
    return "\n\n".join(parts) + "\n"


def _what(figures: Figures) -> str:
    return (
        "`python -m bench.align_world --json docs/benchmarks/align_world.json`:"
        f" {figures['worlds']} worlds with their own votes, reward model and pairs, one generator;"
        f" {figures['clips']} clips of {figures['prompts']} prompts that no vote and no pair has"
        " seen, on the same seeds as the base. Judged is the true quality, the mean of the three"
        " dimensions; win rates and changes (on the demo's scale from 0 to 1) with the 95 %"
        " interval by a bootstrap over prompts. Settings were chosen on validation prompts, and on"
        " training prompts of other seeds that were in no pair. SFT and Flow-RWR train on the"
        " campaign's clips put in order by the reward model, as in VideoAlign, the others on the"
        " best against the worst of four clips of the generator's own."
    )


def _rows(figures: Figures, table: Callable[..., str]) -> str:
    rows = []
    for name, (title, least, aim) in NAMES.items():
        row = figures["rows"][name]
        wins = row["wins"]["all"]
        rows.append([
            title, str(row.get("steps", "")), least, aim, _interval(wins),
            " ".join(f"{each:.2f}" for each in row["wins_of_worlds"]),
            *(_change(row["changes"][key]) for key in ("VQ", "MQ", "TA")),
            f"{row['judge']['mean']:.2f}",
        ])  # fmt: skip
    head = ["method", "steps", "lower end, at least", "aim", "clips truly won", "each world",
            "VQ", "MQ", "TA", "won by the training judge"]  # fmt: skip
    return table(head, rows)


def _together(figures: Figures) -> str:
    """All dimensions at once: the worst change of any of them."""
    found = []
    for name in ALL_TOGETHER:
        changes = figures["rows"][name]["changes"]
        key = min((key for key in changes if key != "all"), key=lambda each: changes[each]["mean"])
        found.append(f"{NAMES[name][0]} {key} {_change(changes[key])}")
    return (
        "All dimensions together (no dimension may fall by more than 0.03, aim 0); the dimension"
        f" that gained least: {'; '.join(found)}."
    )


def _curves(figures: Figures, table: Callable[..., str]) -> str:
    rows = []
    for name in ("flow_dpo", "schedule"):
        for measure, title in (("truth", "true quality"), ("judge", "training judge")):
            points = [row[measure] for row in _shown(figures, name)]
            rows.append([NAMES[name][0], title, *map(_interval, points)])
    return table(["method", "clips won by", *_steps(figures)], rows)


def _winners(figures: Figures, table: Callable[..., str]) -> str:
    rows = []
    for name in ("flow_dpo", "gapo", "safe_dpo"):
        points = _shown(figures, name)
        rows.append([
            NAMES[name][0], "error less its reference",
            *(_drift(row["winner_drift"]) for row in points),
        ])  # fmt: skip
        rows.append([NAMES[name][0], "clips truly won", *(_interval(r["truth"]) for r in points)])
    text = (
        "The mean over the eight steps up to the one that is named. Above 0 the model reproduces"
        " what people like worse than the base does."
    )
    return f"{text}\n\n{table(['method', 'what', *_steps(figures)], rows)}"


def _agreement(figures: Figures) -> str:
    """Who hacks the reward: the judge's word beside the truth, where the preset ends, and later."""
    steps = figures["rows"]["flow_dpo"]["steps"]
    shown = [
        {name: _at(figures, name, step) for name in ("flow_dpo", "schedule")}
        for step in (steps, figures["curves"]["flow_dpo"][-1]["step"])
    ]
    said = [
        f"after {row['flow_dpo']['step']} steps "
        + ", ".join(
            f"{NAMES[name][0]} {each['judge']['mean']:.2f} by the judge and"
            f" {each['truth']['mean']:.2f} in truth"
            for name, each in row.items()
        )
        for row in shown
    ]
    first = shown[0]
    hacks = first["schedule"]["judge"]["mean"] - first["schedule"]["truth"]["mean"]
    wins = first["flow_dpo"]["truth"]["mean"] - first["schedule"]["truth"]["mean"]
    agrees = "agrees" if wins > 0 and hacks > 0 else "does not agree"
    text = "; ".join(said)
    return (
        f"{text[0].upper()}{text[1:]}. That {agrees} with the paper, where the constant beta wins"
        " and the schedule hacks the reward; docs/alignment.md says why."
    )


def _at(figures: Figures, name: str, step: int) -> Figures:
    return next(row for row in figures["curves"][name] if row["step"] == step)


def _race(figures: Figures) -> str:
    race = figures["race"]
    steps = {
        name: " ".join("never" if each is None else f"{each:.1f}" for each in found)
        for name, found in race["steps"].items()
    }
    ratio = "none" if race["ratio"] is None else _interval(race["ratio"])
    return (
        f"Steps to a true win rate of {race['target']:g}, world by world: Flow-DPO"
        f" {steps['flow_dpo']}; GAPO {steps['gapo']}. Ratio {ratio} (aim 0.6), by Student's t on"
        " its logarithm."
    )


def _shown(figures: Figures, name: str) -> list[Figures]:
    return [row for row in figures["curves"][name] if row["step"] in SHOWN]


def _steps(figures: Figures) -> list[str]:
    return [f"{row['step']} steps" for row in _shown(figures, "flow_dpo")]


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _change(found: dict[str, float]) -> str:
    return f"{found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def _drift(found: dict[str, float]) -> str:
    return f"{found['mean']:+.4f}"
