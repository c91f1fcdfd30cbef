"""The figures of a report as plain text, for the terminal; and words that its page shares."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.evaluation import OVERALL


def in_order(names: Iterable[str], report: Mapping[str, Any]) -> list[str]:
    """Overall first: it answers the question. Then the dimensions, which say why."""
    wanted = [OVERALL, *report["dimensions"]]
    known = {name: place for place, name in enumerate(wanted)}
    return sorted(names, key=lambda name: (known.get(name, len(wanted)), name))


def as_text(report: Mapping[str, Any]) -> str:
    """The figures of a report in plain columns."""
    lines = [report["title"], "", report["recommendation"], *_verdict_lines(report), ""]
    for model in report["reward_models"]:
        lines += [
            f"{model['name']} (run {model['run']}), test prompts:",
            *_accuracy_lines(model, report),
            "",
        ]
    for each in report["alignments"]:
        first = each["first_loss"]
        lines.append(
            f"{each['name']} ({each['method']}, run {each['run']}): first loss "
            f"{'–' if first is None else format(first, '.7f')}"
        )
    lines.append("")
    for test in report["human_tests"]:
        lines += [
            f"{test['name'] or test['candidate']} against base, people:",
            *_people_lines(test),
        ]
        lines.append("")
    for evaluation in report["evaluations"]:
        lines += [f"{evaluation['candidate']} against base:", *_win_lines(evaluation, report)]
        lines += [*_measure_lines(evaluation), ""]
    return "\n".join(lines).rstrip() + "\n"


def _verdict_lines(report: Mapping[str, Any]) -> list[str]:
    return [
        f"  {each['candidate']}: {each['verdict']}"
        + (f" (about {each['more']} {each['unit']} would decide)" if each.get("more") else "")
        for each in report["candidates"]
    ]


def _people_lines(test: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'dimension':12} {'win rate':>9} {'95 % interval':>16} {'W/T/L':>12}"]
    for row in test["dimensions"]:
        share = row["ties_half"]
        interval = f"{_number(share['low'])}–{_number(share['high'])}"
        counts = f"{row['wins']}/{row['ties']}/{row['losses']}"
        lines.append(f"  {row['key']:12} {_number(share['value']):>9} {interval:>16} {counts:>12}")
    return lines


def _accuracy_lines(model: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'':12} {'accuracy':>9} {'ceiling':>9} {'share':>7} {'pairs':>6}"]
    for key in in_order(model["dimensions"], report):
        row = model["dimensions"][key]
        ceiling = row["ceiling"]["accuracy"] if row["ceiling"] else None
        lines.append(
            f"  {key:12} {_number(row.get('accuracy_without_ties')):>9} {_number(ceiling):>9} "
            f"{_number(row['share_of_ceiling']):>7} {row.get('decisive', 0):>6}"
        )
    return lines


def _win_lines(evaluation: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    header = f"  {'judge':10} {'dimension':12} {'win rate':>9} {'95 % interval':>16} {'W/T/L':>12}"
    lines = [f"{header} {'score by':>24}"]
    for judge in evaluation["judges"]:
        note = "  (its training reward)" if judge["was_training_reward"] else ""
        for key in in_order(judge["dimensions"], report):
            rate = judge["dimensions"][key]
            interval = f"{rate['low']:.3f}–{rate['high']:.3f}"
            counts = f"{rate['wins']}/{rate['ties']}/{rate['losses']}"
            moved = change_words(judge.get("changes", {}).get(key))
            figures = f"{rate['rate']:>9.3f} {interval:>16} {counts:>12} {moved:>24}"
            lines.append(f"  {judge['judge']:10} {key:12} {figures}{note}")
    return lines


def _measure_lines(evaluation: Mapping[str, Any]) -> list[str]:
    return [
        f"  {name} amount {each['base']:.2f} before, {each['candidate']:.2f} after: "
        f"{change_words(each)}"
        for name, each in evaluation.get("measures", {}).items()
    ]


def change_words(change: Mapping[str, Any] | None) -> str:
    """ "+0.31 (+0.20 to +0.42)"; a report of before has none."""
    if change is None:
        return ""
    if change["low"] is None:
        return _signed(change["change"])
    return f"{_signed(change['change'])} ({_signed(change['low'])} to {_signed(change['high'])})"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no minus before a zero


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
