"""How much memory a process has taken at most. Linux; megabytes are millions of bytes.

A trainer says it with its figures, so that the next run of its kind can be told what it will need.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

RESIDENT: Final = "memory_mb"
GPU: Final = "gpu_memory_mb"
_GROWN: Final = 1.02  # a peak that is hardly higher is not said again
_KIB: Final = 1024

Source = Callable[[], float | None]


def resident_peak() -> float | None:
    """Of this process. None where the kernel does not say.

    Not getrusage: what it says begins with the size of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * _KIB / 1e6 if found else None


class Peaks:
    """The peaks of one process, each told when it has grown."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {RESIDENT: resident_peak}
        self._told: dict[str, float] = {}

    def news(self) -> dict[str, float]:
        found = {name: value for name, ask in self.sources.items() if (value := ask())}
        grown = {
            name: round(value, 1)
            for name, value in found.items()
            if value > _GROWN * self._told.get(name, 0.0)
        }
        self._told |= grown
        return grown
