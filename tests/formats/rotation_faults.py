"""Rotates checkpoints and meets a fault at the n-th call of the system, for every n in turn.

    python rotation_faults.py FOLDER {kill,full} {good,naive}

Each attempt is a process of its own (a fork), so a kill is a kill. Prints JSON lines: the call, and
how many checkpoints verify afterwards, and while it was at work, if it lived.
"""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from formats import checkpoints
from formats.checkpoints import commit_checkpoint, commit_folder, verify_folder
from formats.errors import FormatError

CALLS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")


def fill(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"weights" * 50_000)
    (folder / "state.json").write_text("{}")


def rotate(folder: Path, how: str) -> None:
    """The third checkpoint; the first one has to go for it."""
    if how == "good":
        commit_checkpoint(folder, 3, 1, fill, keep=1)
        return
    # As a much used library does it: room is made before the new one is written.
    for old in folder.glob("ckpt-*"):
        shutil.rmtree(old)
    commit_folder(folder / "ckpt-00000003-1", fill)


def verified(folder: Path) -> int:
    count = 0
    for each in checkpoints.checkpoints(folder):
        try:
            verify_folder(each.path)
        except FormatError:
            continue
        count += 1
    return count


class Fault:
    """Wraps the calls; at the n-th the process is killed, or the disk is full."""

    def __init__(self, folder: Path, n: int, kind: str):
        self.folder, self.n, self.kind = folder, n, kind
        self.seen = 0
        self.armed = True
        self.least = 99

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **named: Any) -> Any:
            if self.armed:
                self._meet(name)
            return call(*args, **named)

        return wrapper

    def _meet(self, name: str) -> None:
        self.armed = False
        self.least = min(self.least, verified(self.folder))
        self.armed = True
        self.seen += 1
        if self.seen != self.n:
            return
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if name in ("mkdir", "fsync", "rename", "replace"):
            raise OSError(errno.ENOSPC, "No space left on device")


def attempt(folder: Path, n: int, kind: str, how: str) -> bool:
    """False: there are fewer than n calls."""
    folder.mkdir()
    for step in (1, 2):
        commit_checkpoint(folder, step, 1, fill)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        fault = Fault(folder, n, kind)
        fault.install()
        try:
            rotate(folder, how)
        except OSError:
            pass
        finally:
            os.write(write, json.dumps([fault.seen, fault.least]).encode())
            os._exit(0)
    os.close(write)
    _, status = os.waitpid(pid, 0)
    told = os.read(read, 100)
    os.close(read)
    seen, least = json.loads(told) if told else (n, 99)
    print(json.dumps({"call": n, "left": verified(folder), "least": least, "status": status}))
    return seen >= n


def main() -> None:
    folder, kind, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    n = 1
    while attempt(folder / str(n), n, kind, how):
        n += 1


if __name__ == "__main__":
    main()
