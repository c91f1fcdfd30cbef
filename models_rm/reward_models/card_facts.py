"""What a model card says beyond model.json: the data, and where the figures stop being valid."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from formats.labels import Label
from formats.records import PreferenceRecord
from formats.snapshot import Snapshot
from models_rm.metrics import HumanCeiling, human_ceiling
from models_rm.probes.questions import alarms

SPLITS: Final = ("train", "validation", "test")
_FEW_DECISIVE: Final = 100
_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Facts:
    """`evaluation`: split -> dimension -> figures with details; `probes` as `run_probes` gives
    them; `data` as `data_facts` does. All empty for a model that was not examined here."""

    data: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    probes: Sequence[Mapping[str, Any]] = ()


def data_facts(snapshot: Snapshot, keys: Sequence[str]) -> dict[str, Any]:
    """What people said, as it stands in a snapshot."""
    records = snapshot.records
    return {
        "pairs": {split: sum(each.split == split for each in records) for split in SPLITS},
        "prompts": {
            split: len({each.prompt for each in records if each.split == split}) for split in SPLITS
        },
        "clips": len(
            {ref.sha256 for each in records for ref in (each.video_a, each.video_b) if ref}
        ),
        "votes": sum(each.votes for each in records),
        "annotators": len({said.annotator for each in records for said in each.judgements}),
        "sources": dict(Counter(each.source for each in records)),
        "labels": {key: _labels(records, key) for key in keys},
        "generators": _generators(records),
        "split_sha256": split_sha256(records),
        **({"agreement": snapshot.meta["agreement"]} if "agreement" in snapshot.meta else {}),
    }


def split_sha256(records: Sequence[PreferenceRecord]) -> str:
    """Which prompt stands in which split, as one address: equal splits give an equal hash."""
    sides = sorted({(each.split, each.prompt) for each in records})
    digest = hashlib.sha256()
    for split, prompt in sides:
        digest.update(f"{split}\0{prompt}\0".encode())
    return digest.hexdigest()


def ceilings_of(
    records: Sequence[PreferenceRecord], keys: Sequence[str], *, resamples: int, seed: int
) -> dict[str, HumanCeiling | None]:
    """Per dimension what one annotator reaches against the others; None without single votes."""
    prompts = [each.prompt for each in records]
    return {
        key: human_ceiling(
            [
                [(said.annotator, said.label) for said in each.judgements if said.dimension == key]
                for each in records
            ],
            prompts,
            resamples=resamples,
            seed=seed,
        )
        for key in keys
    }


def limits(card: Mapping[str, Any], facts: Facts) -> list[str]:
    """Where the scores hold and where they do not, a sentence each. `card` is model.json."""
    rule, calibration = card["frame_rule"], card["calibration"]
    found = [
        (
            "Raw rewards have no zero of their own; only differences between clips of one prompt "
            "mean something."
        ),
        (
            f"Scores hold at {rule['fps']:g} frames per second and {rule['min_pixels']} to "
            f"{rule['max_pixels']} pixels a frame."
        ),
    ]
    if rule.get("start_frames"):
        found.append(
            "It looks at the start image before the clip: a clip without one cannot be scored."
        )
    if calibration["source"] == "train":
        found.append(
            "There were no validation prompts: mean, deviation and tie thresholds come from the "
            "training pairs, so figures at those thresholds are too good."
        )
    generators = facts.data.get("generators")
    if generators:
        found.append(
            f"It has seen clips of {', '.join(generators)}; nothing is known about others."
        )
    for key, row in facts.evaluation.get("test", {}).items():
        found += _limits_of(key, row)
    return [*found, *(f"Alarm: {sentence}" for sentence in alarms(facts.probes))]


def _limits_of(key: str, row: Mapping[str, Any]) -> list[str]:
    if not row.get("pairs") and row.get("scored_clips"):
        return []
    if not row.get("pairs"):
        return [f"{key}: nobody judged a test pair, so nothing is known."]
    found = []
    if row["decisive"] < _FEW_DECISIVE:
        found.append(f"{key}: only {row['decisive']} test pairs are decided; intervals are wide.")
    low = (row.get("accuracy_without_ties_interval") or [None])[0]
    if low is not None and low <= 0.5:
        found.append(f"{key}: not shown to be better than chance on decided pairs.")
    low = (row.get("accuracy_with_ties_fitted_interval") or [None])[0]
    if low is not None and low <= row["baseline_always_tie"]:
        found.append(f"{key}: with ties not shown to be better than always saying tie.")
    if "human_ceiling_with_ties" not in row:
        found.append(f"{key}: no single votes in the snapshot, so the human ceiling is not known.")
    return found


def _labels(records: Sequence[PreferenceRecord], key: str) -> dict[str, int]:
    found = Counter(str(each.labels.get(key, _NONE)) for each in records)
    return {word: found[word] for word in (*(label.value for label in Label), _NONE)}


def _generators(records: Sequence[PreferenceRecord]) -> list[str]:
    refs = [ref for each in records for ref in (each.video_a, each.video_b) if ref is not None]
    return sorted({ref.generator for ref in refs if ref.generator})
