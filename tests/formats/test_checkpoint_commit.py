"""A visible checkpoint always loads, whatever kills its writer (RELIABILITY A1, A3, A5)."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from formats.checkpoints import (
    checkpoints,
    commit_checkpoint,
    commit_folder,
    newest_verified,
    verify_folder,
)
from formats.errors import FormatError

# Writes checkpoints for ever; with "naive" it overwrites one file, as many trainers do.
WRITER = """
import hashlib, sys
from pathlib import Path
from formats.checkpoints import commit_checkpoint
folder, naive = Path(sys.argv[1]), sys.argv[2] == "naive"
for step in range(1, 10_000):
    block = hashlib.sha256(str(step).encode()).digest() * 200_000
    def fill(target):
        (target / "weights.bin").write_bytes(block)
    if naive:
        target = folder / "ckpt-00000001-1"
        target.mkdir(exist_ok=True)
        from formats.files import sha256_of, write_json
        name = "weights.bin"
        with (target / name).open("wb") as file:
            for start in range(0, len(block), 65536):
                file.write(block[start:start + 65536])
        write_json(target / "manifest.json", "manifest/1",
                   {"files": {name: {"sha256": sha256_of(target / name)}}, "meta": {}})
    else:
        commit_checkpoint(folder, step, 1, fill)
"""


def killed_while_writing(folder: Path, how: str, chance: random.Random) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), how])
    try:
        while not any(folder.glob("ckpt-*/manifest.json")):
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(chance.random() * 0.15)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def newest_loads(folder: Path) -> bool:
    newest = checkpoints(folder)[0]
    try:
        verify_folder(newest.path)
    except FormatError:
        return False
    return True


@pytest.mark.faults
def test_the_newest_checkpoint_loads_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(1)
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        killed_while_writing(folder, "atomic", chance)
        assert newest_loads(folder)


@pytest.mark.faults
def test_the_kill_test_can_fail_because_overwriting_in_place_loses_checkpoints(
    tmp_path: Path,
) -> None:
    chance = random.Random(1)
    outcomes = []
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        killed_while_writing(folder, "naive", chance)
        outcomes.append(newest_loads(folder))
    assert not all(outcomes)


def fill(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"weights" * 100)
    (folder / "sub").mkdir()
    (folder / "sub" / "b.json").write_text("{}")


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        commit_checkpoint(tmp_path, step, 7, fill)
    assert [each.step for each in checkpoints(tmp_path)] == [3, 2]


def test_a_protected_checkpoint_outlives_the_rotation(tmp_path: Path) -> None:
    best = commit_checkpoint(tmp_path, 1, 7, fill).path
    for step in (2, 3, 4):
        commit_checkpoint(tmp_path, step, 7, fill, protect=[best])
    assert [each.step for each in checkpoints(tmp_path)] == [4, 3, 1]


@pytest.mark.parametrize("damage", ["flip", "truncate", "missing", "extra"])
def test_damage_is_named_and_the_previous_good_one_is_used(tmp_path: Path, damage: str) -> None:
    commit_checkpoint(tmp_path, 1, 7, fill)
    newest = commit_checkpoint(tmp_path, 2, 7, fill).path
    victim = newest / "a.bin"
    if damage == "flip":
        block = bytearray(victim.read_bytes())
        block[10] ^= 1
        victim.write_bytes(block)
    elif damage == "truncate":
        os.truncate(victim, 3)
    elif damage == "missing":
        victim.unlink()
    else:
        (newest / "extra.bin").write_bytes(b"")
    reports: list[str] = []
    good = newest_verified(tmp_path, reports.append)
    assert good is not None
    assert good.step == 1
    assert len(reports) == 1
    assert "ckpt-00000002-7" in reports[0]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    commit_folder(tmp_path / "model", fill)
    with pytest.raises(FormatError, match="never overwritten"):
        commit_folder(tmp_path / "model", fill)


def test_a_failed_fill_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        commit_folder(tmp_path / "out" / "model", fails)
    assert list((tmp_path / "out").iterdir()) == []
