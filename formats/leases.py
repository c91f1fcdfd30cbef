"""How long a run may go on: the lease file as the processes of any host see it.

The supervisor writes two moments of its own monotonic clock: `deadline`, when the trainer must save
and stop, and `end`, when the row's lease ends and another worker may take the run. Processes of the
same boot share that clock. On another host it means nothing: there a lease counts from the moment
when this process saw it renewed, for as long as the file says. What is seen late ends late; the
margin between `deadline` and `end` is there for it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json, write_json

LEASE: Final = "lease/1"
# `run directory#fence`: set by the supervisor for every process of an attempt.
TAG: Final = "TIEBREAK_RUN_TAG"


@cache
def this_boot() -> str:
    """A word for the monotonic clock of this host: it begins anew with every boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Lease:
    fence: int
    deadline: float  # of time.monotonic() of the boot that it names
    end: float
    boot: str = ""
    term: float = 0.0  # seconds from the writing to the deadline

    @classmethod
    def until(cls, fence: int, deadline: float, end: float) -> "Lease":
        """A lease as this host writes it now."""
        return cls(fence, deadline, max(end, deadline), this_boot(), deadline - time.monotonic())

    def write(self, file: Path) -> None:
        write_json(file, LEASE, asdict(self))

    @classmethod
    def read(cls, file: Path) -> "Lease | None":
        """None where nobody supervises the run."""
        if not file.exists():
            return None
        value = read_json(file, LEASE)
        deadline = float(value["deadline"])
        known: dict[str, Any] = {"end": deadline, **value}
        return cls(**{name: known[name] for name in cls.__slots__ if name in known})


class LeaseWatch:
    """What the lease of a run means for this process. Times are of the process's own clock."""

    def __init__(
        self, file: Path, *, clock: Callable[[], float] = time.monotonic, boot: str | None = None
    ):
        self._file = file
        self._clock = clock
        self._boot = this_boot() if boot is None else boot
        self._read: Lease | None = None  # as it stands in the file
        self._known: Lease | None = None  # with its moments on our clock

    def look(self) -> Lease | None:
        """The lease with its moments on our clock; None where there is none.

        Fences do not go back: a former owner that slept while it wrote has written too late, and
        what its successor wrote holds until that renews it.
        """
        lease = Lease.read(self._file)
        if lease is not None and self._known is not None and lease.fence < self._known.fence:
            return self._known
        if lease != self._read:
            self._read, self._known = lease, None if lease is None else self._ours(lease)
        return self._known

    def _ours(self, lease: Lease) -> Lease:
        if not lease.boot or lease.boot == self._boot:
            return lease
        offset = self._clock() + lease.term - lease.deadline
        return replace(lease, deadline=lease.deadline + offset, end=lease.end + offset)

    def over(self, fence: int) -> str:
        """Why a process of this fence may not even save any more; empty while it may.

        A lease that cannot be read is one that nobody has renewed.
        """
        try:
            lease = self.look()
        except (OSError, FormatError):
            lease = self._known
        if lease is None:
            return ""
        if lease.fence != fence:
            return "another worker owns the run"
        return "the lease is over" if self._clock() > lease.end else ""


def tagged_fence(root: Path) -> int | None:
    """The fence that the supervisor gave this process, if it was started for this run.

    A process that starts late must not take the lease of the next attempt for its own.
    """
    folder, _, fence = os.environ.get(TAG, "").rpartition("#")
    return int(fence) if folder == str(root) and fence.isdecimal() else None
