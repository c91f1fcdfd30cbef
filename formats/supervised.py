"""The trainer's side of supervision: obey `want` and the lease, die with the supervisor, end well.

    def train(run: Supervised) -> Outcome: ...
    end_process(supervise(train, run_dir))

A trainer calls `run.check(save)` once per step. When it was asked to stop, or its lease ran out,
`save` is called and the process ends with exit code 75.

A trainer of several processes (torchrun) gives `run.agree`, so that all of them stop at the same
step. Their first error is the outcome; a good one is written by the first process.
"""

import ctypes
import errno
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

from formats import stacks
from formats.beats import Heart
from formats.errors import FormatError
from formats.leases import LeaseWatch, tagged_fence
from formats.logs import of_trainer
from formats.outcome import ExitCode, Outcome
from formats.run_dir import RunDir

_PR_SET_PDEATHSIG: Final = 1


class BadConfigError(Exception):
    """The config asks for something that cannot be; trying again would not help."""


class NonFiniteError(Exception):
    """A loss or a gradient is NaN or infinite; raised before the optimizer steps."""


class _StopAskedError(Exception):
    """Raised by `check` after `save` has run."""


# What a process thinks of going on. The largest of all processes' is what they do.
_GO_ON: Final = 0
_SAVE_AND_STOP: Final = 1
_STOP: Final = 2  # another worker owns the run: nothing may be written
_LOOK_SECONDS: Final = 0.5


class Supervised:
    """One trainer process and the run directory that it obeys.

    `agree` gives the largest of the numbers that all processes of the run call it with.
    """

    def __init__(self, run_dir: RunDir):
        self.dir = run_dir
        self.agree: Callable[[int], int] = int
        self._watch = LeaseWatch(run_dir.lease_file)
        self._tagged = tagged_fence(run_dir.root)
        lease = self._watch.look()
        self.fence = self._tagged or (lease.fence if lease else 0)
        self._terminated = False
        self._next_look = 0.0
        self._heart = Heart(run_dir.beat_file)

    def check(self, save: Callable[[], None] | None = None) -> None:
        """Call once per step, in every process. Saves and leaves when the run must stop."""
        reason = self.stop_reason()
        mine = _GO_ON if reason is None else _STOP if self._fenced_off() else _SAVE_AND_STOP
        verdict = self.agree(mine)
        if verdict == _GO_ON:
            if is_first_process():  # When all have agreed: one that hangs stops the beat of all.
                self._heart.beat()
            return
        if save is not None and verdict == _SAVE_AND_STOP:
            save()
        raise _StopAskedError(reason or "another process of the run was asked to")

    def tell_split(self, name: str, before: int, after: int) -> None:
        """A line of the log, so that nobody wonders why the run is not as its config says."""
        if before != after:
            print(f"after running out of memory: {name} {after} instead of {before}", flush=True)

    def stop_reason(self) -> str | None:
        """Why the run must stop now, or None. Files are looked at most five times a second."""
        if self._terminated:
            return "terminated"
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + 0.2
        lease = self._watch.look()
        if lease is not None and lease.fence != self.fence:
            return "another worker owns the run"
        if lease is not None and now > lease.deadline:
            return "the lease ran out"
        try:
            want = self.dir.want_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        if want in {"pause", "cancel"}:
            self._next_look = 0.0  # Ask again at once: the answer must not change between calls.
            return f"asked to {want}"
        return None

    def _fenced_off(self) -> bool:
        lease = self._watch.look()
        return lease is not None and lease.fence != self.fence

    def _on_term(self, _signum: int, _frame: FrameType | None) -> None:
        self._terminated = True

    def arm(self) -> None:
        """Die when the parent dies, ranks of torchrun too; SIGTERM asks to save and stop."""
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ExitCode.RUN_ME_AGAIN)  # The parent died before the kernel knew our wish.
        # By number: in production sys.stderr writes JSON and has no file behind it.
        faulthandler.enable(file=2)  # What dies in C says in the log where Python was.
        stacks.tell_when_asked()
        signal.signal(signal.SIGTERM, self._on_term)
        if self._tagged is not None:
            threading.Thread(target=self._keep_watch, name="lease", daemon=True).start()

    def _keep_watch(self) -> None:
        """End this process, wherever it hangs, when another worker may take the run."""
        watch = LeaseWatch(self.dir.lease_file)
        while not (why := watch.over(self.fence)):
            time.sleep(_LOOK_SECONDS)
        print(f"ended: {why}", file=sys.stderr, flush=True)
        os._exit(ExitCode.RUN_ME_AGAIN)


def supervise(
    body: Callable[[Supervised], Outcome],
    run_dir: RunDir,
    observe: Callable[[RunDir], None] | None = None,
) -> int:
    """Run `body` and turn how it ended into outcome.json and an exit code.

    `observe` sets up who hears of what is logged; it is called first, and may fail like `body`.
    """
    _print_apart(run_dir)
    run = Supervised(run_dir)
    of_trainer(run=_number(run_dir), fence=run.fence, rank=int(os.environ.get("RANK", "0")))
    run.arm()
    try:
        if observe is not None:
            observe(run_dir)
        outcome = body(run)
    except _StopAskedError as stop:
        print(f"stopped: {stop}", flush=True)
        return ExitCode.RUN_ME_AGAIN
    except Exception as error:
        outcome = _failure(error)
        print(
            traceback.format_exc() if outcome.reason == "crash" else f"error: {error}",
            file=sys.stderr,
            flush=True,
        )
    finally:
        run_dir.close()
    _finish(run_dir, outcome)
    return outcome.exit_code


def end_process(code: int) -> NoReturn:
    """End with `code` at once; all that is to be kept is written and flushed.

    Python's own end is left out: it takes the interpreter apart while threads of torch still come
    back to it, and such a thread is torn out of its C++ frames, which aborts the process
    ("terminate called without an active exception", -6) after its work was done.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _number(run_dir: RunDir) -> int | str:
    """Run directories of ours are called by the number of their run."""
    name = run_dir.root.resolve().name
    return int(name) if name.isdigit() else name


def in_torchrun() -> bool:
    """Is this one of several processes that torchrun started?"""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_process() -> bool:
    return not in_torchrun() or os.environ["RANK"] == "0"


def _print_apart(run_dir: RunDir) -> None:
    """Each process of a torchrun has a log of its own: lines of several would tear one another."""
    rank = int(os.environ["RANK"]) if in_torchrun() else 0
    if rank == 0:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    with run_dir.log_of(rank).open("ab") as log:
        # The file descriptors, not the Python objects: what libraries in C print is meant too.
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _finish(run_dir: RunDir, outcome: Outcome) -> None:
    if not in_torchrun():
        run_dir.finish(outcome)
    elif outcome.exit_code != ExitCode.DONE:
        # The others fail too, a moment later, because they lost this one.
        run_dir.finish_unless_finished(outcome)
    elif is_first_process():
        run_dir.finish(outcome)


def _failure(error: Exception) -> Outcome:
    message = str(error) or type(error).__name__
    if isinstance(error, BadConfigError):
        return Outcome(ExitCode.BAD_CONFIG, "bad_config", message)
    if isinstance(error, FormatError):
        return Outcome(ExitCode.BAD_DATA, "bad_data", message)
    if isinstance(error, NonFiniteError):
        return Outcome(ExitCode.NON_FINITE, "non_finite", message)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return Outcome(ExitCode.DISK_FULL, "disk_full", message)
    if is_out_of_memory(error):
        return Outcome(ExitCode.OUT_OF_MEMORY, "oom", message)
    return Outcome(1, "crash", f"{type(error).__name__}: {message}")


# What libraries written in C++ say where Python would raise MemoryError.
_WORDS_OF_MEMORY: Final = ("t allocate memory", "bad_alloc", "out of memory", "STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is memory that was missing, of the host or of a GPU, whichever library says so."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    # torch.OutOfMemoryError, by its name: this module runs without torch.
    if any(each.__name__ == "OutOfMemoryError" for each in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error) for w in _WORDS_OF_MEMORY)
