"""Bars in the terminal, and none where nobody watches."""

import sys
from typing import Any

from tqdm import tqdm


def bytes_bar(title: str, total: int, *, shown: bool | None, initial: int = 0) -> "tqdm[Any]":
    return tqdm(
        total=total,
        initial=initial,
        desc=title,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=not _watched(shown=shown),
        leave=False,
    )


def steps_bar(title: str, *, shown: bool | None) -> "tqdm[Any]":
    return tqdm(total=0, desc=title, unit="step", disable=not _watched(shown=shown), leave=True)


def _watched(*, shown: bool | None) -> bool:
    """As asked; if nobody asked, only in a terminal."""
    return sys.stderr.isatty() if shown is None else shown
