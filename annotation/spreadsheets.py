"""Tables as CSV that a spreadsheet opens without doing what a cell says.

Exports of labels are byte-exact and go another way (`exporting`); these files are for
people to look at.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

# What makes a spreadsheet take a cell for a formula; the wide forms are typed in Chinese, Japanese
# and Korean, and some programs take them for the plain ones.
_DANGEROUS: Final = tuple("=+-@\t\r\n\0＝＋－＠")


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return "".join(csv_lines(head, rows))


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Numbers as they are, nothing for None; a text that could be a formula gets a ' before it."""
    for row in chain([head], rows):
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n").writerow([safe(each) for each in row])
        yield line.getvalue()


def safe(cell: Any) -> str | int | float:
    """One cell, disarmed (RELIABILITY M6); a NUL, which no spreadsheet shows, is left out."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float):
        # Python's words for these are no numbers of a spreadsheet.
        return cell if math.isfinite(cell) else ""
    text = str(cell).replace("\0", "")
    return f"'{text}" if str(cell).startswith(_DANGEROUS) else text
