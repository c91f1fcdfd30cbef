"""The database goes away while a run works; how exits are named."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from formats.outcome import Outcome
from pipelines import launching, lifecycle
from pipelines.endings import describe
from pipelines.models import RunState
from tests.pipelines.conftest import steps_of

pytestmark = pytest.mark.django_db(transaction=True)


def break_down(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> list[float]:
    """Let a call to the database fail so many times; gives when it did."""
    works: Callable[..., Any] = getattr(lifecycle, name)
    failed: list[float] = []

    def call(*arguments: Any, **named: Any) -> Any:
        if steps_of(arguments[0]) and len(failed) < times:
            failed.append(time.monotonic())
            raise OperationalError("server closed the connection unexpectedly")
        return works(*arguments, **named)

    monkeypatch.setattr(lifecycle, name, call)
    return failed


@pytest.mark.parametrize("name", ["see", "renew", "note_progress", "move"])
def test_a_short_outage_of_the_database_does_not_disturb_the_run(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    queue_count(steps=60, pause=0.01)
    failed = break_down(monkeypatch, name, 3)
    run = attempt()
    assert len(failed) == 3
    assert (run.state, run.fence, run.attempt) == (RunState.SUCCEEDED, 1, 1)
    assert len([line for line in steps_of(run) if line["what"] == "start"]) == 1


@pytest.mark.faults
def test_in_a_long_outage_the_child_stops_before_anybody_else_may_have_the_run(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch, short_times: Any
) -> None:
    short_times.TIEBREAK_RUN_LEASE_SECONDS = 1.6
    short_times.TIEBREAK_RUN_LEASE_MARGIN_SECONDS = 0.6
    queue_count(steps=10_000, pause=0.01)
    failed = break_down(monkeypatch, "renew", 10**9)
    break_down(monkeypatch, "see", 10**9)
    run = attempt()
    assert (run.state, run.fence) == (RunState.RUNNING, 1)
    # The last renewal was before the first failure; 1.6 s - 0.6 s later the child has stopped.
    last_step = max(line["time"] for line in steps_of(run))
    assert last_step < failed[0] + 1.0 + 0.3
    assert launching.leftovers(run) == []
    monkeypatch.undo()
    assert lifecycle.reap() == [run.pk]


@pytest.mark.parametrize(
    ("code", "outcome", "reason", "text"),
    [
        (64, Outcome(64, "bad_config", "theta is 1"), "bad_config", "theta is 1"),
        (70, Outcome(70, "non_finite", "loss is NaN"), "non_finite", "loss is NaN"),
        (73, Outcome(73, "disk_full", "no space"), "disk_full", "no space\nlast line"),
        (73, None, "disk_full", "The process ended with code 73.\nlast line"),
        (1, Outcome(1, "crash", "boom"), "crash", "boom\nlast line"),
        (3, None, "crash", "The process ended with code 3.\nlast line"),
        (75, None, "stopped", "The process ended with code 75.\nlast line"),
        # The outcome of another attempt says nothing about this one.
        (1, Outcome(0, "", ""), "crash", "The process ended with code 1.\nlast line"),
    ],
)
def test_an_exit_has_a_word_and_a_text(
    code: int, outcome: Outcome | None, reason: str, text: str
) -> None:
    assert describe(code, outcome, "last line") == (reason, text)


def test_a_kill_from_outside_names_the_likely_reason() -> None:
    reason, text = describe(-9, None, "")
    assert (reason, text) == (
        "killed",
        "The process was ended by SIGKILL (often: the machine ran out of memory).",
    )
