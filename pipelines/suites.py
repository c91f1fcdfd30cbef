"""Prompt suites: reading a file of prompts, and the one writer of Suite and SuitePrompt.

A CSV needs the column `prompt`; `prompt_shorter`, `prompt_<language>` (two letters), `category` and
`split` are read where they are there. JSON lines have the same keys; a text file is one prompt a
line. Any bad row refuses the whole file.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from annotation.models import Campaign, Prompt
from annotation.mojibake import repaired
from formats.errors import FormatError
from formats.records import PromptRecord
from pipelines.models import Suite, SuitePrompt
from pipelines.splitting import SPLITS, Split
from pipelines.start_images import image_ref

_LANGUAGE = re.compile(r"prompt_([a-z]{2})")
_LOST = re.compile(r"\?{4,}|\ufffd")
_BOM: Final = b"\xef\xbb\xbf"
_OTHER_COLUMNS: Final = {"prompt", "prompt_shorter", "category", "split"}


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One prompt and the line on which it starts."""

    line: int
    text: str
    short_text: str = ""
    translations: dict[str, str] = field(default_factory=dict)
    category: str = ""
    split: str = "test"


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """What a file holds. `warnings` are sentences with line numbers; duplicates are left out."""

    rows: list[SuiteRow]
    warnings: list[str]
    duplicates: list[str]


@dataclass(frozen=True, slots=True)
class SuiteReport:
    suite: Suite
    prompts: int
    warnings: list[str]
    duplicates: list[str]


def import_suite(path: Path, name: str, *, title: str = "", repair: bool = False) -> SuiteReport:
    """Make a suite of a file, whole or not at all. The same file under the same name is no change.

    With `repair`, text that was encoded twice is taken as it was meant; without, as it stands.
    """
    found = read_suite(path, repair=repair)
    with transaction.atomic():
        suite, is_new = Suite.objects.get_or_create(name=name, defaults={"title": title or name})
        if is_new:
            SuitePrompt.objects.bulk_create(_prompts(suite, found.rows))
        elif _content(suite) != [_values(row) for row in found.rows]:
            raise FormatError(
                f"there is a suite {name!r} with other prompts; give the new one another name",
                path=path,
            )
    return SuiteReport(suite, len(found.rows), found.warnings, found.duplicates)


def _prompts(suite: Suite, rows: Iterable[SuiteRow]) -> list[SuitePrompt]:
    return [
        SuitePrompt(suite=suite, position=position, **_values(row))
        for position, row in enumerate(rows, start=1)
    ]


def _values(row: SuiteRow) -> dict[str, Any]:
    return {
        "text": row.text,
        "short_text": row.short_text,
        "translations": row.translations,
        "category": row.category,
        "split": row.split,
    }


def _content(suite: Suite) -> list[dict[str, Any]]:
    names = ("text", "short_text", "translations", "category", "split")
    return list(suite.prompts.order_by("position").values(*names))


def suite_prompts(suite: Suite, split: str = "") -> list[PromptRecord]:
    """The prompts of a suite as the generators read them, in order."""
    rows = suite.prompts.order_by("position")
    if split:
        rows = rows.filter(split=split)
    return [
        PromptRecord(
            id=f"{suite.name}/{row.position}",
            text=row.text,
            split=row.split,
            translations=row.translations,
            category=row.category,
        )
        for row in rows
    ]


def campaign_prompts(campaign: Campaign) -> list[PromptRecord]:
    """The prompts of a campaign's triplets, in an order that does not depend on time."""
    rows = Prompt.objects.filter(triplet__campaign=campaign).distinct().order_by("sha256")
    return [
        PromptRecord(
            id=row.sha256[:16],
            text=row.text,
            translations=row.translations,
            image=image_ref(row.image),
        )
        for row in rows.select_related("image")
    ]


# Reading.


def read_suite(path: Path, *, repair: bool = False) -> SuiteFile:
    """Read a .csv, .jsonl or .txt file of prompts; a bad row is an error with its line."""
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".txt": _text_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FormatError(f"expected a .csv, .jsonl or .txt file, got {path.suffix!r}", path=path)
    text = _decoded(path)
    warnings: list[str] = []
    rows: list[SuiteRow] = []
    duplicates: list[str] = []
    first_line: dict[str, int] = {}
    for line, values in reader(path, text, warnings):
        row = _row(path, line, _checked_text(path, line, values, warnings, repair=repair))
        if row.text in first_line:
            duplicates.append(f"{path}:{line}: the prompt of line {first_line[row.text]} again")
            continue
        first_line[row.text] = line
        rows.append(row)
    if not rows:
        raise FormatError("the file has no prompt; expected at least one", path=path)
    return SuiteFile(rows, warnings, duplicates)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", path=path) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"not UTF-8 text: byte {data[error.start]:#04x} {error.reason}; save the file as UTF-8",
            path=path,
            line=line,
        ) from None


def _csv_rows(
    path: Path, text: str, warnings: list[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(reader, [])]
    _check_header(path, header, warnings)
    last = reader.line_num
    try:
        for cells in reader:
            line, last = last + 1, reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                raise FormatError(
                    f"expected {len(header)} columns, found {len(cells)}", path=path, line=line
                )
            yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise FormatError(f"not a CSV: {error}", path=path, line=reader.line_num) from None


def _check_header(path: Path, header: list[str], warnings: list[str]) -> None:
    if "prompt" not in header:
        raise FormatError(
            f"the column 'prompt' is missing; there are: {', '.join(header) or 'none'}",
            path=path,
            line=1,
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FormatError(f"the column {twice[0]!r} comes twice", path=path, line=1)
    warnings += [
        f"{path}:1: the column {name!r} is not used"
        for name in header
        if name not in _OTHER_COLUMNS and not _LANGUAGE.fullmatch(name)
    ]


def _jsonl_rows(
    path: Path, text: str, _warnings: list[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            values = json.loads(row)
        except json.JSONDecodeError as error:
            raise FormatError(f"not JSON: {error.msg}", path=path, line=line) from None
        if not isinstance(values, dict) or not isinstance(values.get("prompt"), str):
            raise FormatError("expected an object with the text 'prompt'", path=path, line=line)
        yield line, {key: value for key, value in values.items() if isinstance(value, str)}


def _text_rows(
    _path: Path, text: str, _warnings: list[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    for line, row in enumerate(text.splitlines(), start=1):
        if row.strip():
            yield line, {"prompt": row}


def _row(path: Path, line: int, values: Mapping[str, str]) -> SuiteRow:
    text = values["prompt"].strip()
    if not text:
        raise FormatError("the prompt is empty", path=path, line=line)
    split = values.get("split", "").strip() or "test"
    if split not in SPLITS:
        raise FormatError(
            f"unknown split {split!r}; expected one of {', '.join(SPLITS)}", path=path, line=line
        )
    return SuiteRow(
        line=line,
        text=text,
        short_text=values.get("prompt_shorter", "").strip(),
        translations={
            match[1]: value.strip()
            for name, value in values.items()
            if (match := _LANGUAGE.fullmatch(name)) and value.strip()
        },
        category=values.get("category", "").strip(),
        split=split,
    )


def _checked_text(
    path: Path, line: int, values: Mapping[str, str], warnings: list[str], *, repair: bool
) -> Mapping[str, str]:
    """Warn of text that an earlier program spoilt; give the values, repaired if that is wanted."""
    kept = dict(values)
    for name, text in values.items():
        meant = repaired(text)
        if meant != text:
            warnings.append(f"{path}:{line}: {name} was encoded twice; it should read: {meant}")
            kept[name] = meant if repair else text
        if _LOST.search(text):
            warnings.append(
                f"{path}:{line}: {name} has characters that an earlier conversion lost: "
                f"{_LOST.sub('…', text)[:80]}"
            )
    return kept


def with_split(prompts: Iterable[PromptRecord], split: Split, side: str) -> list[PromptRecord]:
    """The prompts on one side of a split by prompt, each marked with it."""
    return [replace(row, split=side) for row in prompts if split.of(row.text) == side]
