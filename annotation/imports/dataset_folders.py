"""Which files of a folder or an archive are its table: one beside the clips, what an export left
there, or the data of a Hugging Face dataset."""

import fnmatch
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from annotation.errors import ImportRefused
from annotation.imports.places import LEFT_OUT
from annotation.imports.table_files import SUFFIXES

CARD: Final = "README.md"
_CARD_BYTES: Final = 1 << 20
# What our exports put beside the rows: hashes, counts, questions.
_BESIDE: Final = ("manifest.json", "export.json", "dimensions.json", ".left-out.json")
_DATA: Final = "data"
_ARROW: Final = ".arrow"


def tables_of(shown: str, names: Collection[str], read: Callable[[str], Path]) -> list[str]:
    """The names of the table's files, in order; ImportRefused where it is not clear which."""
    named = _named(shown, names, read)
    if named:
        return named
    top = sorted(name for name in names if "/" not in name and _is_table(name))
    rows = [name for name in top if not name.endswith(LEFT_OUT)]
    if len(rows) == 1:
        return [*rows, *(name for name in top if name == rows[0] + LEFT_OUT)]
    if not top and (data := _data(shown, names)):
        return data
    if len(top) == 1:
        return top  # what TRL left out, alone
    found = f"there are {', '.join(top)}" if top else "there is none"
    raise ImportRefused(
        f"{shown}: expected one table ({', '.join(SUFFIXES)}) beside the clips; {found}"
    )


def _is_table(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.endswith(_BESIDE)


def _data(shown: str, names: Collection[str]) -> list[str]:
    """All tables below `data`, where no card names any."""
    below = sorted(name for name in names if name.startswith(f"{_DATA}/") and _is_table(name))
    if not below and any(name.endswith(_ARROW) for name in names):
        raise ImportRefused(
            f"{shown}: it was saved with save_to_disk; save it with to_parquet instead"
        )
    return below


def _named(shown: str, names: Collection[str], read: Callable[[str], Path]) -> list[str]:
    """The files that the data card names, by name or pattern."""
    found: list[str] = []
    for pattern in _patterns(shown, read(CARD)) if CARD in names else ():
        fitting = sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))
        if not fitting:
            raise ImportRefused(f"{shown}/{CARD}: it names {pattern[:200]}, which is not there")
        found += [name for name in fitting if name not in found]
    return found


def _patterns(shown: str, card: Path) -> list[str]:
    """The data files of the first config, as the head of a data card lists them."""
    if card.stat().st_size > _CARD_BYTES:
        raise ImportRefused(f"{shown}/{CARD}: more than {_CARD_BYTES} bytes; expected a data card")
    text = card.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
    if not text.startswith("---\n"):
        return []
    try:
        head = yaml.safe_load(text[4:].split("\n---", 1)[0])
        configs = (head or {}).get("configs") or []
        paths = [_paths(each["path"]) for each in configs[0]["data_files"]] if configs else []
        return [_plain(path) for some in paths for path in some]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ImportRefused(
            f"{shown}/{CARD}: its head does not name data files as a data card does"
        ) from None


def _paths(given: Any) -> Sequence[str]:
    return [given] if isinstance(given, str) else list(given)


def _plain(path: str) -> str:
    """A pattern of names inside the folder."""
    plain = PurePosixPath(path)
    if plain.is_absolute() or ".." in plain.parts:
        raise ValueError(path)
    return str(plain)
