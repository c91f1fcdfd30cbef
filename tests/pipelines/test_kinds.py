"""The registry of run kinds: what it names is there, and under the name that its module says."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from inspect import signature
from pkgutil import resolve_name
from typing import Any

import pytest

from pipelines import kinds

GETS = {"check": 1, "perform": 1, "fits": 2, "ingest": 2, "finish": 3, "parts": 3}
OWN_NAMES = {
    "pipelines.exports.runs": "KIND",
    "pipelines.loops.demo_runs": "KIND",
    "pipelines.retests.campaigns": "KIND",
    "pipelines.retests.human_tests": "KIND",
    "pipelines.suites.existing_clips": "KIND",
    "pipelines.suites.imported_scores": "KIND",
    "pipelines.vbench.importing": "IMPORT",
}


def named(function: object) -> str:
    """The module and name that a late function stands for, or nothing."""
    words = ""
    while isinstance(function, partial):
        words, function = str(function.args[0]), function.args[-1]
    return words if ":" in words else ""


def deeds() -> Iterator[Any]:
    for name in kinds.names():
        spec = kinds.get(name)
        for deed, given in GETS.items():
            function = getattr(spec, deed)
            if function is not None:
                yield pytest.param(function, given, id=f"{name}-{deed}")


@pytest.mark.parametrize(("function", "given"), list(deeds()))
def test_what_a_kind_does_is_there_and_takes_what_it_is_given(
    function: Callable[..., Any], given: int
) -> None:
    if name := named(function):
        function = resolve_name(name)
    signature(function).bind(*[None] * given)


def test_what_is_imported_late_is_most_of_it() -> None:
    late = [each for each in deeds() if named(each.values[0])]
    assert len(late) > 30


@pytest.mark.parametrize(("module", "constant"), list(OWN_NAMES.items()))
def test_a_kind_has_the_name_that_its_module_uses(module: str, constant: str) -> None:
    spec = kinds.get(getattr(import_module(module), constant))
    assert named(spec.perform) == f"{module}:perform"


def test_results_that_are_joined_have_the_role_that_their_import_asks_for() -> None:
    from pipelines.vbench import importing

    assert kinds.get(importing.IMPORT).role(f"{importing.EARLIER}:first") is not None
    assert kinds.get(importing.RUN).output is not None
