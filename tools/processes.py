"""What a tree of processes costs, from /proc: CPU time and memory. Linux alone."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, those below it that have ended and were reaped included."""
    return sum(_times(each) for each in tree(pid))


def _times(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The name in brackets may hold blanks; utime, stime, cutime, cstime are fields 14 to 17.
    fields = stat.rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) / _TICKS


def pss_bytes(pid: int) -> int:
    """Proportional memory of the tree: what two processes share counts half for each."""
    return sum(_pss(each) for each in tree(pid))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
