"""`python -I -m models_rm.torchrun N -I -m PACKAGE COMMAND RUN_DIR`: N processes of one trainer.

It is torchrun on this host with three things added: it ends with the exit code of the process that
failed (torchrun ends with 1 whatever that was), it hands on the wish for stacks (SIGUSR1), and
everything stays on the loopback interface.
For several hosts an operator starts torchrun himself (docs/reward-models.md).
"""

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from formats.outcome import ExitCode
from formats.run_dir import RunDir

_NAMED: Final = frozenset(ExitCode) - {ExitCode.DONE, ExitCode.RUN_ME_AGAIN}


def main(words: Sequence[str]) -> int:
    count, *trainer = words
    # What an earlier attempt said must not be taken for the word of this one.
    RunDir(Path(trainer[-1])).outcome_file.unlink(missing_ok=True)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    signal.signal(signal.SIGUSR1, _pass_on)
    local = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={int(count)}"]
    try:
        run(parse_args([*local, "--no-python", sys.executable, *trainer]))
    except ChildFailedError as error:
        return cause(each.exitcode for each in error.failures.values())
    except SignalException:
        return ExitCode.RUN_ME_AGAIN  # The processes were told, and have saved and left.
    return ExitCode.DONE


def _pass_on(number: int, _frame: FrameType | None) -> None:
    """The supervisor asks for the stacks of a run that hangs: those of the processes count."""
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            os.kill(int(pid), number)


def cause(codes: Iterable[int]) -> int:
    """The exit code that explains the others: one fails, the rest fail because it is gone.

    A code with a meaning goes before a signal, and a signal before a plain failure. That one
    stopped explains the least: torchrun sends SIGTERM to those that are left.
    """
    found = [code for code in codes if code not in (0, -signal.SIGTERM)]
    named = [code for code in found if code in _NAMED]
    signals = [code for code in found if code < 0]
    failed = [code for code in found if code != ExitCode.RUN_ME_AGAIN]
    return [*named, *signals, *failed, *found, 1][0]


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code < 0:  # End as that process did: the supervisor has words for it.
        os.kill(os.getpid(), -code)
    sys.exit(code)
