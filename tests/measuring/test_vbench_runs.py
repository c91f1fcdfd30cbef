"""Runs of kind `vbench`: whole, in chunks, killed half-way, with clips that cannot be read."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.errors import FormatError
from formats.outcome import ExitCode
from formats.records import GenerationRecord
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised
from formats.vbench import FLICKERING
from formats.vbench_results import read_result
from measuring import running
from measuring.clips import measured_clip
from measuring.gathering import gather
from measuring.journal import FOLDER, Journal

pytestmark = pytest.mark.one_engine
Prepare = Callable[..., RunDir]
Measure = Callable[[RunDir], dict[str, Any]]


def test_every_clip_is_measured_and_the_mean_is_theirs(
    clips: Path, run_dir: Prepare, measured: Measure
) -> None:
    body = measured(run_dir())
    values = [
        measured_clip(clips.parent / each.video.path, flickering=True, proxies=False)[FLICKERING]
        for each in GenerationRecord.read(clips)
    ]
    assert [clip["values"][FLICKERING] for clip in body["clips"]] == values
    assert body["values"][FLICKERING]["raw"] == pytest.approx(sum(values) / 6, abs=1e-12)
    assert body["values"][FLICKERING] | {"raw": 0} == {
        "raw": 0, "source": "computed", "videos": 6, "average": "videos", "file": "",
    }  # fmt: skip
    assert body["measured"] == {"generator": "tiny"}
    assert "static scenes" in body["notes"][0]


def test_one_dimension_gives_no_total_and_the_missing_are_named(
    run_dir: Prepare, measured: Measure
) -> None:
    totals = measured(run_dir())["totals"]
    assert totals["total"] is None
    assert len(totals["missing"]) == 15
    assert totals["refusal"].startswith("There is no total: 15 dimensions are missing")


def test_proxies_stand_apart(run_dir: Prepare, measured: Measure) -> None:
    body = measured(run_dir())
    assert set(body["values"]) == {FLICKERING}
    assert {each.partition(":")[0] for each in body["proxies"]} == {"proxy"}
    assert measured(run_dir("2", proxies=False))["proxies"] == {}
    alone = measured(run_dir("3", dimensions=[]))
    assert (alone["values"], len(alone["proxies"])) == ({}, 7)


def test_chunks_leave_what_one_run_leaves(clips: Path, run_dir: Prepare, measured: Measure) -> None:
    whole = measured(run_dir())
    parts = {}
    for number in range(3):
        folder = run_dir(f"chunk-{number}", chunks=3, chunk=number)
        measured(folder)
        parts[f"vbench:{number}"] = folder.outputs / "vbench.json"
    gathered = run_dir("whole", parts, protocol="t2v", chunks=3)
    assert gather(Supervised(gathered)).exit_code == 0
    found = read_result(gathered.outputs)
    assert {"schema": "vbench/1", **found.to_json()} == whole
    missing = run_dir("missing", {**parts, "vbench:1": parts["vbench:0"]}, chunks=3)
    with pytest.raises(FormatError, match=r"measured twice|belongs to chunk"):
        gather(Supervised(missing))


def test_a_missing_chunk_is_named(run_dir: Prepare, measured: Measure) -> None:
    folder = run_dir("chunk-0", chunks=2, chunk=0)
    measured(folder)
    left = {"vbench:0": folder.outputs / "vbench.json"}
    with pytest.raises(FormatError, match="2 chunks leave the inputs vbench:0 to vbench:1"):
        gather(Supervised(run_dir("whole", left, chunks=2)))


def test_what_is_safe_is_not_measured_again(
    run_dir: Prepare, measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measured(run_dir("other"))
    folder = run_dir()
    asked: list[str] = []
    original = running.measured_clip

    def dies_at_the_fourth(path: Path, **asked_for: bool) -> dict[str, float]:
        asked.append(path.name)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return original(path, **asked_for)

    monkeypatch.setattr(running, "measured_clip", dies_at_the_fourth)
    folder = run_dir(readers=1, part_clips=1)
    with pytest.raises(KeyboardInterrupt):
        measured(folder)
    safe = {key[0] for key in Journal(folder.root / FOLDER, 0, clips=1).read(print)}
    assert safe
    asked[:] = ["x"] * 10
    assert measured(folder) == expected
    assert {f"v{Path(name).stem}" for name in asked[10:]} == {f"v{n}" for n in range(6)} - safe


@pytest.fixture
def killed(clips: Path, run_dir: Prepare) -> RunDir:
    """A run that was killed while it read the fourth clip; that clip can be read by now."""
    fourth = clips.parent / "clips" / "3.mp4"
    content = fourth.read_bytes()
    fourth.unlink()
    os.mkfifo(fourth)  # nobody writes into it: who opens it waits
    folder = run_dir(readers=1, part_clips=1)
    command = [sys.executable, "-I", "-m", "measuring", "vbench", str(folder.root)]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 30
        while len(list((folder.root / FOLDER).glob("*.jsonl"))) < 3:
            assert time.monotonic() < deadline, "three clips are not safe"
            time.sleep(0.02)
        process.kill()
    fourth.unlink()
    fourth.write_bytes(content)
    return folder


def test_a_killed_run_goes_on_behind_what_is_safe(
    killed: RunDir, run_dir: Prepare, measured: Measure
) -> None:
    assert measured(killed) == measured(run_dir("other"))
    assert len(list((killed.root / FOLDER).glob("*.jsonl"))) == 6


def test_one_that_begins_again_is_seen(
    killed: RunDir, measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant of the test above."""
    monkeypatch.setattr(Journal, "read", lambda self, report: {})
    measured(killed)
    assert len(list((killed.root / FOLDER).glob("*.jsonl"))) == 9


def test_a_damaged_part_is_measured_again(
    run_dir: Prepare, measured: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_dir(part_clips=3)
    expected = measured(folder)
    first, second = sorted((folder.root / FOLDER).glob("*.jsonl"))
    first.write_bytes(first.read_bytes()[:-30])
    assert measured(folder) == expected
    assert "a part is not used and its clips are measured again" in capsys.readouterr().out
    assert second.exists()


def test_an_unreadable_clip_counts_nowhere_and_is_said(
    clips: Path, run_dir: Prepare, measured: Measure
) -> None:
    (clips.parent / "clips" / "2.mp4").write_bytes(b"broken")
    body = measured(run_dir())
    broken = body["clips"][2]
    assert (broken["values"], broken["error"][:27]) == ({}, "the clip cannot be read: [E")
    assert body["values"][FLICKERING]["videos"] == 5
    assert "1 of 6 clips cannot be read and count nowhere." in body["notes"]


def test_no_readable_clip_at_all_is_an_error(clips: Path, run_dir: Prepare) -> None:
    for file in (clips.parent / "clips").iterdir():
        file.unlink()
    with pytest.raises(
        FormatError, match="none of the 6 clips can be read; the first: the clip is m"
    ):
        running.measure(Supervised(run_dir()))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"dimensions": ["object_class"]}, "object_class cannot be measured on clips of other"),
        ({"dimensions": ["flickering"]}, "did you mean 'temporal_flickering'"),
        ({"dimensions": ["i2v_subject"]}, "each of dimensions must be one of temporal_flickering"),
        ({"dimensions": "scene"}, "dimensions must be a list of words"),
        ({"dimensions": [], "proxies": False}, "nothing to measure"),
        ({"protocol": "v2v"}, "protocol must be one of t2v, i2v"),
        ({"proxys": True}, "unknown key 'proxys'; did you mean 'proxies'"),
        ({"chunks": 2, "chunk": 2}, "chunk must be below chunks"),
        ({"readers": 0}, "readers must be a whole number from 1 to 64"),
        ({"proxies": 1}, "proxies must be true or false"),
    ],
)
def test_a_bad_config_is_one_sentence(
    run_dir: Prepare, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadConfigError, match=sentence):
        running.measure(Supervised(run_dir(**config)))


def test_the_program_leaves_an_outcome(run_dir: Prepare) -> None:
    """As a worker starts it: isolated, in a process without Django and torch."""
    folder = run_dir()
    command = [sys.executable, "-I", "-m", "measuring", "vbench", str(folder.root)]
    assert subprocess.run(command, capture_output=True).returncode == ExitCode.DONE
    outcome = folder.outcome()
    assert outcome is not None
    assert (outcome.outputs[0].kind, outcome.summary["clips"]) == ("vbench", 6)


def test_the_program_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-I", "-m", "measuring"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "vbench RUN_DIR" in done.stderr


def test_measuring_loads_neither_torch_nor_django() -> None:
    code = (
        "import sys, measuring.running, measuring.gathering;"
        "print({n.partition('.')[0] for n in sys.modules} & {'torch', 'django', 'transformers'})"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
