"""The stacks of a run that hangs: what each of its processes was doing, kept in the run directory.

A trainer that gets SIGUSR1 prints the stacks of all its threads (formats.stacks), and torchrun
hands the signal on. Each process prints to its own log, so what the logs grow by is collected into
one file. A process that is stopped is woken for it; of one that the kernel holds, its state is all
there is to say.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from formats.run_dir import RunDir
from pipelines import launching
from pipelines.models import Run

_PATIENCE: Final = 3.0
_QUIET: Final = 0.3  # seconds without another line: they have said it all
_MOST: Final = 1_000_000  # bytes of one process


def file_of(folder: RunDir, fence: int) -> Path:
    return folder.root / f"stacks-{fence}.txt"


def files_of(folder: RunDir) -> list[Path]:
    """The stacks of all attempts that hung, the latest first."""
    found = [each for each in folder.root.glob("stacks-*.txt") if each.stem[7:].isdecimal()]
    return sorted(found, key=lambda each: -int(each.stem[7:]))


def take(run: Run, child: subprocess.Popen[bytes]) -> Path:
    """Ask all processes of this attempt for their stacks and keep what they print."""
    folder = launching.run_dir(run)
    pids = launching.leftovers(run)
    states = [_state(pid) for pid in pids]
    before = _sizes(folder)
    child.send_signal(signal.SIGUSR1)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    _await_quiet(folder, before)
    file = file_of(folder, run.fence)
    text = "".join([*states, *(_part(rank, log, before) for rank, log in folder.logs().items())])
    file.write_text(text, encoding="utf-8")
    return file


def _state(pid: int) -> str:
    """One line: what the kernel says of a process. D is a wait that no signal ends, T a stop."""
    try:
        fields = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return f"process {pid}: gone\n"
    state = next((each for each in fields.splitlines() if each.startswith("State:")), "State: ?")
    return f"process {pid}: {state.removeprefix('State:').strip()}: {words[:200].strip()}\n"


def _sizes(folder: RunDir) -> dict[int, int]:
    return {rank: file.stat().st_size for rank, file in folder.logs().items()}


def _await_quiet(folder: RunDir, before: Mapping[int, int]) -> None:
    """Until something came and nothing more comes, or until patience ends."""
    last, since, end = dict(before), time.monotonic(), time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        time.sleep(0.05)
        now = _sizes(folder)
        if now != last:
            last, since = now, time.monotonic()
        elif now != before and time.monotonic() - since > _QUIET:
            return


def _part(rank: int, log: Path, before: Mapping[int, int]) -> str:
    """What one process printed since it was asked."""
    with log.open("rb") as file:
        file.seek(before.get(rank, 0))
        text = file.read(_MOST).decode(errors="replace")
    said = text.strip() or "(it printed nothing)"
    return f"\n--- rank {rank} ({log.name})\n{said}\n"
