"""The page of promises is made of marks and figures; the soak says what it did not hold."""

from typing import Any

import pytest

from bench.reliability_tables import Marks, page
from bench.soak import failures

FIGURES = {
    "sqlite": {
        "J4": {
            "tests/a.py::one": {
                "reduced": {"kills": 20, "on": "2026-11-21"},
                "full": {"kills": 50, "on": "2026-11-20"},
            },
            "tests/a.py::two": {"reduced": {"kills": 7, "on": "2026-11-21"}},
        }
    }
}
GOOD: dict[str, Any] = {
    "votes": {"lost": 0, "over_assigned": 0, "duplicated": 0},
    "runs_lost": 0,
    "ended_twice": 0,
    "without_artifact": 0,
    "artifacts_lost": 0,
    "orphans": 0,
    "runs_left": {},
    "broken_promises": [],
    "slowest_recovery_s": 12.0,
}


def marks(**tests: str) -> Marks:
    found = Marks()
    for name, test in tests.items():
        found.tests["promise"][name].add(test)
    return found


def row(text: str, name: str) -> str:
    (line,) = [each for each in text.splitlines() if each.startswith(f"| {name} |")]
    return line


def test_a_row_has_the_tests_and_the_figures_of_the_fullest_counts() -> None:
    text = page(marks(J4="tests/a.py::one"), FIGURES)
    assert "[a](../tests/a.py)" in row(text, "J4")
    assert "SQLite: kills 50 (full, 2026-11-20); kills 7 (reduced, 2026-11-21)" in row(text, "J4")
    assert "kills 20" not in text


def test_a_promise_without_a_test_says_so() -> None:
    assert "| none yet | – | – |" in row(page(marks(), {}), "J5")


def test_a_mark_that_names_no_promise_is_refused() -> None:
    with pytest.raises(SystemExit, match="J99"):
        page(marks(J99="tests/a.py::one"), {})


def test_a_soak_without_losses_holds() -> None:
    assert failures(GOOD) == []


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"runs_lost": 1}, "runs_lost: 1"),
        ({"orphans": 2}, "orphans: 2"),
        ({"artifacts_lost": 3}, "artifacts_lost: 3"),
        ({"votes": {**GOOD["votes"], "lost": 4}}, "lost: 4"),
        ({"runs_left": {7: "failed"}}, "runs_left: {7: 'failed'}"),
        ({"slowest_recovery_s": 76.0}, "a run came back after 76.0 s"),
    ],
)
def test_a_soak_says_what_it_lost(spoilt: dict[str, Any], said: str) -> None:
    assert failures(GOOD | spoilt) == [said]
