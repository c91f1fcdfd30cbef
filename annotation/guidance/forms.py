"""The form on which leads write a guideline: one language of it at a time."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from annotation.guidance.bodies import ENGLISH, Body
from annotation.models import Dimension

_EMPTY_ROWS: Final = 2  # for further examples
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class ExampleRow:
    n: int
    video: str
    good: bool
    note: str
    english: str


@dataclass(frozen=True, slots=True)
class DimensionRow:
    """One dimension in the language that is written, beside what stands in English."""

    key: str
    title: str
    question: str
    sentences: str  # one per line
    english: Mapping[str, Any]
    examples: Sequence[ExampleRow]


def rows_of(body: Body, dimensions: Sequence[Dimension], language: str) -> list[DimensionRow]:
    return [_row(body, each, language) for each in dimensions]


def _row(body: Body, dimension: Dimension, language: str) -> DimensionRow:
    said = body.get("dimensions", {}).get(dimension.key, {})
    mine = said.get(language, {})
    return DimensionRow(
        key=dimension.key,
        title=mine.get("title", ""),
        question=mine.get("question", ""),
        sentences="\n".join(mine.get("sentences", [])),
        english=said.get(ENGLISH, {}) if language != ENGLISH else {},
        examples=_example_rows(body.get("examples", {}).get(dimension.key, []), language),
    )


def _example_rows(examples: Sequence[Mapping[str, Any]], language: str) -> list[ExampleRow]:
    rows = [
        ExampleRow(
            n,
            each["video"],
            each["good"],
            each["note"].get(language, ""),
            each["note"].get(ENGLISH, "") if language != ENGLISH else "",
        )
        for n, each in enumerate(examples)
    ]
    empty = range(len(rows), len(rows) + _EMPTY_ROWS)
    return [*rows, *(ExampleRow(n, "", good=True, note="", english="") for n in empty)]


def merged(
    body: Body, dimensions: Sequence[Dimension], language: str, data: Mapping[str, str]
) -> Body:
    """The body with what the form says in this language; other languages stay."""
    new = deepcopy(body)
    new.setdefault("instructions", {})[language] = data.get("instructions", "")
    for each in dimensions:
        said = new.setdefault("dimensions", {}).setdefault(each.key, {})
        said[language] = {
            "title": data.get(f"{each.key}-title", ""),
            "question": data.get(f"{each.key}-question", ""),
            "sentences": data.get(f"{each.key}-sentences", "").splitlines(),
        }
        examples = new.setdefault("examples", {})
        examples[each.key] = _examples(examples.get(each.key, []), each.key, language, data)
    return new


def _examples(
    known: Sequence[Mapping[str, Any]], key: str, language: str, data: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows without a clip are dropped, notes in other languages kept."""
    rows = []
    for n in range(len(known) + _EMPTY_ROWS):
        video = video_id(data.get(f"{key}-video-{n}", ""))
        if not video:
            continue
        same = n < len(known) and known[n]["video"] == video
        note = dict(known[n]["note"]) if same else {}
        note[language] = data.get(f"{key}-note-{n}", "")
        rows.append({"video": video, "good": data.get(f"{key}-good-{n}") == "good", "note": note})
    return rows


def video_id(text: str) -> str:
    """The id in what was pasted: the id itself, or the address of the clip."""
    found = _ID.search(text)
    return found[0].lower() if found else text.strip()
