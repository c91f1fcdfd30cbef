"""Child processes of `manage.py demo`: started together, watched, and stopped together.

Each child is a session of its own, so that Ctrl-C reaches only the parent, which stops them in
order. If the parent is killed, the kernel ends the children (setpriv, a part of util-linux).
"""

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Child:
    name: str
    argv: Sequence[str | Path]
    log: Path
    process: subprocess.Popen[bytes]


class Children:
    """The children that stand or fall with their parent."""

    def __init__(self, logs: Path, environment: Mapping[str, str]):
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._children: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, argv: Sequence[str | Path]) -> Child:
        log = self._logs / f"{name}.log"
        child = Child(name, argv, log, self._spawn(argv, log))
        self._children.append(child)
        return child

    def _spawn(self, argv: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        guard = shutil.which("setpriv")
        prefix = [guard, "--pdeathsig", "SIGTERM"] if guard else []
        with log.open("ab") as output:
            return subprocess.Popen(
                [*prefix, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def revive(self) -> list[str]:
        """Start again what has ended by itself; say what it was."""
        ended = [child for child in self._children if child.process.poll() is not None]
        for child in ended:
            child.process = self._spawn(child.argv, child.log)
        return [f"{child.name} (its log: {child.log})" for child in ended]

    def stop(self, grace: float) -> None:
        """Ask the last started first; after `grace` seconds kill what is still there."""
        deadline = time.monotonic() + grace
        for child in reversed(self._children):
            _signal(child.process, signal.SIGTERM)
        for child in reversed(self._children):
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("%s did not stop in time and is killed", child.name)
                _signal(child.process, signal.SIGKILL)
                child.process.wait()


def _signal(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, how)
