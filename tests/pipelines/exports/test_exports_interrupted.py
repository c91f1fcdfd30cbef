"""An export that is killed at any byte, or before any step: nothing half is ever visible under the
final name, and the same export, started again, ends as if nothing had happened."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from formats.dimensions import BUILT_IN
from formats.labels import CLASSES
from formats.records import Opinion, PreferenceRecord, VideoRef
from formats.snapshot import write_snapshot
from pipelines.exports.exporting import SUFFIXES

pytestmark = pytest.mark.one_engine

ROOT = Path(__file__).parents[3]
FORMATS = ("parquet", "hf", "trl")
PAIRS = 60
KEYS = BUILT_IN["videoalign"].keys
LONGEST = 40_000  # bytes; the largest file of these exports is about as long
STEPS = 45  # an export in six files makes fewer lasting calls than this


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    chance = random.Random(1)
    folder = tmp_path_factory.mktemp("killed") / "snapshot"
    return folder, write_snapshot(
        folder, BUILT_IN["videoalign"], [_record(n, chance) for n in range(PAIRS)], {}
    )


def _record(number: int, chance: random.Random) -> PreferenceRecord:
    clips = [
        VideoRef(f"{number}{side}", f"clips/{number}{side}.mp4", f"{number:063d}{side}", 24.0, 121)
        for side in "ab"
    ]
    said = [
        Opinion(f"annotator-{n}", key, chance.choice(CLASSES)) for n in range(3) for key in KEYS
    ]
    labels = {key: chance.choice(CLASSES) for key in KEYS if chance.random() < 0.8}
    split = "train" if number % 3 else "test"
    return PreferenceRecord(
        f"pair-{number:04d}", f"prompt {number}", split, clips[0], clips[1], labels, judgements=said
    )


def _killed(
    snapshot: tuple[Path, str], folder: Path, kills: list[dict[str, Any]], spoiled: str = ""
) -> list[dict[str, Any]]:
    asked = {
        "folder": str(folder),
        "snapshot": str(snapshot[0]),
        "sha256": snapshot[1],
        "suffixes": SUFFIXES,
        "shard": 10,  # so that the folder of `hf` is made in several steps
        "kills": kills,
        "spoiled": spoiled,
    }
    child = subprocess.run(
        [sys.executable, "-m", "tests.pipelines.exports.killed_exports"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert child.returncode == 0, child.stderr
    found: list[dict[str, Any]] = json.loads(child.stdout)
    return found


def _never(format_name: str) -> dict[str, Any]:
    """A kill that does not come: what an export looks like when nothing happens."""
    return {"format": format_name, "way": "byte", "n": 1 << 30}


def _faults(found: list[dict[str, Any]]) -> list[str]:
    whole = {row["kill"]["format"]: row["after"] for row in found if not row["killed"]}
    faults = []
    for row in found:
        right = whole[row["kill"]["format"]]
        if row["visible"] not in {"", right}:
            faults.append(f"half of it is visible: {row['kill']}")
        # Killed when it was there already: the next one only says so.
        refused = row["visible"] == right and row["again"] != 0
        ended = (0 if refused else row["again"], row["after"], row["left"])
        if row["killed"] and ended != (0, right, []):
            faults.append(f"it did not end well: {row}")
    return faults


def test_killed_at_any_byte_it_shows_nothing_half_and_ends_the_same(
    snapshot: tuple[Path, str], tmp_path: Path
) -> None:
    chance = random.SystemRandom()
    kills = [_never(name) for name in FORMATS]
    for name in FORMATS:
        bytes_ = {0, 1, *(chance.randrange(LONGEST) for _ in range(4))}
        kills += [{"format": name, "way": "byte", "n": n} for n in sorted(bytes_)]
    found = _killed(snapshot, tmp_path, kills)
    assert _faults(found) == []
    assert sum(row["killed"] for row in found) >= 2 * len(FORMATS)  # else nothing was tried


def test_killed_before_any_step_it_goes_on_with_what_is_whole(
    snapshot: tuple[Path, str], tmp_path: Path
) -> None:
    kills = [_never("hf"), _never("trl")]
    chance = random.SystemRandom()
    for name, most, every in (("hf", 2 * STEPS, 6), ("trl", STEPS, 5)):
        first = chance.randrange(every)  # another handful each time
        kills += [{"format": name, "way": "call", "n": n} for n in range(first, most, every)]
    found = _killed(snapshot, tmp_path, kills)
    assert _faults(found) == []
    of_folder = [row for row in found if row["kill"]["format"] == "hf"]
    assert not all(row["killed"] for row in of_folder)
    assert max(row["goes_on"] for row in of_folder if row["killed"]) >= 6


@pytest.mark.parametrize("spoiled", ["shown at once", "half is taken"])
def test_a_spoiled_export_is_noticed(
    spoiled: str, snapshot: tuple[Path, str], tmp_path: Path
) -> None:
    kills = [_never("trl"), *({"format": "trl", "way": "byte", "n": n} for n in (900, 4000, 9000))]
    assert _faults(_killed(snapshot, tmp_path, kills, spoiled))
