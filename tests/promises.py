"""How much of a promise a test tries, and what it measured.

`make test` tries little of each (smoke), `make test-faults` more, and `make test-faults-full` as
much as the promise says. TIEBREAK_FAULTS tells which: nothing, `reduced` or `full`.

    @pytest.mark.promise("J4")
    def test_a_killed_run_goes_on(figures):
        kills = counts(2, 10, 50)
        ...
        figures("J4", kills=kills, slowest_s=slowest)

`@pytest.mark.mutant("J4")` marks the test in which a spoiled Tiebreak breaks the promise.
"""

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

LEVELS = ("", "reduced", "full")
LEVEL = os.environ.get("TIEBREAK_FAULTS", "")
if LEVEL not in LEVELS:
    raise SystemExit(f"TIEBREAK_FAULTS is {LEVEL!r}; expected nothing, `reduced` or `full`")
FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


Count = TypeVar("Count")


def counts(smoke: Count, reduced: Count, full: Count) -> Count:
    """The one of the three that this test run is for."""
    return (smoke, reduced, full)[LEVELS.index(LEVEL)]


Figures = Callable[..., None]


CASES = "cases"  # in the place of a test's name: what was tried of a promise without a figure


def keep_cases(engine: str, passed: Mapping[str, int]) -> None:
    """How many tests and cases of each promise have passed in a whole run of them."""
    for promise, count in sorted(passed.items()):
        keeper(engine, CASES)(promise, cases_passed=count)


def keeper(engine: str, test: str) -> Figures:
    """`figures("J4", kills=50)`: kept by promise, test and level, where the level is a higher one.

    Workers of one test run write the same file, so it is locked.
    """
    path = FOLDER / f"reliability-{engine}.json"

    def keep(promise: str, **values: Any) -> None:
        if not LEVEL:
            return
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = json.loads(file.read() or "{}")
            of_test = known.setdefault(promise, {}).setdefault(test, {})
            of_test[LEVEL] = values | {"on": f"{datetime.now(UTC):%Y-%m-%d}"}
            file.truncate(0)
            file.write(json.dumps(known, indent=1, sort_keys=True) + "\n")

    return keep
