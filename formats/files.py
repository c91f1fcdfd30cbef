"""Files that cross a border: written aside, fsynced, renamed, hashed; read with a schema.

A JSON file carries its schema under the key `schema`. A JSON-lines file carries it in its first
line: `{"schema": "pairs/1", "count": 12}`. `sha256` is always that of the whole file.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from formats.errors import FormatError


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def below(folder: Path, name: str) -> Path:
    """A file or folder below another, wherever links would lead; FormatError for one elsewhere."""
    found = (folder / name).resolve() if "\0" not in name else None
    if found is None or not found.is_relative_to(folder.resolve()):
        raise FormatError(f"{name!r} leads out of the folder {folder.name}")
    return found


def fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, chunks: Iterable[bytes]) -> str:
    """Write the whole file or nothing; give its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return digest.hexdigest()


def _line(value: object) -> bytes:
    # Sorted keys and no NaN: equal content gives equal bytes, and so an equal hash.
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False).encode() + b"\n"


def write_json(path: Path, schema: str, value: Mapping[str, Any]) -> str:
    body = json.dumps(
        {"schema": schema, **value}, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False
    )
    return write_atomically(path, [body.encode(), b"\n"])


def read_json(path: Path, schema: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"the file is missing; expected {schema}", path=path) from None
    except UnicodeDecodeError as error:
        raise FormatError(
            f"not UTF-8 text: {error.reason} at byte {error.start}", path=path
        ) from None
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg}", path=path, line=error.lineno) from None
    found = value.get("schema") if isinstance(value, dict) else None
    if found != schema:
        raise FormatError(f"expected schema {schema}, found {found!r}", path=path)
    del value["schema"]
    read: dict[str, Any] = value
    return read


def write_jsonl(path: Path, schema: str, rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [_line(row) for row in rows]
    return write_atomically(path, [_line({"schema": schema, "count": len(lines)}), *lines])


def read_jsonl(path: Path, schema: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give (line number, row) and refuse a wrong schema, a broken line or a missing tail."""
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        raise FormatError(f"the file is missing; expected {schema}", path=path) from None
    with file:
        count = seen = 0
        for number, text in enumerate(_decoded(file, path), start=1):
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise FormatError(f"not JSON: {error.msg}", path=path, line=number) from None
            if number == 1:
                found = row.get("schema") if isinstance(row, dict) else None
                if found != schema:
                    raise FormatError(
                        f"expected schema {schema}, found {found!r}", path=path, line=1
                    )
                count = row["count"]
                continue
            seen += 1
            yield number, row
        if seen != count:
            raise FormatError(f"the header promises {count} rows, found {seen}", path=path)


def _decoded(file: Iterable[str], path: Path) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 text: {error.reason}", path=path) from None
