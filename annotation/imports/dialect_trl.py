"""Preference rows of TRL: prompt, chosen, rejected; one row per dimension that was decided.

What TRL cannot say (ties, invalid, where people split) stands in NAME.left-out.jsonl beside the
file; both together are all labels. The rows of one pair may stand anywhere in them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.imports.asking import Asked
from annotation.imports.behind import read_label
from annotation.imports.dialect_preferences import pair_values
from annotation.imports.rows import label_of
from annotation.imports.table_files import Cells, Table
from formats.errors import FormatError
from formats.labels import Label

TITLE: Final = "TRL preference"
_OF_CLIP: Final = ("sha256", "fps", "num_frames", "generator", "seed")
_SIDES: Final = {Label.A.value: "ab", Label.B.value: "ba"}
_SHARED: Final = ("prompt", "dimension", "split", "pair_id", "chosen_side", "path_a", "path_b")


def fits(columns: frozenset[str]) -> bool:
    return {"chosen", "rejected"} <= columns or {"path_a", "label", "dimension"} <= columns


def known(column: str) -> bool:
    sides = [f"{side}_{name}" for name in _OF_CLIP for side in ("chosen", "rejected")]
    sides += [f"{name}_{side}" for name in _OF_CLIP for side in "ab"]
    return column in {*_SHARED, *sides, "chosen", "rejected", "label"}


@dataclass(slots=True)
class _Pair:
    """What the rows of a pair say together. `first` is where it comes first."""

    first: int
    clips: Mapping[str, Any]
    labels: dict[str, str | None] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def translate(table: Table, asked: Asked) -> Iterator[Cells]:
    """One row per pair, at the line where the pair comes first; faults where they stand."""
    pairs: dict[Any, _Pair] = {}
    for cells in table.cells:
        fault = cells.fault or _read(cells, asked, pairs)
        if fault:
            yield Cells(cells.line, {}, fault=fault)
    _remark_missing(table, asked, pairs)
    for pair in pairs.values():
        labels = {label_of(key): label for key, label in pair.labels.items()}
        yield Cells(pair.first, {**pair.clips, **labels})


def _remark_missing(table: Table, asked: Asked, pairs: Mapping[Any, _Pair]) -> None:
    """TRL has no tie: without the file beside it nobody knows what the missing labels were."""
    missing = sum(len(asked.keys) - len(pair.labels) for pair in pairs.values())
    if missing and "label" not in table.columns:
        table.remarks.append(
            f"{asked.name}: {missing} labels are not in it and taken for undecided; ties and"
            " invalid labels come with the file NAME.left-out.jsonl beside it"
        )


def _read(cells: Cells, asked: Asked, pairs: dict[Any, _Pair]) -> str:
    """Put a row to its pair; what is wrong with it."""
    try:
        key = _dimension(cells.values, asked)
        clips, word = _said(cells.values, asked, pairs)
        pair = pairs.setdefault(_name(clips), _Pair(cells.line, clips))
        if key in pair.lines:
            return f"the pair has a label of {key} in line {pair.lines[key]} already"
        label = read_label(word, "label")
    except FormatError as error:
        return error.message
    pair.labels[key] = None if label is None else label.value
    pair.lines[key] = cells.line
    return ""


def _dimension(row: Mapping[str, Any], asked: Asked) -> str:
    """The one that is asked about, where the file does not say."""
    if "dimension" not in row and len(asked.keys) == 1:
        return asked.keys[0]
    if row.get("dimension") not in asked.keys:
        said = str(row.get("dimension"))[:40]
        raise FormatError(f"dimension is {said!r}; expected one of {', '.join(asked.keys)}")
    return str(row["dimension"])


def _said(
    row: Mapping[str, Any], asked: Asked, pairs: Mapping[Any, _Pair]
) -> tuple[dict[str, Any], Any]:
    """The clips of the row as A and B, and its label."""
    if "chosen" not in row:
        return pair_values(row, asked), row.get("label")
    word = row.get("chosen_side")
    if word is not None:
        return pair_values(_sides(row, word), asked), word
    # Nobody says which clip was A: the one that is chosen first, and then always.
    turned = pair_values(_sides(row, Label.B.value), asked)
    if _name(turned) in pairs:
        return turned, Label.B.value
    return pair_values(_sides(row, Label.A.value), asked), Label.A.value


def _sides(row: Mapping[str, Any], word: Any) -> dict[str, Any]:
    if not isinstance(word, str) or word not in _SIDES:
        raise FormatError(f"chosen_side is {str(word)[:40]!r}; expected A or B")
    found = {"pair_id": row.get("pair_id"), "prompt": _text(row, "prompt")}
    for side, was in zip(_SIDES[word], ("chosen", "rejected"), strict=True):
        found[f"path_{side}"] = _text(row, was)
        found |= {f"{name}_{side}": row.get(f"{was}_{name}") for name in _OF_CLIP}
    return found


def _name(clips: Mapping[str, Any]) -> Any:
    return tuple(str(clips[name]) for name in sorted(clips))


def _text(row: Mapping[str, Any], column: str) -> Any:
    """A text, or a conversation of one message, as chat models want it."""
    value = row.get(column)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise FormatError(f"{column} is {str(value)[:40]!r}; expected a text")
    return value
