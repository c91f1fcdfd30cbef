"""The docs say what the code says: each word of a state, label or kind is in the glossary."""

import re
from pathlib import Path

import pytest

from annotation import models as annotation_models
from formats.dimensions import BUILT_IN
from formats.labels import Label
from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.models import RunState

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def words() -> list[str]:
    states = [
        choice
        for name in ("CampaignState", "TripletState", "SlotState", "VoteState")
        for choice in getattr(annotation_models, name).values
    ]
    return [*states, *RunState.values, *kinds.names(), *Label, *BUILT_IN]


@pytest.mark.parametrize("word", sorted(set(words())))
def test_the_glossary_has_the_word(word: str) -> None:
    assert re.search(rf"\b{re.escape(word)}\b", GLOSSARY), f"{word!r} is not in docs/glossary.md"


@pytest.mark.parametrize("kind", kinds.names())
def test_the_architecture_page_has_the_kind(kind: str) -> None:
    assert f"| `{kind}` |" in ARCHITECTURE


@pytest.mark.parametrize("kind", list(OutputKind))
def test_the_glossary_has_the_artifact(kind: OutputKind) -> None:
    assert kind.replace("_", " ") in GLOSSARY


def test_every_setting_of_the_environment_is_in_the_example() -> None:
    settings = (ROOT / "config" / "settings.py").read_text()
    example = (ROOT / ".env.example").read_text()
    # Constants of time exist for fault tests and are documented where they stand.
    names = set(re.findall(r'(?:env\.\w+|given|secret)\(\s*"(\w+)"', settings))
    names = {name for name in names if not name.startswith("TIEBREAK_RUN_")}
    names -= {
        "TIEBREAK_LEASE_SECONDS",
        "TIEBREAK_MEDIA_URL_SECONDS",
        "TIEBREAK_DEBUG",
        "TIEBREAK_DEMO",
    }
    assert {name for name in names if f"\n{name}=" not in example} == set()


def test_every_folder_of_the_map_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    table = readme.split("## The map")[1].split("\n\nProduction")[0]
    for name in re.findall(r"`([a-z_]+)`", table):
        assert (ROOT / name).is_dir(), f"README names the folder {name}, which is not there"


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
