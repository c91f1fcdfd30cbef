"""The table of a benchmark for people: the paper's form first, what it leaves out behind it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models_rm.benchmarks.published import published_figures

_NOTHING = "–"


def table_of(result: Mapping[str, Any]) -> str:
    """Markdown of what `results_of` gives."""
    names = [column["name"] for column in result["columns"]]
    return (
        "\n\n".join(
            [
                _head(result),
                _paper_form(result, names),
                _notes(result),
                "## Each figure with its interval and its thresholds",
                *(_detail(model, names) for model in result["models"]),
                *(["## Differences", _differences(result)] if result["differences"] else []),
            ]
        )
        + "\n"
    )


def _head(result: Mapping[str, Any]) -> str:
    return (
        f"# {_TITLES[result['benchmark']]}\n\n"
        f"{result['pairs']:,} pairs, {result['clips']:,} clips under their prompts, "
        f"{result['prompts']:,} prompts. Accuracy in percent, with ties / without ties."
    )


def _paper_form(result: Mapping[str, Any], names: Sequence[str]) -> str:
    empty = [""] * len(names)
    chance = result["baselines"]
    rows = [
        ["published, " + result["published"]["source"], *empty],
        *(
            [each["model"], *(_printed(each["figures"], column) for column in result["columns"])]
            for each in result["published"]["models"]
        ),
        ["**here**", *empty],
        ["always a tie", *(f"{_percent(chance[name]['always_tie'])} / 0.00" for name in names)],
        ["random", *(f"{_percent(chance[name]['random'])} / 50.00" for name in names)],
        *(
            [f"**{_cell(model['name'])}**", *(_both(model["columns"][name]) for name in names)]
            for model in result["models"]
        ),
    ]
    return _grid(["model", *names], rows)


def _printed(figures: Mapping[str, Any], column: Mapping[str, str]) -> str:
    found = published_figures(figures, column)
    return _NOTHING if found is None else " / ".join(_percent(each) for each in found)


def _both(figures: Mapping[str, Any]) -> str:
    if not figures["pairs"]:
        return _NOTHING
    with_ties, without = figures["accuracy_with_ties"], figures["accuracy_without_ties"]
    return f"{_percent(with_ties)} / {_percent(without)}"


def _notes(result: Mapping[str, Any]) -> str:
    lines = [
        "With ties: the best tie threshold on these very pairs, as the paper has it.",
        _OVERALL,
        *_not_comparable(result),
        *(_cell(text) for text in result.get("notes", [])),
        *(f"{_cell(model['name'])}: {_cell(model['source'])}." for model in result["models"]),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _not_comparable(result: Mapping[str, Any]) -> list[str]:
    """Where fewer pairs stand behind a row than behind the published ones."""
    lines = []
    if result["pairs"] != result["pairs_published"]:
        lines.append(
            f"Not comparable with the published rows: they are of {result['pairs_published']:,} "
            f"pairs, this file has {result['pairs']:,}."
        )
    for model in result["models"]:
        used = {name: figures["pairs"] for name, figures in model["columns"].items()}
        short = [n for n, count in used.items() if count < result["baselines"][n]["pairs"]]
        if short:
            what = ", ".join(
                f"{n} {used[n]:,} of {result['baselines'][n]['pairs']:,}" for n in short
            )
            lines.append(f"{_cell(model['name'])} has scores for some of the pairs only: {what}.")
    return lines


def _detail(model: Mapping[str, Any], names: Sequence[str]) -> str:
    head = [
        _cell(model["name"]),
        "pairs",
        "with ties, best threshold",
        "threshold of other prompts",
        "threshold of validation",
        "without ties",
        "exact ties half right",
    ]
    return _grid(head, [_detail_row(name, model["columns"][name]) for name in names])


def _detail_row(name: str, figures: Mapping[str, Any]) -> list[str]:
    if not figures["pairs"]:
        return [name, "0", *[_NOTHING] * 5]
    best = _with_interval(figures, "accuracy_with_ties")
    fitted = _with_interval(figures, "accuracy_with_ties_fitted")
    if figures["threshold_fitted"] is not None:
        fitted += f" at {figures['threshold_fitted']:.4g}"
    return [
        name,
        f"{figures['pairs']:,}, {figures['decisive']:,} decided",
        f"{best} at {figures['threshold_in_sample']:.4g}",
        _percent(figures["accuracy_with_ties_other_prompts"]),
        fitted,
        _with_interval(figures, "accuracy_without_ties"),
        _percent(figures["accuracy_without_ties_half"]),
    ]


def _differences(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{_cell(each['first'])} - {_cell(each['second'])}",
            each["column"],
            f"{each['pairs']:,}",
            _difference(each["accuracy_with_ties"]),
            _difference(each["accuracy_without_ties"]),
        ]
        for each in result["differences"]
    ]
    return _grid(["models", "column", "shared pairs", "with ties", "without ties"], rows)


def _difference(found: Mapping[str, float] | None) -> str:
    if found is None:
        return _NOTHING
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{100 * found['difference']:+.2f} [{low:+.2f}, {high:+.2f}], p {found['p_value']:.3f}"


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    if figures[name] is None:
        return _NOTHING
    interval = figures[f"{name}_interval"]
    text = _percent(figures[name])
    return text if interval is None else f"{text} [{', '.join(_percent(e) for e in interval)}]"


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.2f}"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """A name that somebody gave, in a table: it ends no cell and begins no other thing."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


_OVERALL = (
    "The mean, and Overall where no score has that name: the mean of the dimensions with equal "
    "weights; nothing was trained on that vote."
)
_TITLES = {
    "videogen_rewardbench": "VideoGen-RewardBench",
    "genai_bench": "GenAI-Bench, video part",
}
