"""A trainer whose work is done ends with 0, whatever threads of libraries still do."""

import subprocess
import sys
from pathlib import Path

import pytest

from formats.run_dir import RunDir

# A thread that goes from Python to C++ to Python, as hooks of sharded networks do, and has not
# ended when the trainer has.
TRAINER = """
import sys, threading, time
import torch
from formats.outcome import ExitCode, Outcome
from formats.run_dir import RunDir
from formats.supervised import end_process, supervise

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2

def never_ends():
    x = torch.ones(2000, requires_grad=True)
    while True:
        Doubled.apply(x).sum().backward()

def work(run):
    for _ in range(4):
        threading.Thread(target=never_ends, daemon=True).start()
    time.sleep(0.3)
    print("done, and not flushed", end="")
    return Outcome(ExitCode.DONE)

{end}(supervise(work, RunDir(sys.argv[1])))
"""


def ended(folder: Path, end: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-c", TRAINER.replace("{end}", end), str(folder)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_thread_of_a_library_does_not_spoil_the_end(tmp_path: Path) -> None:
    done = ended(tmp_path / "7", "end_process")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done, and not flushed", "")
    outcome = RunDir(tmp_path / "7").outcome()
    assert outcome is not None
    assert outcome.exit_code == 0


def test_the_end_of_the_interpreter_would_abort(tmp_path: Path) -> None:
    """The mutant: the outcome says that all is well, and the process says that it was killed."""
    done = ended(tmp_path / "7", "sys.exit")
    assert done.returncode == -6
    assert "terminate called" in done.stderr


@pytest.mark.parametrize("package", ["models_rm", "models_align", "measuring", "demo"])
def test_every_trainer_ends_so(package: str, tmp_path: Path) -> None:
    """What runs at the end of an interpreter does not run at the end of a trainer."""
    words = {
        "models_rm": "score",
        "models_align": "sample",
        "measuring": "vbench",
        "demo": "pretrain",
    }
    program = (
        "import atexit, os, runpy, sys\n"
        "atexit.register(os.abort)\n"
        f"sys.argv = ['{package}', '{words[package]}', sys.argv[1]]\n"
        f"runpy.run_module('{package}', run_name='__main__')"
    )
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "config.json").write_text('{"no": "config"}')
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "8")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    outcome = RunDir(tmp_path / "8").outcome()
    assert outcome is not None, done.stderr
    assert done.returncode == outcome.exit_code != 0


def test_what_dies_in_c_says_where_python_was(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from formats.run_dir import RunDir\n"
        "from formats.supervised import supervise\n"
        "def dies_here(run): os.abort()\n"
        "supervise(dies_here, RunDir(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -6
    assert "in dies_here" in done.stderr
