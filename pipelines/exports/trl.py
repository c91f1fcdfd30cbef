"""Preference rows for TRL: prompt, chosen, rejected; one row per dimension that was decided.

TRL has no tie. What it cannot hold stands, row by row, in NAME.left-out.jsonl, with a count per
dimension in NAME.left-out.json. Both files together hold every label.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from formats.labels import Label
from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Counts, Made, Staging

NONE: Final = "none"  # where people split
_DECIDED: Final = {Label.A.value: ("video_a", "video_b"), Label.B.value: ("video_b", "video_a")}
_OF_CLIP: Final = ("sha256", "fps", "num_frames", "generator", "seed")


def write(source: Source, staging: Staging, name: str) -> None:
    rest, counts = side_names(name)

    def fill(places: Mapping[str, Path]) -> Made:
        with places[name].open("wb") as rows, places[rest].open("wb") as others:
            made = _fill(source, rows, others)
        places[counts].write_text(json.dumps(made.left_out, indent=1) + "\n", encoding="utf-8")
        kept = made.rows
        return Made({name: kept["rows"], rest: kept["others"]}, made.left_out)

    staging.make("rows", (name, rest, counts), fill)


def side_names(name: str) -> tuple[str, str]:
    """The rows that TRL has no place for, and how many they are."""
    return f"{name}.left-out.jsonl", f"{name}.left-out.json"


def _fill(source: Source, rows: BinaryIO, others: BinaryIO) -> Made:
    left_out: Counts = {
        key: dict.fromkeys((Label.TIE.value, Label.INVALID.value, NONE), 0) for key in source.keys
    }
    count = {"rows": 0, "others": 0}
    for row in source.rows():
        for key in source.keys:
            label = row["labels"].get(key, NONE)
            if label in _DECIDED and row["video_b"] is not None:
                rows.write(_line(preference(row, key, label)))
                count["rows"] += 1
            else:
                others.write(_line(_other(row, key, label)))
                left_out[key][label] += 1
                count["others"] += 1
    return Made(count, left_out)


def preference(row: Row, key: str, label: str) -> dict[str, Any]:
    """The columns of TRL (prompt, chosen, rejected) and what leads back to the pair."""
    better, worse = (row[side] for side in _DECIDED[label])
    return {
        "prompt": row["prompt"],
        "chosen": better["path"],
        "rejected": worse["path"],
        "dimension": key,
        "split": row["split"],
        "pair_id": row["pair_id"],
        "chosen_side": label,
        **_clip("chosen", better),
        **_clip("rejected", worse),
    }


def _other(row: Row, key: str, label: str) -> dict[str, Any]:
    """A label that decides nothing, with its clips as A and B."""
    clip_b = row["video_b"]
    return {
        "prompt": row["prompt"],
        "path_a": row["video_a"]["path"],
        "path_b": clip_b["path"] if clip_b else None,
        "label": None if label == NONE else label,
        "dimension": key,
        "split": row["split"],
        "pair_id": row["pair_id"],
        **_clip("a", row["video_a"], after=True),
        **(_clip("b", clip_b, after=True) if clip_b else {}),
    }


def _clip(side: str, video: Row, *, after: bool = False) -> dict[str, Any]:
    return {(f"{n}_{side}" if after else f"{side}_{n}"): video.get(n) for n in _OF_CLIP}


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"
