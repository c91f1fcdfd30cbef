"""Files of prompts: what a CSV, JSON lines or plain list says, line by line, before a row is made.

A CSV needs the column `prompt`; `prompt_shorter`, `prompt_<language>` (two letters), `category`,
`split` and `image_path` are read where they are there. JSON lines have the same keys; a text file
is one prompt a line. Any bad row refuses the whole file.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from annotation.imports.mojibake import repaired
from formats.errors import FormatError
from pipelines.splitting import SPLITS

MAX_BYTES: Final = 64 * 2**20
SUFFIXES: Final = (".csv", ".jsonl", ".txt")
_LANGUAGE = re.compile(r"prompt_([a-z]{2})")
_LOST = re.compile(r"\?{4,}|\ufffd")
_BOM: Final = b"\xef\xbb\xbf"
_COLUMNS: Final = {"prompt", "prompt_shorter", "category", "split", "image_path"}
_LONGEST: Final = {"category": 100, "image_path": 1000}
_BESIDE: Final = {
    "short text": "short_text", "translation": "translations",
    "category": "category", "split": "split",
}  # fmt: skip
Lines = Iterator[tuple[int, Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One prompt and the line on which it starts; `image` as the file names it."""

    line: int
    text: str
    short_text: str = ""
    translations: dict[str, str] = field(default_factory=dict)
    category: str = ""
    split: str = "test"
    image: str = ""


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """What a file holds. `warnings` are sentences with line numbers; duplicates are left out."""

    rows: list[SuiteRow]
    warnings: list[str]
    duplicates: list[str]


def read_suite(path: Path, *, name: str = "", repair: bool = False) -> SuiteFile:
    """Read a .csv, .jsonl or .txt file of prompts; a bad row is an error with its line.

    `name` is what people know the file by. With `repair`, text that was encoded twice is taken as
    it was meant.
    """
    shown = name or str(path)
    warnings: list[str] = []
    seen = _Seen(shown)
    for line, values in _lines(path, shown, warnings):
        seen.add(_row(shown, line, _checked_text(shown, line, values, warnings, repair=repair)))
    if not seen.rows:
        raise FormatError("the file has no prompt; expected at least one", path=shown)
    return SuiteFile(seen.rows, list(dict.fromkeys(warnings)), seen.duplicates)


class _Seen:
    """The rows so far. A prompt is its text with its start image."""

    def __init__(self, name: str) -> None:
        self.rows: list[SuiteRow] = []
        self.duplicates: list[str] = []
        self._name = name
        self._first: dict[tuple[str, str], SuiteRow] = {}

    def add(self, row: SuiteRow) -> None:
        first = self._first.setdefault((row.text, row.image), row)
        if first is row:
            self.rows.append(row)
            return
        said = f"{self._name}:{row.line}: the prompt of line {first.line} again"
        differs = [
            word for word, what in _BESIDE.items() if getattr(first, what) != getattr(row, what)
        ]
        if differs:
            said += f", with another {' and '.join(differs)}: that of line {first.line} stands"
        self.duplicates.append(said)


def _lines(path: Path, name: str, warnings: list[str]) -> Lines:
    readers: dict[str, Callable[[str, str, list[str]], Lines]] = {
        ".csv": _csv_rows, ".jsonl": _jsonl_rows, ".txt": _text_rows,
    }  # fmt: skip
    suffix = Path(name).suffix
    reader = readers.get(suffix.lower())
    if reader is None:
        raise FormatError(f"expected a .csv, .jsonl or .txt file, got {suffix!r}", path=name)
    return reader(name, _decoded(path, name), warnings)


def _decoded(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(
                f"the file is larger than {MAX_BYTES >> 20} MB; a suite holds prompts, not clips",
                path=name,
            )
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", path=name) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"not UTF-8 text: byte {data[error.start]:#04x} {error.reason}; save the file as UTF-8",
            path=name,
            line=line,
        ) from None


def _csv_rows(name: str, text: str, warnings: list[str]) -> Lines:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(name, header, warnings)
        last = reader.line_num
        for cells in reader:
            line, last = last + 1, reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                raise FormatError(
                    f"expected {len(header)} columns, found {len(cells)}", path=name, line=line
                )
            yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise FormatError(f"not a CSV: {error}", path=name, line=reader.line_num) from None


def _check_header(name: str, header: list[str], warnings: list[str]) -> None:
    if "prompt" not in header:
        raise FormatError(
            f"the column 'prompt' is missing; there are: {', '.join(header) or 'none'}",
            path=name,
            line=1,
        )
    twice = sorted({each for each in header if header.count(each) > 1})
    if twice:
        raise FormatError(f"the column {twice[0]!r} comes twice", path=name, line=1)
    warnings += [f"{name}:1: the column {each!r} is not used" for each in header if _unread(each)]


def _unread(column: str) -> bool:
    return column not in _COLUMNS and not _LANGUAGE.fullmatch(column)


def _jsonl_rows(name: str, text: str, warnings: list[str]) -> Lines:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            values = json.loads(row)
        except (json.JSONDecodeError, RecursionError) as error:
            why = getattr(error, "msg", "nested too deeply")
            raise FormatError(f"not JSON: {why}", path=name, line=line) from None
        if not isinstance(values, dict) or not isinstance(values.get("prompt"), str):
            raise FormatError("expected an object with the text 'prompt'", path=name, line=line)
        yield line, _texts(name, line, values, warnings)


def _texts(
    name: str, line: int, values: Mapping[str, object], warnings: list[str]
) -> dict[str, str]:
    """The entries that are read; each must be a text, null stands for none."""
    found = {}
    for key, value in values.items():
        if _unread(key):
            warnings.append(f"{name}: the entry {key!r} is not used")
        elif isinstance(value, str):
            found[key] = value
        elif value is not None:
            raise FormatError(f"{key} must be a text, got {value!r}", path=name, line=line)
    return found


def _text_rows(_name: str, text: str, _warnings: list[str]) -> Lines:
    for line, row in enumerate(text.splitlines(), start=1):
        if row.strip():
            yield line, {"prompt": row}


def _row(name: str, line: int, values: Mapping[str, str]) -> SuiteRow:
    text = values["prompt"].strip()
    if not text:
        raise FormatError("the prompt is empty", path=name, line=line)
    if "\0" in text:
        raise FormatError("the prompt has a zero byte", path=name, line=line)
    split = values.get("split", "").strip() or "test"
    if split not in SPLITS:
        raise FormatError(
            f"unknown split {split!r}; expected one of {', '.join(SPLITS)}", path=name, line=line
        )
    for column, most in _LONGEST.items():
        if len(values.get(column, "")) > most:
            raise FormatError(
                f"{column} has at most {most} characters, got {len(values[column])}",
                path=name,
                line=line,
            )
    return SuiteRow(
        line=line,
        text=text,
        short_text=values.get("prompt_shorter", "").strip(),
        translations={
            match[1]: value.strip()
            for key, value in values.items()
            if (match := _LANGUAGE.fullmatch(key)) and value.strip()
        },
        category=values.get("category", "").strip(),
        split=split,
        image=values.get("image_path", "").strip(),
    )


def _checked_text(
    name: str, line: int, values: Mapping[str, str], warnings: list[str], *, repair: bool
) -> Mapping[str, str]:
    """Warn of text that an earlier program spoilt; give the values, repaired if that is wanted."""
    kept = dict(values)
    for column, text in values.items():
        meant = repaired(text)
        if meant != text:
            warnings.append(f"{name}:{line}: {column} was encoded twice; it should read: {meant}")
            kept[column] = meant if repair else text
        if _LOST.search(text):
            warnings.append(
                f"{name}:{line}: {column} has characters that an earlier conversion lost: "
                f"{_LOST.sub('…', text)[:80]}"
            )
    return kept
