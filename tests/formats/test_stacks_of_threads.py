"""A process that is asked for its stacks says what all threads do, and lives on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ASKED = 300  # times; with stacks from within the handler it dies after a dozen
PROGRAM = """
import pathlib, sys, threading, time
{setup}

def read_and_fail():
    while True:
        try:
            int(pathlib.Path("/proc/self/stat").read_text())
        except ValueError:
            pass

for _ in range(4):
    threading.Thread(target=read_and_fail, daemon=True).start()
print("ready", flush=True)
{ends}
"""
OURS = "from formats import stacks; stacks.tell_when_asked()"
WITHIN_THE_HANDLER = (
    "import faulthandler, signal; faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)"
)


def asked_for_stacks(log: Path, setup: str, times: int, ends: str = "time.sleep(60)") -> int | None:
    """The exit code of the process after that, or None: it lives."""
    program = PROGRAM.format(setup=setup, ends=ends)
    with (
        log.open("wb") as err,
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=err
        ) as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.2)  # it goes on to what it does last
        for _ in range(times):
            if child.poll() is not None:
                break
            child.send_signal(signal.SIGUSR1)
            time.sleep(0.002)
        time.sleep(0.5)  # for the last words
        code = child.poll()
        child.kill()
    return code


@pytest.mark.promise("J9")
def test_it_lives_however_often_it_is_asked_while_its_threads_work(tmp_path: Path) -> None:
    assert asked_for_stacks(tmp_path / "log", OURS, ASKED) is None
    assert (tmp_path / "log").read_text(errors="replace").count("read_and_fail") > ASKED


@pytest.mark.mutant("J9")
def test_stacks_that_are_told_from_within_the_handler_kill_it(tmp_path: Path) -> None:
    code = asked_for_stacks(tmp_path / "log", WITHIN_THE_HANDLER, 20 * ASKED)
    assert code == -signal.SIGSEGV


@pytest.mark.promise("J9")
@pytest.mark.parametrize(
    "held_up",
    ["held = threading.Lock(); held.acquire(); held.acquire()", "sum(range(10**12))"],
    ids=["waits", "burns"],
)
def test_the_thread_that_hangs_is_among_them_wherever_it_hangs(
    tmp_path: Path, held_up: str
) -> None:
    """`sum` over a range never gives the interpreter away, so no other thread can look."""
    assert asked_for_stacks(tmp_path / "log", OURS, 1, held_up) is None
    text = (tmp_path / "log").read_text(errors="replace")
    line = PROGRAM.format(setup=OURS, ends=held_up).splitlines().index(held_up) + 1
    assert f'File "<string>", line {line} in <module>' in text


@pytest.mark.promise("J9")
def test_a_library_that_waits_in_the_kernel_is_not_disturbed(tmp_path: Path) -> None:
    """Python asks again after EINTR; not everything that is written in C does."""
    waits = (
        "import ctypes, os; end, _ = os.pipe(); room = ctypes.create_string_buffer(1);"
        " sys.exit(7 + ctypes.CDLL(None).read(end, room, 1))"
    )
    assert asked_for_stacks(tmp_path / "log", OURS, 1, waits) is None
