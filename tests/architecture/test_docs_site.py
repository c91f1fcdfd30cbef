"""The docs site: pages have a place, formulas can be drawn, functions that are named exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from latex2mathml.converter import convert

from tools import docs_site

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCIENCE = sorted((DOCS / "science").glob("*.md"))
_CODE = re.compile(r"`((?:models_rm|models_align|annotation|pipelines)(?:\.\w+)+)`")
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+?)\$(?!\$)", re.DOTALL)


def _pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    assert not isinstance(parts, int)
    return [page for part in parts for page in _pages(part)]  # type: ignore[attr-defined]


def test_each_page_is_in_the_navigation_and_each_entry_is_a_page() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = _pages(config["nav"])
    assert len(named) == len(set(named))
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    made = {"rest.md", "changelog.md", "contributing.md"}  # by tools/docs_hooks.py
    decisions = {page for page in there if page.startswith("decisions/")}
    assert set(named) - made == there - decisions


@cache
def _names(module: Path) -> set[str]:
    tree = ast.parse(module.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("page", SCIENCE, ids=lambda page: page.stem)
def test_each_function_that_the_science_names_is_there(page: Path) -> None:
    for dotted in _CODE.findall(page.read_text()):
        module, _, name = dotted.rpartition(".")
        path = ROOT / f"{module.replace('.', '/')}.py"
        assert path.exists(), f"{page.name} names {dotted}; there is no {path.name}"
        assert name in _names(path), f"{page.name} names {dotted}, which is not in {path.name}"


@pytest.mark.parametrize("page", SCIENCE, ids=lambda page: page.stem)
def test_each_page_of_the_science_has_formulas_that_can_be_drawn(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text())
    formulas = [one or two for one, two in _FORMULA.findall(text)]
    assert formulas or page.stem == "index"
    for formula in formulas:
        drawn = convert(formula)
        assert drawn.startswith("<math"), formula
        # What it does not know it leaves as it stands.
        assert "\\" not in re.sub(r"<annotation.*?</annotation>", "", drawn), formula


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    assert docs_site.build(tmp_path) == 0
    science = (tmp_path / "science" / "alignment.html").read_text()
    assert "<math" in science
    assert "arithmatex" not in science
    assert "/api/votes" in (tmp_path / "rest.html").read_text()
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|link rel=\"stylesheet\")[^>]*https?://", page.read_text()
        )
        assert fetched == [], f"{page.name} fetches from elsewhere"
