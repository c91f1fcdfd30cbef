"""Several processes of one run: they stop together, and their first error is the outcome."""

from pathlib import Path

import pytest

from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, supervise


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.prepare({}, {})
    return run


def rank(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", str(number))
    monkeypatch.setenv("WORLD_SIZE", "2")


def refuse(_run: Supervised) -> Outcome:
    raise BadConfigError("the second process refuses")


def lose_touch(_run: Supervised) -> Outcome:
    raise RuntimeError("connection closed by peer")


def test_the_first_error_is_the_outcome_whoever_writes_it(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank(monkeypatch, 1)
    assert supervise(refuse, run_dir) == ExitCode.BAD_CONFIG
    rank(monkeypatch, 0)
    assert supervise(lose_touch, run_dir) == 1
    outcome = run_dir.outcome()
    assert outcome is not None
    assert (outcome.reason, outcome.message) == ("bad_config", "the second process refuses")
    assert [path.name for path in run_dir.root.glob(".outcome*")] == []


def test_a_good_end_is_told_by_the_first_process_alone(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank(monkeypatch, 1)
    assert supervise(lambda _run: Outcome(0, "done", "by the second"), run_dir) == 0
    assert run_dir.outcome() is None
    rank(monkeypatch, 0)
    assert supervise(lambda _run: Outcome(0, "done", "by the first"), run_dir) == 0
    outcome = run_dir.outcome()
    assert outcome is not None
    assert outcome.message == "by the first"


def test_a_single_process_replaces_what_an_earlier_attempt_said(run_dir: RunDir) -> None:
    run_dir.finish(Outcome(1, "crash", "earlier"))

    def broken(_run: Supervised) -> Outcome:
        raise FormatError("now")

    assert supervise(broken, run_dir) == ExitCode.BAD_DATA
    outcome = run_dir.outcome()
    assert outcome is not None
    assert outcome.message == "now"


@pytest.mark.parametrize(
    ("others", "saves"),
    [
        pytest.param(0, None, id="nobody stops"),
        pytest.param(1, True, id="another one was asked to stop"),
        pytest.param(2, False, id="another one sees that the run is somebody else's"),
    ],
)
def test_a_process_does_what_the_most_worried_one_says(
    run_dir: RunDir, others: int, saves: bool | None
) -> None:
    saved: list[int] = []

    def body(run: Supervised) -> Outcome:
        run.agree = lambda mine: max(mine, others)
        run.check(lambda: saved.append(1))
        return Outcome(0, "done")

    code = supervise(body, run_dir)
    assert code == (ExitCode.DONE if saves is None else ExitCode.RUN_ME_AGAIN)
    assert saved == ([1] if saves else [])
