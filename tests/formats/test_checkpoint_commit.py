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
    best,
    checkpoints,
    commit_checkpoint,
    commit_folder,
    newest_verified,
    prune,
    verify_folder,
)
from formats.errors import FormatError
from tests.promises import Figures, counts

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
@pytest.mark.promise("A1")
def test_the_newest_checkpoint_loads_after_a_kill_at_any_moment(
    tmp_path: Path, figures: Figures
) -> None:
    chance, kills = random.Random(1), counts(8, 30, 100)
    loaded = 0
    for attempt in range(kills):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        killed_while_writing(folder, "atomic", chance)
        loaded += newest_loads(folder)
    figures("A1", kills=kills, loaded=loaded)
    assert loaded == kills


@pytest.mark.faults
@pytest.mark.mutant("A1")
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


@pytest.mark.promise("A3")
def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        commit_checkpoint(tmp_path, step, 7, fill)
    assert [each.step for each in checkpoints(tmp_path)] == [3, 2]


def test_a_protected_checkpoint_outlives_the_rotation(tmp_path: Path) -> None:
    best = commit_checkpoint(tmp_path, 1, 7, fill).path
    for step in (2, 3, 4):
        commit_checkpoint(tmp_path, step, 7, fill, protect=[best])
    assert [each.step for each in checkpoints(tmp_path)] == [4, 3, 1]


@pytest.mark.promise("A3")
def test_the_best_by_validation_outlives_the_rotation_until_there_is_a_better_one(
    tmp_path: Path,
) -> None:
    for step, metric in ((1, 3.0), (2, 1.0), (3, 2.0), (4, None), (5, 2.5)):
        commit_checkpoint(tmp_path, step, 7, fill, metric=metric)
    assert [each.step for each in checkpoints(tmp_path)] == [5, 4, 2]
    commit_checkpoint(tmp_path, 6, 7, fill, metric=0.5)
    assert [each.step for each in checkpoints(tmp_path)] == [6, 5]
    found = best(tmp_path)
    assert found is not None
    assert found.step == 6


@pytest.mark.promise("A3")
def test_a_damaged_checkpoint_does_not_count_as_one_of_the_two(tmp_path: Path) -> None:
    for step in (1, 2):
        commit_checkpoint(tmp_path, step, 7, fill)
    (tmp_path / "ckpt-00000002-7" / "a.bin").write_bytes(b"weights" * 99 + b"WEIGHTS")
    commit_checkpoint(tmp_path, 3, 7, fill)
    assert [each.step for each in checkpoints(tmp_path)] == [3, 1]


@pytest.mark.promise("A3")
def test_nothing_goes_where_nothing_verifies(tmp_path: Path) -> None:
    for step in (1, 2):
        commit_checkpoint(tmp_path, step, 7, fill)
    for each in checkpoints(tmp_path):
        (each.path / "a.bin").unlink()
    assert prune(tmp_path, keep=1) == []
    assert len(checkpoints(tmp_path)) == 2


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


def damaged(victim: Path, damage: str, chance: random.Random) -> str:
    """Spoil a checkpoint; the name of the file that a person should be told."""
    files = sorted(p for p in victim.rglob("*") if p.is_file() and p.name != "manifest.json")
    file = chance.choice(files)
    if damage == "extra":
        file = victim / f"extra-{chance.randrange(100)}"
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    elif damage == "truncate":
        os.truncate(file, chance.randrange(file.stat().st_size))
    else:
        block = bytearray(file.read_bytes())
        block[chance.randrange(len(block))] ^= 1 << chance.randrange(8)
        file.write_bytes(block)
    return file.name


@pytest.mark.promise("A5")
def test_thirty_damaged_checkpoints_are_refused_by_the_name_of_the_file(
    tmp_path: Path, figures: Figures
) -> None:
    chance, refused = random.Random(3), 0
    words = ["flip"] * 10 + ["truncate"] * 10 + ["missing", "extra"] * 5
    for number, damage in enumerate(words):
        folder = tmp_path / str(number)
        commit_checkpoint(folder, 1, 7, fill)
        name = damaged(commit_checkpoint(folder, 2, 7, fill).path, damage, chance)
        reports: list[str] = []
        good = newest_verified(folder, reports.append)
        assert good is not None
        assert good.step == 1
        (report,) = reports
        assert f"ckpt-00000002-7/{name}" in report or f"/sub/{name}" in report
        refused += 1
    figures("A5", damaged=len(words), refused=refused)
    assert refused == 30


@pytest.mark.promise("A5")
def test_a_link_is_no_file_of_a_checkpoint(tmp_path: Path) -> None:
    folder = commit_checkpoint(tmp_path, 1, 7, fill).path
    content = (folder / "a.bin").read_bytes()
    (tmp_path / "elsewhere").write_bytes(content)
    (folder / "a.bin").unlink()
    (folder / "a.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match=r"a\.bin: a link, where a file was expected"):
        verify_folder(folder)


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
