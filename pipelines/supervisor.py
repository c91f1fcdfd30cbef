"""One run from claim to end: start the child, renew the lease, import progress, obey, register.

The thread that calls `supervise` starts the child and must live as long as it: the kernel kills
the child when that thread ends (PR_SET_PDEATHSIG).
"""

import logging
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from formats.beats import Beat
from formats.errors import FormatError
from formats.logs import bound
from formats.outcome import FINAL, ExitCode, Outcome
from pipelines import (
    endings,
    kinds,
    launching,
    lifecycle,
    logs,
    materialising,
    registering,
    stacks,
)
from pipelines.errors import ArtifactMissing, Lost, PipelineError, StoreError
from pipelines.models import Run, RunState
from pipelines.progress import Progress

logger = logging.getLogger(__name__)


class Flag(Protocol):
    """An event of threading or of multiprocessing."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...


# Why the supervisor ended the child; None: it ended by itself.
CANCEL, PAUSE, LEAVE, HANG = "cancel", "pause", "leave", "hang"
# A state that people have asked for while the child works, and what the child is told.
_WISHES: Final = {RunState.CANCELLING: CANCEL, RunState.PAUSING: PAUSE}


def supervise(run: Run, leave: Flag, *, slots: int = 1) -> None:
    """Bring a claimed run to its end, or back into the queue. `leave`: the worker wants to go."""
    with bound(run=run.pk, fence=run.fence):
        logger.info(
            "run %s (%s) starts: fence %s, attempt %s", run.pk, run.kind, run.fence, run.attempt
        )
        supervisor = _Supervisor(run, leave, slots)
        with logs.kept_short(supervisor.folder):
            _bring_to_an_end(supervisor)
        logger.info("run %s is left as %s", run.pk, run.state)


def _bring_to_an_end(supervisor: "_Supervisor") -> None:
    run = supervisor.run
    try:
        supervisor.work()
    except Lost:
        logger.warning("run %s: fence %s has lost the run", run.pk, run.fence)
    except (OperationalError, InterfaceError):
        # The child is gone, the row waits for the reaper.
        logger.exception("run %s: the database could not be reached", run.pk)
        connection.close()
    except Exception as error:
        logger.exception("run %s: the supervisor failed", run.pk)
        reason = "disk_full" if endings.is_disk_full(error) else "supervisor"
        lifecycle.try_again(run, reason, f"{type(error).__name__}: {error}")
    finally:
        supervisor.end_child()


class _Supervisor:
    """One attempt at one run, by one thread."""

    def __init__(self, run: Run, leave: Flag, slots: int):
        self.run = run
        self.leave = leave
        self.slots = slots
        self.folder = launching.run_dir(run)
        self.progress = Progress(run, self.folder)
        self.child: subprocess.Popen[bytes] | None = None
        self.renewed_at = self.moved_at = time.monotonic()
        self.advanced = False
        self.beat = Beat(0, 0.0)
        self.oom_kills = endings.oom_kills()
        self.stuck: list[int] = []  # processes that could not be killed

    def work(self) -> None:
        outcome = self._prepared()
        if self.run.state in (RunState.FAILED, RunState.QUEUED):
            return  # Its inputs cannot be had, for good or for now.
        why = None
        if outcome is None:
            why, outcome = self._attempt()
        self._patiently(lambda: self._settle(why, outcome))

    # Start.

    def _prepared(self) -> Outcome | None:
        """Write the run directory; give the outcome where an earlier attempt had finished."""
        try:
            spec = kinds.get(self.run.kind)
            launching.kill_leftovers(self.run)
            launching.prepare(self.run)
            self._renew()
            with registering.kept_alive(self.run):
                materialising.make_local(self.run)
            self._renew()
        except StoreError as error:
            lifecycle.try_again(self.run, "store", str(error))
            return None
        except (PipelineError, FormatError) as error:
            reason = "input_failed" if isinstance(error, ArtifactMissing) else "bad_config"
            lifecycle.move(self.run, RunState.FAILED, reason=reason, message=str(error))
            return None
        done = registering.finished_outcome(self.folder)
        if done is None and not self.leave.is_set():
            self.child = launching.start(spec, self.run, slots=self.slots)
            self.moved_at = time.monotonic()
        lifecycle.move(self.run, RunState.RUNNING)  # Refused where it was cancelled meanwhile.
        return done

    def _renew(self) -> None:
        """Prolong the lease in the row, then in the file that the child obeys; never later."""
        sent = time.monotonic()
        if not lifecycle.renew(self.run):
            raise Lost
        self.renewed_at = sent
        lease = self.folder.lease()
        if lease is not None and lease[0] > self.run.fence:
            raise Lost  # This process slept between the two writes, and somebody else took over.
        term = settings.TIEBREAK_RUN_LEASE_SECONDS - settings.TIEBREAK_RUN_LEASE_MARGIN_SECONDS
        self.folder.write_lease(
            self.run.fence, sent + term, sent + settings.TIEBREAK_RUN_LEASE_SECONDS
        )

    # Watch.

    def _attempt(self) -> tuple[str | None, Outcome | None]:
        """Watch the child to its end. Gives why we ended it, if we did, and its outcome."""
        why = self._watch()
        if why is not None:
            self._end(why)
        self.end_child()
        self._patiently(self._look)
        return why, registering.read_outcome(self.folder)

    def _watch(self) -> str | None:
        child = self.child
        if child is None:
            return LEAVE
        while not _ended_within(child, settings.TIEBREAK_RUN_POLL_SECONDS):
            if self.leave.is_set():
                return LEAVE
            self._look_if_possible()
            if (wish := _WISHES.get(RunState(self.run.state))) is not None:
                return wish
            if time.monotonic() - self.moved_at > self.patience:
                return HANG
        return None

    @property
    def patience(self) -> float:
        """Seconds without a step after which the child hangs: slow steps are waited for."""
        usual: float = settings.TIEBREAK_RUN_HANG_STEPS * self.beat.median
        least: float = settings.TIEBREAK_RUN_HANG_SECONDS
        return max(least, usual)

    def _look_if_possible(self) -> None:
        try:
            self._look()
        except (OperationalError, InterfaceError) as error:
            # The child goes on until the deadline in its lease file, and no longer.
            logger.warning("run %s: the database does not answer: %s", self.run.pk, error)
            connection.close()

    def _look(self) -> None:
        """Renew if it is time, read the wish, import progress. Lost: somebody else owns the run."""
        if time.monotonic() - self.renewed_at >= settings.TIEBREAK_RUN_RENEW_SECONDS:
            self._renew()
        if not lifecycle.see(self.run):
            raise Lost
        news = self.progress.advance()
        if news is None:
            raise Lost
        if news:
            self.advanced = True
        beat = self.folder.beat() or self.beat
        if news or beat.count != self.beat.count:
            self.moved_at = time.monotonic()
        self.beat = beat

    # End.

    def _end(self, why: str) -> None:
        """Ask the child to stop and give it the grace; `end_child` kills what is left."""
        child = self.child
        if child is None:
            return
        if why == HANG:
            stacks.take(self.run, child)
            return
        if why != LEAVE:
            self.folder.write_want(why)
        launching.signal_group(child, signal.SIGTERM)
        until = time.monotonic() + settings.TIEBREAK_RUN_GRACE_SECONDS
        pause = settings.TIEBREAK_RUN_POLL_SECONDS
        while time.monotonic() < until and not _ended_within(child, pause):
            self._look_if_possible()

    def end_child(self) -> None:
        """Leave no process behind, not even one that left the child's session."""
        if self.child is None:
            return
        self.stuck = launching.end(self.child, self.run)
        if self.stuck:
            logger.error("run %s: these processes cannot be killed: %s", self.run.pk, self.stuck)

    def _settle(self, why: str | None, outcome: Outcome | None) -> None:
        """Move the row to what the attempt came to. A wish may come in between: look again."""
        for _ in range(5):
            if not lifecycle.see(self.run):
                raise Lost
            if self._settled(why, outcome):
                return
        raise Lost

    def _settled(self, why: str | None, outcome: Outcome | None) -> bool:
        run = self.run
        if run.state == RunState.CANCELLING:
            return lifecycle.move(run, RunState.CANCELLED, reason="cancelled")
        code = self.child.returncode if self.child is not None else None
        # The outcome is written last: whoever was ended behind it, by us, was done.
        if outcome is not None and outcome.exit_code == 0 and (why or code in (0, None)):
            return registering.commit(run, outcome)
        if run.state == RunState.PAUSING and (code is None or code not in FINAL):
            return lifecycle.rest(run)
        if why == LEAVE and run.state != RunState.PAUSING:
            return lifecycle.put_back(run, "worker_left", "Its worker was stopped.")
        if why == HANG and run.state != RunState.PAUSING:
            message = endings.hung(self.patience, self.folder, run.fence, self.stuck)
            return lifecycle.try_again(run, "hang", message)
        assert code is not None
        return self._failed(code, outcome)

    def _failed(self, code: int, outcome: Outcome | None) -> bool:
        """The child ended by itself, and not well."""
        run = self.run
        if code == ExitCode.RUN_ME_AGAIN and self.advanced:
            return lifecycle.put_back(run, "stopped", "It saved its state and stopped.")
        reason, message = endings.describe(code, outcome, logs.tail(self.folder))
        if endings.was_killed_for_memory(code, message, self.oom_kills):
            reason = "oom"
        if code in FINAL:
            return lifecycle.move(run, RunState.FAILED, reason=reason, message=message)
        if reason == "oom" and kinds.get(run.kind).splits:
            return self._out_of_memory(message)
        return lifecycle.try_again(run, reason, message)

    def _out_of_memory(self, message: str) -> bool:
        """Once with half the micro-batch; a third time would come to the same."""
        run = self.run
        if run.retry.get("split", 1) > 1:
            text = f"Out of memory, with half the micro-batch too.\n{message}"
            return lifecycle.move(run, RunState.FAILED, reason="oom", message=text)
        retry = {"split": 2, "reason": "oom", "fence": run.fence, "step": run.step}
        text = f"Out of memory; the next try halves the micro-batch.\n{message}"
        return lifecycle.try_otherwise(run, "oom", text, retry)

    def _patiently(self, act: Callable[[], None]) -> None:
        """Try again while the database does not answer, as long as the lease may still be ours."""
        until = time.monotonic() + settings.TIEBREAK_RUN_LEASE_SECONDS
        while True:
            try:
                return act()
            except (OperationalError, InterfaceError):
                if time.monotonic() > until:
                    raise
                connection.close()
                time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS)


def _ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
