"""The children of `make run` stand and fall together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.processes import Children

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
STUBBORN = [sys.executable, "-c", f"{IGNORES}; print('up', flush=True); time.sleep(60)"]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_output(log: Path) -> None:
    deadline = time.monotonic() + 20
    while "up" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_stopping_leaves_no_process_not_even_one_that_ignores_sigterm(tmp_path: Path) -> None:
    children = Children(tmp_path, {})
    started = [children.start("polite", SLEEPER), children.start("stubborn", STUBBORN)]
    for child in started:
        await_output(child.log)
    children.stop(grace=0.5)
    assert [child.process.poll() for child in started] == [-signal.SIGTERM, -signal.SIGKILL]


def test_what_ended_by_itself_is_started_again_and_named(tmp_path: Path) -> None:
    children = Children(tmp_path, {})
    child = children.start("worker", SLEEPER)
    await_output(child.log)
    first = child.process.pid
    assert children.revive() == []
    os.kill(first, signal.SIGKILL)
    child.process.wait()
    assert [text.split()[0] for text in children.revive()] == ["worker"]
    assert child.process.pid != first
    children.stop(grace=5)


PARENT = """
import sys, time
from pathlib import Path
from pipelines.processes import Children
child = Children(Path(sys.argv[1]), {}).start("worker", sys.argv[2:])
print(child.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.faults
def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *SLEEPER], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    await_output(tmp_path / "worker.log")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)
