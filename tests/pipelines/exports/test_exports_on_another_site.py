"""An export with its clips inside is all that another site needs: a folder as it is, or packed."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation.imports.reading_in import ImportReport, Target, import_rows
from annotation.imports.sources import opened
from annotation.models import Campaign, Consensus, Generator, Prompt, Triplet, Video
from pipelines.exports.exporting import FORMATS, export
from pipelines.exports.source import Media
from pipelines.models import Artifact
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play, remembered

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
BY_LABEL = ("A", "B", "invalid", "tie")


@pytest.fixture
def snapshot() -> Artifact:
    campaign = make_campaign(pairs=4)
    found: Artifact = play(
        start_run("snapshot", {"campaign": campaign.pk}, user=None)
    ).artifacts.get()
    return found


def said() -> set[tuple[Any, ...]]:
    """What every pair is, whoever stores it."""
    columns = ("triplet__prompt__text", "triplet__video_a__sha256", "triplet__video_b__sha256",
               "dimension__key", "label")  # fmt: skip
    return set(Consensus.objects.values_list(*columns))


def move_to_another_site() -> None:
    """Nothing of the first one is here any more, rows or files."""
    for table in (Triplet, Campaign, Video, Prompt, Generator):
        table.objects.all().delete()
    for folder in ("videos", "shown", "posters", "incoming"):
        shutil.rmtree(Path(settings.MEDIA_ROOT) / folder, ignore_errors=True)


@remembered()
def bring(given: Path) -> ImportReport:
    with opened(given) as source:
        return import_rows(source, Target("here"))


@pytest.mark.parametrize("name", [each for each in FORMATS if each != "votes"])
def test_a_folder_with_its_clips_is_all_that_is_needed(
    name: str, snapshot: Artifact, tmp_path: Path
) -> None:
    before = said()
    export(snapshot, name, tmp_path / "out", how=Media("files"))
    move_to_another_site()
    report = bring(tmp_path / "out")
    assert (report.triplets, report.duplicates) == (4, ())
    assert said() == before
    assert {label for *_, label in before} >= set(BY_LABEL)
    files = {Path(settings.MEDIA_ROOT) / each.file for each in Video.objects.all()}
    assert len(files) == 8
    assert all(file.is_file() for file in files)


def test_packed_it_says_the_same(snapshot: Artifact, tmp_path: Path) -> None:
    before = said()
    export(snapshot, "hf", tmp_path / "out", how=Media("files"))
    move_to_another_site()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted((tmp_path / "out").rglob("*")):
            if file.is_file():
                archive.write(file, f"export-7/{file.relative_to(tmp_path / 'out')}")
    assert bring(tmp_path / "set.zip").triplets == 4
    assert said() == before
