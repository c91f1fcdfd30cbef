"""Tests of one group run in one process, one after the other (tools/run_tests.py)."""

import subprocess
import sys
from pathlib import Path

GROUPED = """
import os
from pathlib import Path
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    (Path(__file__).parent / f"{os.getpid()}.pid").touch()
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    """pytest 9.2 with pytest-xdist 3.8 scatters groups without a word.

    Costly servers were then started several times, and what is measured ran beside what computes.
    """
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    (tmp_path / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-n", "2", "--dist", "loadgroup", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("*.pid"))) == 1
