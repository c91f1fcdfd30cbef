"""Whatever happens while checkpoints are rotated, one that verifies is there (RELIABILITY A3)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.promises import Figures

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("rotation_faults.py")


def attempts(folder: Path, kind: str, how: str) -> list[dict[str, Any]]:
    folder.mkdir()
    words = [sys.executable, str(SCRIPT), str(folder), kind, how]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.faults
@pytest.mark.promise("A3")
@pytest.mark.parametrize("kind", ["kill", "full"])
def test_one_that_verifies_is_there_at_every_instant_of_a_rotation(
    tmp_path: Path, figures: Figures, kind: str
) -> None:
    found = attempts(tmp_path / kind, kind, "good")
    assert len(found) >= 20
    assert min(each["left"] for each in found) >= 1
    assert min(each["least"] for each in found) >= 1
    figures("A3", **{kind: len(found), f"least_left_{kind}": min(e["left"] for e in found)})


@pytest.mark.faults
@pytest.mark.mutant("A3")
@pytest.mark.parametrize("kind", ["kill", "full"])
def test_making_room_before_the_new_one_is_written_leaves_none(tmp_path: Path, kind: str) -> None:
    found = attempts(tmp_path / kind, kind, "naive")
    assert min(each["left"] for each in found) == 0
