"""SQLite's writers wait in line; the line is a courtesy that nobody gets stuck in."""

import os
import threading
import time
from pathlib import Path

import pytest

from annotation import transactions


@pytest.fixture
def line(tmp_path: Path) -> Path:
    path = tmp_path / "line"
    path.touch()
    return path


def test_the_next_writer_goes_as_soon_as_the_turn_ends(line: Path) -> None:
    first, second = os.open(line, os.O_RDONLY), os.open(line, os.O_RDONLY)
    went: list[float] = []

    def wait() -> None:
        transactions._wait_in(second)
        went.append(time.monotonic())

    transactions._wait_in(first)
    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.1)
    ended = time.monotonic()
    early = list(went)
    os.close(first)
    waiter.join(10)
    os.close(second)

    assert early == []
    assert len(went) == 1
    assert went[0] >= ended


def test_who_waits_too_long_goes_on_to_the_wait_of_sqlite(
    line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_LOOK_AT_MOST", 0.05)
    first, second = os.open(line, os.O_RDONLY), os.open(line, os.O_RDONLY)
    transactions._wait_in(first)
    started = time.monotonic()

    transactions._wait_in(second)

    assert time.monotonic() - started >= 0.05
    os.close(first)
    os.close(second)
