"""`annotation` and `pipelines` have rooms; a room knows the core and few other rooms.

Those of `models_rm` lie in layers (pyproject.toml). Tests lie in the rooms of what they test.
Read from the source: direct imports. Doors (views, commands, tags) may enter every room.
"""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = "core"
DOORS = {"views", "management", "templatetags"}
BELOW = {CORE, "models", "store"}
MAY_ENTER = {
    "pipelines": {
        "adapters": {"comparisons", "pairs"},
        "backups": set(),
        "comparisons": {"reports"},
        "disagreement": {"pairs"},
        "exports": set(),
        "ingests": set(),
        "loops": {"suites"},
        "pairs": {"rewards"},
        "reports": {"comparisons", "loops", "retests"},
        "retests": {"comparisons"},
        "rewards": {"adapters"},
        "store": set(),
        "suites": {"ingests"},
        "vbench": set(),
    },
    "annotation": {
        "access": {"accounts"},
        "accounts": {"access", "imports", "quality"},
        "dashboards": {"quality", "statistics"},
        "guidance": {"quality"},
        "imports": {"media"},
        "media": {"imports"},
        "models": {"accounts"},  # for a default in a field
        "quality": {"dashboards", "media", "statistics"},
        "statistics": set(),
    },
}
# Of the core only these know rooms of the pipelines: the registry of kinds, which says what each
# run does, and the stages that are made of a room's parts.
KNOW_ROOMS = {
    "admin", "alerts", "diversity", "forms", "kinds", "pairing", "prompt_choice", "reporting",
    "starting", "worker",
}  # fmt: skip
WITH_ROOMS = (*MAY_ENTER, "models_rm", "models_align")
NOT_OF_A_ROOM = {"promises", "trainers"}  # tests that kill processes, and what they start


def rooms_of(app: str) -> set[str]:
    return {file.parent.name for file in (ROOT / app).glob("*/__init__.py")} - {"migrations"}


def entered(app: str, tree: ast.AST, rooms: set[str]) -> set[str]:
    """The rooms of the app that this module imports from."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        top, _, rest = node.module.partition(".")
        if top == app:
            names = [rest.partition(".")[0]] if rest else [each.name for each in node.names]
            found |= {name if name in rooms else CORE for name in names}
    return found


def imports(app: str) -> dict[str, dict[str, set[str]]]:
    """By room, then by module: the rooms that it imports from."""
    rooms, found = rooms_of(app), defaultdict[str, dict[str, set[str]]](dict)
    for file in (ROOT / app).rglob("*.py"):
        inside = file.relative_to(ROOT / app)
        if inside.parts[0] == "migrations":
            continue
        room = inside.parts[0] if inside.parts[0] in rooms else CORE
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found[room][".".join(inside.with_suffix("").parts)] = entered(app, tree, rooms)
    return found


@pytest.mark.parametrize("app", MAY_ENTER)
def test_every_room_is_known(app: str) -> None:
    assert rooms_of(app) == set(MAY_ENTER[app]) | DOORS


@pytest.mark.parametrize("app", MAY_ENTER)
def test_a_room_enters_only_the_rooms_that_it_may(app: str) -> None:
    found = {
        room: set().union(*modules.values()) - BELOW - DOORS - {room}
        for room, modules in imports(app).items()
        if room not in DOORS | {CORE}
    }
    assert found == MAY_ENTER[app]


def test_of_the_core_of_the_pipelines_only_a_few_modules_know_rooms() -> None:
    others = set(MAY_ENTER["pipelines"]) - BELOW
    core = imports("pipelines")[CORE]
    assert {name for name, rooms in core.items() if rooms & others} == KNOW_ROOMS


@pytest.mark.parametrize("package", WITH_ROOMS)
def test_tests_lie_in_rooms_of_their_package(package: str) -> None:
    tests = ROOT / "tests" / package
    folders = {file.parent.relative_to(tests).parts[0] for file in tests.glob("*/**/test_*.py")}
    assert folders - NOT_OF_A_ROOM <= rooms_of(package)


@pytest.mark.parametrize("package", WITH_ROOMS)
def test_no_test_at_the_top_is_about_one_room_alone(package: str) -> None:
    # Tables are for all tests, and commands and tags are about what they open.
    rooms = rooms_of(package) - {"models", "management", "templatetags"}
    alone = {}
    for file in (ROOT / "tests" / package).glob("test_*.py"):
        found = entered(package, ast.parse(file.read_text(encoding="utf-8")), rooms)
        if len(found) == 1 and CORE not in found:
            alone[file.name] = found
    assert alone == {}


def test_the_search_finds_both_ways_to_import() -> None:
    code = "from app import one, two\nfrom app.three.deep import x\nimport os\nfrom app import four"
    assert entered("app", ast.parse(code), {"one", "three"}) == {"one", "three", CORE}
