"""Our Parquet, and the files that Hugging Face `datasets` keeps: one row per pair, all it knows."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annotation.imports.asking import Asked
from annotation.imports.behind import (
    Behind,
    Opinion,
    Said,
    read_count,
    read_label,
    read_name,
    said_only,
    shared,
)
from annotation.imports.behind import read_posterior as posterior_of
from annotation.imports.rows import label_of
from annotation.imports.table_files import Cells, Table
from formats.errors import FormatError

TITLE: Final = "preferences (Parquet, Hugging Face datasets)"
_OF_KEY: Final = ("label_", "posterior_", "score_a_", "score_b_")
# Ours: theirs. The clip's facts are named alike on both sides.
_OF_CLIP: Final = {
    "path": "path", "sha256": "sha256", "fps": "fps", "num_frames": "num_frames", "seed": "seed",
}  # fmt: skip
_SHARED: Final = ("pair_id", "prompt", "category", "image_path", "image_sha256")
# `split` is made anew from the prompt by each snapshot, `source` is an import from now on.
_SILENT: Final = frozenset({"split", "source", "votes", "judgements"})


def fits(columns: frozenset[str]) -> bool:
    return "path_a" in columns and any(column.startswith("label_") for column in columns)


def known(column: str) -> bool:
    of_clip = {f"{name}_{side}" for name in (*_OF_CLIP, "generator") for side in "ab"}
    return column in {*_SHARED, *_SILENT, *of_clip} or column.startswith(_OF_KEY)


def translate(table: Table, asked: Asked) -> Iterator[Cells]:
    keys = {c.removeprefix("label_") for c in table.columns if c.startswith("label_")}
    asked.check_keys(keys)
    return (_row(each, asked) for each in table.cells)


def _row(cells: Cells, asked: Asked) -> Cells:
    if cells.fault:
        return cells
    try:
        values = pair_values(cells.values, asked)
        for key in asked.keys:
            values[label_of(key)] = cells.values.get(f"label_{key}")
            values |= score_values(cells.values, key, asked)
        behind = Behind(
            posteriors(lambda key: cells.values.get(f"posterior_{key}"), asked),
            read_count(cells.values.get("votes"), "votes"),
            tuple(_opinions(cells.values.get("judgements"), asked)),
        )
    except FormatError as error:
        return Cells(cells.line, {}, fault=error.message)
    return Cells(cells.line, values, behind=behind)


def pair_values(row: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The columns that say which clips are compared, from names that end in _a and _b."""
    check_alone(asked, two=bool(row.get("path_b") or row.get("sha256_b")))
    values = {name: row.get(name) for name in _SHARED}
    for side in "a" if asked.single else "ab":
        tail = asked.place(side)
        values |= {f"{ours}{tail}": row.get(f"{name}_{side}") for ours, name in _OF_CLIP.items()}
        values[f"{side.upper()}_model" if tail else "model"] = row.get(f"generator_{side}")
    return values


def check_alone(asked: Asked, *, two: bool) -> None:
    if two and asked.single:
        raise FormatError("the row has two clips, but the campaign asks about single ones")
    if not two and not asked.single:
        raise FormatError("the row has one clip alone, but the campaign asks about pairs")


def score_values(row: Mapping[str, Any], key: str, asked: Asked) -> dict[str, Any]:
    """The columns of mean scores, from score_a_KEY and score_b_KEY."""
    sides = "a" if asked.single else "ab"
    return {f"MOS{asked.place(side)}_{key}": row.get(f"score_{side}_{key}") for side in sides}


def posteriors(given: Any, asked: Asked) -> dict[str, list[float]]:
    found = {key: posterior_of(given(key), f"the posterior of {key}") for key in asked.keys}
    return {key: value for key, value in found.items() if value is not None}


def _opinions(value: Any, asked: Asked) -> Iterator[Opinion]:
    """One per annotator, of a list of (annotator, dimension, label)."""
    said: dict[str, dict[str, Said]] = defaultdict(dict)
    for each in _listed(value):
        annotator, key = read_name(each.get("annotator"), "annotator"), each.get("dimension")
        if key not in asked.keys:
            raise FormatError(f"a judgement is on {str(key)[:40]!r}, which nobody asks about")
        if key in said[annotator]:
            raise FormatError(f"{annotator} judges {key} twice on this pair")
        label = read_label(each.get("label"), f"a judgement on {key}")
        if label is None:
            raise FormatError(f"a judgement on {key} has no label")
        said[annotator][sys.intern(key)] = said_only(label)
    return (Opinion(annotator, shared(*of.items())) for annotator, of in sorted(said.items()))


def _listed(value: Any) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(value) if isinstance(value, str) and value else value or []
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise FormatError("judgements must be a list of annotator, dimension and label")
    return found
