"""`python -I -m trainers.launched LAUNCHER … -- COMMAND … RUN_DIR`: a run on hosts of a site.

Starts the operator's launcher, which starts the command once on each host, and ends as the first
process of any host that ended badly did: a launcher knows only that one did. What the supervisor
wants of its child reaches the hosts through the launcher, and through the run directory that they
share, because not every launcher hands signals on.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from formats.outcome import ExitCode
from formats.run_dir import RunDir
from trainers.hosts import FOLDER, Layout, Table
from trainers.torchrun import cause, end_as

_PR_SET_PDEATHSIG: Final = 1
_LAYOUT: Final = 4  # its place in `python -I -m trainers.torchrun LAYOUT …`


def main(words: Sequence[str]) -> int:
    end = len(words) - 1 - words[::-1].index("--")  # the command has none
    launcher, command = words[:end], words[end + 1 :]
    folder = Path(command[-1])
    table = Table(folder, Layout.read(command[_LAYOUT]).attempt)
    _forget_earlier(folder)
    child = subprocess.Popen(
        [*launcher, *command],
        preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509 - a system call, no thread yet
    )
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _handing_on(child, table))
    return _cause(child.wait(), table)


def _forget_earlier(folder: Path) -> None:
    """What earlier attempts said must not be taken for the word of this one."""
    RunDir(folder).outcome_file.unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _handing_on(
    child: subprocess.Popen[bytes], table: Table
) -> Callable[[int, FrameType | None], None]:
    def hand_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            table.stop(ExitCode.RUN_ME_AGAIN)
        if child.poll() is None:
            child.send_signal(number)

    return hand_on


def _cause(code: int, table: Table) -> int:
    """What the hosts said. A launcher that failed before any of them speaks for itself."""
    said = table.stopped()
    return cause(said) if said and code != ExitCode.DONE else code


def _tied_to(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ExitCode.RUN_ME_AGAIN)

    return tie


if __name__ == "__main__":
    end_as(main(sys.argv[1:]))
