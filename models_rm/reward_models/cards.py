"""The model card: card.json for tools, README.md for people, both from the same figures.

After Mitchell et al. 2019 (arXiv 1810.03993): what it was made of, what it was held against, where
it stops being valid.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from formats.files import write_json
from models_rm.reward_models.card_facts import SPLITS, Facts, limits

SCHEMA: Final = "reward_card/1"
_MISSING: Final = "–"
_WORDS: Final = {
    "passed": "passed",
    "failed": "**failed**",
    "not_applicable": "not asked",
    "information": "information",
}


def write_cards(folder: Path, card: Mapping[str, Any], facts: Facts | None = None) -> None:
    """Write card.json and README.md beside model.json, whose content `card` is."""
    content = card_of(card, facts or Facts())
    write_json(folder / "card.json", SCHEMA, content)
    (folder / "README.md").write_text(markdown(content), encoding="utf-8")


def card_of(card: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Everything that is known about a model, as plain JSON."""
    return {
        "title": card["dimensions"]["title"],
        "dimensions": card["dimensions"],
        "data": {"snapshot_sha256": card["snapshot_sha256"], **facts.data},
        "settings": card["config"],
        "backbone": card["backbone"],
        "theta": card["theta"],
        "calibration": card["calibration"],
        "inputs": {
            "frame_rule": card["frame_rule"],
            "rope_mode": card["config"]["rope_mode"],
            "template": card["config"]["template"],
            "template_sha256": card["template_sha256"],
            "libraries": card["libraries"],
        },
        "evaluation": facts.evaluation or card["evaluation"],
        "probes": list(facts.probes),
        "limits": limits(card, facts),
        "converted": card.get("converted", {}),
    }


def markdown(content: Mapping[str, Any]) -> str:
    """card.json as a page."""
    keys = [each["key"] for each in content["dimensions"]["dimensions"]]
    parts = [
        f"# Reward model: {content['title']}",
        _summary(content),
        *_accuracies(content, keys),
        *_quality(content, keys),
        *_probes(content["probes"]),
        "## Limits",
        _list(content["limits"]),
        *_data(content, keys),
        *_settings(content, keys),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(content: Mapping[str, Any]) -> str:
    settings, backbone = content["settings"], content["backbone"]
    if content.get("converted"):
        return _origin(content["converted"], backbone)
    snapshot = content["data"]["snapshot_sha256"]
    return (
        f"Backbone `{backbone['source']}` ({backbone['model_type']}), loss "
        f"{_loss(settings['loss'])}, {settings['steps']} steps of {settings['pairs_per_step']} "
        f"pairs of the snapshot `{snapshot}`."
    )


def _origin(converted: Mapping[str, Any], backbone: Mapping[str, Any]) -> str:
    """Of a model that was trained elsewhere. How long, and on what, its files do not say."""
    files = ", ".join(f"`{name}` {sha256[:16]}" for name, sha256 in converted["sha256"].items())
    left_out = ", ".join(f"`{name}`: {why}" for name, why in converted["left_out"].items())
    return (
        f"Converted from {converted['from']}, `{converted['checkpoint']}`, which names the "
        f"backbone `{converted['backbone']}`; here on `{backbone['source']}` "
        f"({backbone['model_type']}). Files (sha256): {files}. Left out: {left_out or 'nothing'}."
    )


def _loss(loss: Any) -> str:
    if isinstance(loss, Mapping):
        return ", ".join(f"`{name}` for {key}" for key, name in loss.items())
    return f"`{loss}`"


def _accuracies(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """One table per split that was examined, held-out prompts first."""
    parts = []
    for split in reversed(SPLITS):
        rows = content["evaluation"].get(split, {})
        if not any(rows.get(key, {}).get("pairs") for key in keys):
            continue
        parts += [
            f"## Accuracy on the {split} prompts",
            _table(
                ["dimension", "without ties", "95 %", "human", "with ties, threshold of validation",
                 "95 %", "best threshold (acc*)", "BTT threshold", "human", "always tie",
                 "random", "pairs", "decided"],
                [_accuracy_row(key, rows.get(key, {})) for key in keys],
            ),
        ]  # fmt: skip
    if parts:
        parts.append(
            "Intervals draw whole prompts anew. *human*: one annotator against the consensus of "
            "the others; a model that has learned from many may stand above it. The best "
            "threshold is fitted on the same pairs, as papers do, and so too good; the threshold "
            "of validation is not. Without ties, chance is 0.5."
        )
    return parts


def _accuracy_row(key: str, row: Mapping[str, Any]) -> list[str]:
    return [
        key,
        _figure(row.get("accuracy_without_ties")),
        _interval(row.get("accuracy_without_ties_interval")),
        _figure(row.get("human_ceiling_without_ties")),
        _figure(row.get("accuracy_with_ties_fitted")),
        _interval(row.get("accuracy_with_ties_fitted_interval")),
        _figure(row.get("accuracy_with_ties")),
        _figure(row.get("accuracy_with_ties_btt")),
        _figure(row.get("human_ceiling_with_ties")),
        _figure(row.get("baseline_always_tie")),
        _figure(row.get("baseline_random")),
        _figure(row.get("pairs")),
        _figure(row.get("decisive")),
    ]


def _quality(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    rows = content["evaluation"].get("test", {})
    said = ("pairs", "scored_clips")
    shown = [key for key in keys if any(rows.get(key, {}).get(name) for name in said)]
    if not shown:
        return []
    names = {
        "nll": "NLL",
        "brier": "Brier",
        "calibration_error": "calibration error",
        "ties_observed": "ties",
        "ties_predicted": "ties predicted",
        "theta": "theta",
        "theta_best": "theta that fits best",
        "tie_separation": "separation of ties",
        "spearman": "Spearman",
        "kendall_tau_b": "Kendall tau-b",
        "pearson": "Pearson",
    }
    used = [name for name in names if any(rows[key].get(name) is not None for key in shown)]
    table = _table(
        ["dimension", *(names[name] for name in used)],
        [[key, *(_figure(rows[key].get(name)) for name in used)] for key in shown],
    )
    return ["## Predicted probabilities and correlations, test prompts", table]


def _probes(probes: Sequence[Mapping[str, Any]]) -> list[str]:
    if not probes:
        return ["## Probes", "None were asked."]
    rows = [
        [each["name"].replace("_", " "), _WORDS[each["status"]], each["sentence"]]
        for each in probes
    ]
    return ["## Probes", _table(["probe", "result", "what was found"], rows)]


def _data(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    data = content["data"]
    if "pairs" not in data:
        return []
    splits = [
        [split, _figure(data["pairs"][split]), _figure(data["prompts"][split])] for split in SPLITS
    ]
    words = list(next(iter(data["labels"].values()), {}))
    labels = [[key, *(_figure(data["labels"][key][word]) for word in words)] for key in keys]
    told = (
        f"{data['clips']} clips, {data['votes']} votes of {data['annotators'] or 'unnamed'} "
        f"annotators; splits `{data['split_sha256'][:16]}`."
    )
    parts = [
        "## Data",
        told,
        _table(["split", "pairs", "prompts"], splits),
        _table(["labels", *words], labels),
    ]
    if data.get("agreement"):
        rows = [
            [key, _figure(row.get("alpha")), _figure(row.get("ac1"))]
            for key, row in data["agreement"].items()
        ]
        parts.append(_table(["agreement", "Krippendorff's alpha", "Gwet's AC1"], rows))
    return parts


def _settings(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    calibration, inputs = content["calibration"], content["inputs"]
    rule, theta = inputs["frame_rule"], content["theta"]
    table = _table(
        ["dimension", "theta", "mean", "std", "tie threshold"],
        [
            [key, *(_figure(each.get(key)) for each in (
                theta, calibration["mean"], calibration["std"], calibration["threshold"]
            ))]
            for key in keys
        ],
    )  # fmt: skip
    versions = ", ".join(f"{name} {number}" for name, number in inputs["libraries"].items())
    source = (
        f"Scores are (reward - mean) / std with the values of the {calibration['source']} split "
        f"({calibration['clips']} clips)."
    )
    if content.get("converted"):
        source = f"Scores are (reward - mean) / std; the values are {calibration['source']}."
    source += _uncertainty(calibration.get("uncertainty", {}), calibration.get("temperature", {}))
    lines = [
        (
            f"frames: {rule['fps']:g} per second, {rule['min_frames']} to {rule['max_frames']}, "
            f"rule `{rule['name']}`"
        ),
        (
            f"pixels of a frame: {rule['min_pixels']} to {rule['max_pixels']}, sides multiples of "
            f"{rule['side_factor']}"
        ),
        f"rating text: `{inputs['template']}`, sha256 `{inputs['template_sha256'][:16]}`",
        f"positions: `{inputs['rope_mode']}`",
        f"libraries: {versions or 'not recorded'}",
    ]
    return ["## Scores", source, table, "## What it sees", _list(lines)]


def _uncertainty(factors: Mapping[str, float], heat: Mapping[str, float]) -> str:
    """What was done to the deviations of a model that says how sure it is."""
    if not factors:
        return ""
    told = ", ".join(f"{_figure(value)} for {key}" for key, value in factors.items())
    divided = ", ".join(f"{_figure(value)} for {key}" for key, value in heat.items())
    return (
        f" The model says how sure each reward is; its deviations are multiplied by {told}, and "
        f"raw rewards meet theta divided by {divided or '1'}: so they fit those labels."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _figure(value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _interval(value: Sequence[float] | None) -> str:
    return _MISSING if value is None else f"{value[0]:.3f} to {value[1]:.3f}"
