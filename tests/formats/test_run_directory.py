"""What a trainer and its supervisor say to each other through files."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.run_dir import Input, MetricLine, RunDir
from formats.supervised import BadConfigError, NonFiniteError, Supervised, supervise


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    (tmp_path / "data.jsonl").write_text("x")
    run.prepare({"steps": 3}, {"snapshot": Input(str(tmp_path / "data.jsonl"))}, media_root="/m")
    return run


def test_config_and_inputs_come_back(run_dir: RunDir) -> None:
    assert run_dir.config() == {"steps": 3}
    assert run_dir.input("snapshot").read_text() == "x"
    assert run_dir.media_root() == Path("/m")
    assert run_dir.has_input("snapshot")
    assert not run_dir.has_input("pairs")


def test_a_role_that_nobody_plays_is_named(run_dir: RunDir) -> None:
    with pytest.raises(FormatError, match=r"no input 'pairs'; there are: snapshot"):
        run_dir.input("pairs")


def test_an_input_that_changed_is_refused(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    (tmp_path / "data").write_text("x")
    run.prepare({}, {"snapshot": Input(str(tmp_path / "data"), "0" * 64)})
    with pytest.raises(FormatError, match="'snapshot' has changed"):
        run.input("snapshot")


def test_metrics_are_read_from_where_the_last_look_ended(run_dir: RunDir) -> None:
    run_dir.log_metrics(1, 10, {"loss": 0.5, "broken": float("nan")}, stage="training")
    first, offset = run_dir.metrics_from(0)
    run_dir.log_metrics(2, 10)
    with run_dir.metrics_file.open("a") as file:
        file.write('{"step": 3, "tot')  # the trainer is in the middle of a line
    second, _ = run_dir.metrics_from(offset)
    assert [(line.step, line.values, line.stage) for line in first] == [
        (1, {"loss": 0.5}, "training")
    ]
    assert [line.step for line in second] == [2]
    assert isinstance(second[0], MetricLine)


def test_the_outcome_comes_back(run_dir: RunDir) -> None:
    outcome = Outcome(
        0,
        outputs=(Output(OutputKind.PAIRS, "outputs/pairs.jsonl", "ab", {"n": 1}),),
        summary={"a": 1},
    )
    assert run_dir.outcome() is None
    run_dir.finish(outcome)
    assert run_dir.outcome() == outcome


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (BadConfigError("theta must be above 1"), ExitCode.BAD_CONFIG, "bad_config"),
        (FormatError("no such column", path="x.csv", line=3), ExitCode.BAD_DATA, "bad_data"),
        (NonFiniteError("loss is nan at step 3"), ExitCode.NON_FINITE, "non_finite"),
        (OSError(errno.ENOSPC, "No space left"), ExitCode.DISK_FULL, "disk_full"),
        (RuntimeError("boom"), 1, "crash"),
    ],
)
def test_each_failure_has_its_name(
    run_dir: RunDir, error: Exception, code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervised, "arm", lambda self: None)

    def body(run: Supervised) -> Outcome:
        raise error

    assert supervise(body, run_dir) == code
    outcome = run_dir.outcome()
    assert outcome is not None
    assert outcome.reason == reason
    assert str(error).split(":")[-1].strip() in outcome.message


TRAINER = """
import sys, time
from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import end_process, supervise
def body(run):
    for step in range(1000):
        run.check(lambda: (run.dir.root / "saved").write_text(str(step)))
        run.dir.log_metrics(step + 1, 1000)
        time.sleep(0.02)
    return Outcome(0)
end_process(supervise(body, RunDir(sys.argv[1])))
"""


def started(run: RunDir) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", TRAINER, str(run.root)])
    while not run.metrics_file.exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_it_saves_and_leaves_when_asked_to_stop(run_dir: RunDir) -> None:
    process = started(run_dir)
    run_dir.write_want("cancel")
    assert process.wait(5) == ExitCode.RUN_ME_AGAIN
    assert (run_dir.root / "saved").exists()


def test_it_saves_and_leaves_on_sigterm(run_dir: RunDir) -> None:
    process = started(run_dir)
    process.terminate()
    assert process.wait(5) == ExitCode.RUN_ME_AGAIN
    assert (run_dir.root / "saved").exists()


def test_it_leaves_when_the_lease_runs_out(run_dir: RunDir) -> None:
    run_dir.write_lease(4, time.monotonic() + 0.5)
    process = started(run_dir)
    assert process.wait(5) == ExitCode.RUN_ME_AGAIN


def test_it_writes_nothing_once_another_worker_owns_the_run(run_dir: RunDir) -> None:
    run_dir.write_lease(4, time.monotonic() + 60)
    process = started(run_dir)
    run_dir.write_lease(5, time.monotonic() + 60)
    assert process.wait(5) == ExitCode.RUN_ME_AGAIN
    assert not (run_dir.root / "saved").exists()


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.faults
def test_it_dies_with_its_supervisor(run_dir: RunDir) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, TRAINER, str(run_dir.root)], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    while not run_dir.metrics_file.exists():
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and not is_zombie(child):
        assert time.monotonic() < deadline, "the trainer outlived its supervisor"
        time.sleep(0.02)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
    finally:
        if os.getpid() == pid:
            raise AssertionError("the test looked at itself")
