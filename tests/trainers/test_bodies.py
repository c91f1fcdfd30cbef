"""What a trainer does is imported without a look for garbage (trainers/bodies.py)."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainers.bodies import imported

MODULE = """
import gc
LOOKED = gc.isenabled()
KEPT = [[number] for number in range(1000)]
def work(): return LOOKED
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "a_body.py").write_text(MODULE)
    (tmp_path / "a_broken_body.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(str(tmp_path))
    gc.enable()
    yield
    sys.modules.pop("a_body", None)


def test_nothing_is_looked_for_while_libraries_come() -> None:
    frozen = gc.get_freeze_count()
    assert imported("a_body:work")() is False
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + 1000  # nor among them afterwards


def test_a_broken_installation_leaves_the_collector_on() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        imported("a_broken_body:work")
    assert gc.isenabled()


def test_who_has_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        imported("a_body:work")
        assert not gc.isenabled()
    finally:
        gc.enable()
