"""Counts and figures of the tests that hold promises."""

import json
from pathlib import Path

import pytest

from tests import promises


@pytest.mark.parametrize(("level", "found"), [("", 1), ("reduced", 2), ("full", 3)])
def test_the_level_picks_the_count(monkeypatch: pytest.MonkeyPatch, level: str, found: int) -> None:
    monkeypatch.setattr(promises, "LEVEL", level)
    assert promises.counts(1, 2, 3) == found


def test_figures_are_kept_by_promise_test_and_level(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(promises, "FOLDER", tmp_path)
    for level, kills in (("", 2), ("reduced", 10), ("full", 50), ("full", 51)):
        monkeypatch.setattr(promises, "LEVEL", level)
        promises.keeper("sqlite", "tests/a.py::one")("J4", kills=kills)
    kept = json.loads((tmp_path / "reliability-sqlite.json").read_text())
    found = {level: figures["kills"] for level, figures in kept["J4"]["tests/a.py::one"].items()}
    assert found == {"reduced": 10, "full": 51}
