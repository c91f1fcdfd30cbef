"""docs/promises.md names a test for each promise, and each of them exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()


def test_every_promise_has_its_row() -> None:
    assert re.findall(r"^\| (V\d+) \|", PAGE, re.MULTILINE) == [f"V{n}" for n in range(1, 14)]


def test_every_named_test_exists() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 18
    assert {name for name in named if f"def {name}(" not in sources} == set()
