"""The table of `make bench-starts`."""

from collections.abc import Callable
from typing import Any


def starts(figures: dict[str, Any], table: Callable[..., str]) -> str:
    rows = [
        [name, f"{each['plain']:.2f}", f"{each['ours']:.2f}", f"{each['ours'] / each['plain']:.2f}"]
        if "ours" in each
        else [name, f"{each['plain']:.2f}", "", ""]
        for name, each in figures["starts"].items()
    ]
    return (
        "## Starting and ending a process\n\n`make bench-starts`: processor seconds of a process"
        " that imports what a trainer needs and ends, beside a plain import and the end of the"
        " interpreter; and of one that loads what a worker of the site needs, beside Django with"
        " every page of the admin and the garbage collector on. Medians of"
        f" {figures['turns']} turns, nothing is trained.\n\n"
        f"{table(['process', 'plain', 'ours', 'ours / plain'], rows)}\n"
    )
