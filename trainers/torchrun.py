"""`python -I -m trainers.torchrun N -I -m PACKAGE COMMAND RUN_DIR`: N processes of one trainer.

It is torchrun on this host with three things added: it ends with the exit code of the process that
failed (torchrun ends with 1 whatever that was), it hands on the wish for stacks (SIGUSR1), and
everything stays on the loopback interface.

`HOSTSxN@ATTEMPT` in the place of N is the part of one of several hosts: what an operator's launcher
starts once on each of them. They find one another through the run directory, which they share, and
when one of them loses a process all stop. One process on one host is started without torchrun.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from formats.outcome import ExitCode
from formats.run_dir import RunDir
from trainers.hosts import Layout, Table, own_address

_NAMED: Final = frozenset(ExitCode) - {ExitCode.DONE, ExitCode.RUN_ME_AGAIN}
_LOOK_SECONDS: Final = 0.5


def main(words: Sequence[str]) -> int:
    layout, trainer = Layout.read(words[0]), words[1:]
    folder = Path(trainer[-1])
    if layout.attempt:
        return _on_one_of_several(layout, trainer, Table(folder, layout.attempt))
    # What an earlier attempt said must not be taken for the word of this one.
    RunDir(folder).outcome_file.unlink(missing_ok=True)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return _torchrun(["--standalone", "--local-addr=127.0.0.1"], layout, trainer)


def _on_one_of_several(layout: Layout, trainer: Sequence[str], table: Table) -> int:
    over, told = threading.Event(), threading.Event()
    threading.Thread(target=_stop_with_the_others, args=(table, over, told), daemon=True).start()
    if layout.hosts == layout.each == 1:
        code = _alone(trainer)
    else:
        code = _torchrun(_meeting(layout, table), layout, trainer)
    over.set()
    if code != ExitCode.DONE and not told.is_set():
        table.stop(code)
    return code


def _alone(trainer: Sequence[str]) -> int:
    """One process needs no torchrun, only somebody who hands on what it is asked."""
    child = subprocess.Popen([sys.executable, *trainer])
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _pass_on)
    return child.wait()


def _meeting(layout: Layout, table: Table) -> list[str]:
    """How torchrun finds those of the other hosts."""
    address, port, here = table.meet(own_address())
    return [
        f"--nnodes={layout.hosts}",
        f"--rdzv-id={layout.attempt}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={address}:{port}",
        f"--rdzv-conf=is_host={int(here)}",
        f"--local-addr={own_address()}",
    ]


def _stop_with_the_others(table: Table, over: threading.Event, told: threading.Event) -> None:
    """End the processes of this host when those of another one have ended.

    Who is asked to stop may save. Where one was lost, the others wait for it in a call that nobody
    answers, and they are killed.
    """
    while not over.wait(_LOOK_SECONDS):
        if codes := table.stopped():
            told.set()
            asked = all(code == ExitCode.RUN_ME_AGAIN for code in codes)
            if not _signal_processes(signal.SIGTERM if asked else signal.SIGKILL):
                os.kill(os.getpid(), signal.SIGTERM)  # It still waits for the other hosts.
            return


def _torchrun(where: Sequence[str], layout: Layout, trainer: Sequence[str]) -> int:
    # Not at the top: a process that starts one trainer needs no torch.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    signal.signal(signal.SIGUSR1, _pass_on)
    count = f"--nproc-per-node={layout.each}"
    try:
        run(parse_args([*where, count, "--no-python", sys.executable, *trainer]))
    except ChildFailedError as error:
        return cause(each.exitcode for each in error.failures.values())
    except SignalException:
        return ExitCode.RUN_ME_AGAIN  # The processes were told, and have saved and left.
    return ExitCode.DONE


def _pass_on(number: int, _frame: FrameType | None) -> None:
    """The supervisor asks for the stacks of a run that hangs: those of the processes count."""
    _signal_processes(number)


def _signal_processes(number: int) -> int:
    """Signal the processes that torchrun has started here; give how many there were."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    for pid in pids:
        os.kill(pid, number)
    return len(pids)


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


def end_as(code: int) -> None:
    """End as that process did: the supervisor has words for it."""
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    end_as(main(sys.argv[1:]))
