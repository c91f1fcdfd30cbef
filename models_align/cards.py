"""The card of an adapter: card.json for tools, README.md as the hub wants it, of the same facts.

What a trainer knows stands here: base, method, settings, pairs, figures of training, alarms, how to
load. Lineage and win rates come later and are added by whoever knows them (`pipelines`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch

from formats.records import PairRecord
from models_align.generators.base import Generator

README: Final = "README.md"
_KNOWN_TO_DIFFUSERS: Final = ("diffusers", "transformers")
LIBRARIES: Final = ("torch", "diffusers", "transformers", "peft")
_VIDEOALIGN: Final = "Improving Video Generation with Human Feedback (arXiv 2501.13918)"
_ANIME: Final = "Aligning Anime Video Generation with Human Feedback (arXiv 2504.10044)"
# What each method is called, and where it comes from.
METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "sft": ("Supervised fine-tuning on the chosen clips", f"{_VIDEOALIGN}, its baseline"),
    "rwr": ("Flow-RWR, reward-weighted regression", f"{_VIDEOALIGN}, equation 9"),
    "flow_dpo": ("Flow-DPO", f"{_VIDEOALIGN}, equation 6"),
    "gapo": ("GAPO, gap-aware preference optimisation", f"{_ANIME}, section 3.4"),
    "safe_dpo": ("Loser-safe Flow-DPO", f"{_VIDEOALIGN}; Diffusion-SDPO (arXiv 2511.03317)"),
}

# Settings that change nothing in the weights, or that no reader looks for; card.json has all.
_OF_THE_MACHINE: Final = {
    "name", "licence", "threads", "log_every", "save_every", "cache_mib", "micro_pairs",
    "processes", "sharding", "gradient_checkpointing", "watch", "alarms", "stop_on",
}  # fmt: skip
_OF_EVERY_ADAPTER: Final = (
    (
        "It moves the base towards what was preferred in its pairs and nowhere else, and inherits "
        "every limit of the base."
    ),
    (
        "What judges reward is not all that people want: compare with and without it on own "
        "prompts, and look at how much clips move."
    ),
    "Figures of training say that it learned its pairs, not that clips became better.",
)


def facts_of(
    generator: Generator, pairs: Sequence[PairRecord], alarms: Iterable[str], seconds: float
) -> dict[str, Any]:
    """What a trainer knows besides its config and its figures, as plain JSON."""
    return {
        "pipeline": type(generator.pipeline).__name__,
        "modules": _own_modules(generator),
        "process": generator.process.name,
        "image_to_video": generator.needs_image,
        "data": _data(pairs),
        "alarms": list(alarms),
        "seconds": round(seconds, 1),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _own_modules(generator: Generator) -> list[str]:
    """Modules of classes that the base's parts have and diffusers does not: it imports none."""
    parts = generator.pipeline.components.values()
    names = {type(each).__module__ for each in parts if isinstance(each, torch.nn.Module)}
    return sorted(name for name in names if name.partition(".")[0] not in _KNOWN_TO_DIFFUSERS)


def _data(pairs: Sequence[PairRecord]) -> dict[str, Any]:
    sources: dict[str, int] = {}
    for each in pairs:
        sources[each.source] = sources.get(each.source, 0) + 1
    return {
        "pairs": len(pairs),
        "prompts": len({each.prompt for each in pairs}),
        "clips": len({ref.sha256 for each in pairs for ref in (each.chosen, each.rejected)}),
        "sources": sources,
        "median_gap": round(median(each.gap for each in pairs), 4),
        "dimensions": sorted({key for each in pairs for key in (*each.rewards_w, *each.shares_w)}),
    }


def completed(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card with what follows from it: the lines that load it, its source, its limits."""
    said: dict[str, Any] = {**card, "usage": _usage(card), "limits": _limits(card)}
    if "method" in card:
        said["method_name"], said["method_source"] = METHODS[card["method"]]
    return said


def markdown(card: Mapping[str, Any]) -> str:
    """README.md of an adapter folder; `card` is completed, and what it does not say is left out."""
    parts = [
        front_matter(card),
        f"# {_title(card)}",
        *_method(card),
        "## How to use it",
        _usage_part(card),
        *_data_part(card),
        *_settings_part(card),
        *_figures_part(card),
        *_alarms(card),
        "## Limits",
        _list(card["limits"]),
    ]
    return "\n\n".join(parts) + "\n"


def _title(card: Mapping[str, Any]) -> str:
    method = METHODS[card["method"]][0] if "method" in card else "Adapter"
    return f"{card.get('name') or method}: a LoRA adapter for {_base_name(card['base'])}"


def _method(card: Mapping[str, Any]) -> list[str]:
    if "method" not in card:
        return []
    name, source = METHODS[card["method"]]
    # GAPO's paper weighs a diffusion DPO.
    ours = card["method"] == "gapo" and card.get("process") == "rectified_flow"
    extension = ", here on Flow-DPO, which is an extension of it" if ours else ""
    learned = "Trained on pairs of clips of which people or a reward model prefer one."
    return [f"{learned} {name}: {source}{extension}."]


def front_matter(card: Mapping[str, Any]) -> str:
    """The metadata that the hub reads: YAML, of which JSON values are a part."""
    task = "image-to-video" if card.get("image_to_video") else "text-to-video"
    method = [card["method"].replace("_", "-")] if "method" in card else []
    values = {
        "base_model": _base_name(card["base"]),
        "base_model_relation": "adapter",
        "library_name": "diffusers",
        "pipeline_tag": task,
        "tags": ["lora", "diffusers", task, *method, "preference-alignment", "tiebreak"],
    }
    if licence := card.get("config", {}).get("licence"):
        values["license"] = licence
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _base_name(base: str) -> str:
    """The id of the hub; of a folder of this machine its last two names, which is all it has."""
    name, _, _ = base.partition("@")
    return "/".join(Path(name).parts[-2:]) if name.startswith("/") else name


def _usage(card: Mapping[str, Any]) -> list[str]:
    """Plain diffusers; run in the adapter's folder."""
    name, _, revision = card["base"].partition("@")
    pinned = f", revision={json.dumps(revision)}" if revision else ""
    lines = [
        *(f"import {module}  # classes of this base" for module in card.get("modules", ())),
        "from diffusers import DiffusionPipeline",
        f"pipeline = DiffusionPipeline.from_pretrained({json.dumps(name)}{pinned})",
        'pipeline.load_lora_weights(".")',
    ]
    if "transformer_2" in card["networks"]:
        lines.append('pipeline.load_lora_weights("transformer_2", load_into_transformer_2=True)')
    return lines


def _usage_part(card: Mapping[str, Any]) -> str:
    code = "\n".join(["```python", *card["usage"], "```"])
    return (
        f"{code}\n\nThe dot is this folder, or the id under which it was uploaded. "
        "`pipeline.set_adapters` weakens or strengthens it."
    )


def _data_part(card: Mapping[str, Any]) -> list[str]:
    data = card.get("data")
    if not data:
        return []
    told = ", ".join(f"{count} by {source}" for source, count in data["sources"].items())
    dimensions = ", ".join(data["dimensions"])
    about = f" Judged: {dimensions}." if dimensions else ""
    pairs = f"{data['pairs']} pairs ({told}) of {data['prompts']} prompts, {data['clips']} clips"
    return ["## Training data", f"{pairs}; the median gap is {data['median_gap']:g}.{about}"]


def _settings_part(card: Mapping[str, Any]) -> list[str]:
    if not card.get("config"):
        return []
    told = {key: value for key, value in card["config"].items() if key not in _OF_THE_MACHINE}
    return ["## Settings", _table(("setting", "value"), _settings(told))]


def _figures_part(card: Mapping[str, Any]) -> list[str]:
    rows = [
        (name.replace("_", " "), _figure(value)) for name, value in card.get("last", {}).items()
    ]
    return ["## Figures of training", _table(("at the last step", "value"), rows)] if rows else []


def _settings(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows += _settings(value, f"{prefix}{key}.")
        elif value not in ("", [], ()):
            rows.append((f"`{prefix}{key}`", _figure(value)))
    return rows


def _alarms(card: Mapping[str, Any]) -> list[str]:
    stopped = card.get("stopped_by")
    alarms = list(card.get("alarms", ()))
    if not alarms and not stopped:
        return ["No alarm was raised while it was trained."] if "alarms" in card else []
    ended = [f"Training was ended by the alarm {stopped}; this is the last good checkpoint."]
    return ["## Alarms", _list([*(ended if stopped else ()), *alarms])]


def _limits(card: Mapping[str, Any]) -> list[str]:
    limits = list(_OF_EVERY_ADAPTER)
    if not card.get("config", {}).get("licence"):
        limits.append("No licence is stated; that of the base applies to whatever is made with it.")
    return limits


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _figure(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
