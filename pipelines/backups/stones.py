"""Tombstones travel with the backups but belong to none of them: they only ever grow.

Who was erased after a backup is erased again when it is restored
(annotation.accounts.erasing.reapply).
"""

from pathlib import Path

from django.conf import settings

from formats.files import write_atomically

_NAME = "tombstones.jsonl"


def save(target: Path) -> None:
    """Add what this site knows to what the backups know."""
    _merge(Path(settings.TIEBREAK_TOMBSTONES), target / _NAME)


def bring_back(target: Path) -> None:
    """Add what the backups know to what this site knows."""
    _merge(target / _NAME, Path(settings.TIEBREAK_TOMBSTONES))


def _merge(source: Path, into: Path) -> None:
    known = _lines(into)
    lines = known + [line for line in _lines(source) if line not in set(known)]
    if len(lines) > len(known):
        write_atomically(into, [("\n".join(lines) + "\n").encode()])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
