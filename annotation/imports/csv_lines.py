"""CSV, from bytes to records that remember how they were written. Reads the file as it goes."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from annotation.errors import ImportRefused
from annotation.imports.faults import refused

MAX_LINE: Final = 1 << 20  # bytes; also what keeps one cell from filling the memory
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one record, the line it begins on, and its text as it came."""

    line: int
    text: str
    fields: list[str]


def check_text(path: Path, name: str, *, longest: int | None = MAX_LINE) -> None:
    """Refuse what is not UTF-8 text in lines of a sane length, and say where; JSON may be one
    line (`longest` is None)."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line, length = 1, 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if b"\0" in chunk:
                    at = line + chunk[: chunk.index(b"\0")].count(b"\n")
                    raise refused(name, at, "a NUL byte; expected UTF-8 text (is it UTF-16?)")
                _decode(decoder, chunk, name, line)
                line, length = _line_after(chunk, name, line, length, longest)
    except OSError as error:
        raise ImportRefused(f"{name}: the file cannot be read: {error.strerror}") from None
    _decode(decoder, b"", name, line, final=True)


def _decode(
    decoder: codecs.IncrementalDecoder, chunk: bytes, name: str, line: int, *, final: bool = False
) -> None:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        seen: bytes = error.object
        at = line + seen[: error.start].count(b"\n")
        what = f"byte 0x{seen[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise refused(name, at, what) from None


def _line_after(
    chunk: bytes, name: str, line: int, length: int, longest: int | None
) -> tuple[int, int]:
    """The number of the line that the chunk ends in, and how long that line is by now."""
    first, *others = chunk.replace(b"\r", b"\n").split(b"\n")
    lengths = [length + len(first), *map(len, others)]
    if longest is not None and max(lengths) > longest:
        raise refused(name, line, f"a line of more than {longest} bytes; expected a table")
    return line + chunk.count(b"\n"), lengths[-1]


def read_records(path: Path, name: str) -> Iterator[Record]:
    """First line, text and fields of each record; a quoted field may run over several lines."""
    check_text(path, name)
    # A byte order mark is not part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        taken: list[str] = []
        reader = csv.reader(_noted(file, taken), strict=True)
        end = 0
        while True:
            taken.clear()
            start = end + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise refused(name, start, f"not CSV: {error}") from None
            end = reader.line_num
            if fields:  # a blank line says nothing
                yield Record(start, "".join(taken), fields)


def _noted(lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line
