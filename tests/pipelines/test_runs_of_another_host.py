"""A run whose inputs another host has made: out of the store, checked, before it starts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.records import GenerationRecord, PromptRecord
from pipelines import launching
from pipelines.errors import ArtifactMissing, StoreError
from pipelines.materialising import fetch_inputs, make_local
from pipelines.models import Artifact, BaseModel, Run, StoredFile
from pipelines.registry import path_of
from pipelines.starting import start_run
from pipelines.store.blobs import blob_store, key_of
from tests.pipelines.loop_world import base_models, make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def snapshot() -> Artifact:
    campaign = make_campaign(pairs=4)
    run = play(start_run("snapshot", {"campaign": campaign.pk}, user=None))
    found: Artifact = run.artifacts.get()
    return found


@pytest.fixture
def generations(snapshot: Artifact) -> Artifact:
    """Clips that a run has left, beside their list and in the storage of media."""
    base_models()
    prompts = [PromptRecord(id=str(n), text=f"prompt {n}") for n in range(2)]
    run = start_run(
        "generation",
        {"generator": "tiny", "clips_per_prompt": 2},
        {"generator": BaseModel.objects.get(name="tiny-wan")},
        user=None,
        files={"prompts": prompts},
    )
    found: Artifact = play(run).artifacts.get()
    return found


@pytest.fixture
def other_host(settings: Any, tmp_path: Path) -> Callable[[], None]:
    """From now on the folder of runs is that of a host that has none."""

    def move() -> None:
        settings.RUNS_ROOT = tmp_path / "runs of another host"

    return move


def test_an_artifact_is_fetched_from_the_store(
    snapshot: Artifact, other_host: Callable[[], None]
) -> None:
    run = start_run("judged_clips", {}, {"snapshot": snapshot}, user=None)
    other_host()
    assert not path_of(snapshot).exists()
    launching.prepare(run)
    make_local(run)
    assert verify_folder(path_of(snapshot))["counts"]["pairs"] == 4
    assert launching.run_dir(run).input("snapshot") == path_of(snapshot)


def test_the_clips_of_a_generation_set_come_with_its_list(
    generations: Artifact, other_host: Callable[[], None]
) -> None:
    run = Run.objects.create(kind="truth", config={}, config_sha="0" * 64)
    run.inputs.create(role="generations", artifact=generations)
    other_host()
    fetch_inputs(run)
    for record in GenerationRecord.read(path_of(generations)):
        clip = path_of(generations).parent / record.video.path
        assert clip.is_file()
    fetch_inputs(run)  # all is there: nothing is done


def test_a_list_that_was_given_to_the_run_comes_too(
    snapshot: Artifact, other_host: Callable[[], None]
) -> None:
    base_models()
    prompts = [PromptRecord(id="1", text="a red circle")]
    run = start_run(
        "generation",
        {"generator": "tiny", "clips_per_prompt": 1},
        {"generator": BaseModel.objects.get(name="tiny-wan")},
        user=None,
        files={"prompts": prompts},
    )
    other_host()
    folder = launching.prepare(run)
    fetch_inputs(run)
    assert PromptRecord.read(folder.input("prompts")) == prompts
    assert StoredFile.objects.filter(given__run=run).count() == 1


def test_the_lists_of_chunks_are_in_the_store_too(db: None) -> None:
    base_models()
    prompts = [PromptRecord(id=str(n), text=f"prompt {n}") for n in range(9)]
    start_run(
        "generation",
        {"generator": "tiny", "clips_per_prompt": 1, "chunks": 3},
        {"generator": BaseModel.objects.get(name="tiny-wan")},
        user=None,
        files={"prompts": prompts},
    )
    given = StoredFile.objects.filter(given__isnull=False).select_related("blob")
    assert given.count() >= 3
    for row in given:
        assert blob_store().size(key_of(row.blob_id, row.blob.generation)) == row.blob.bytes


def test_what_the_store_has_lost_fails_the_run_by_name(
    snapshot: Artifact, other_host: Callable[[], None]
) -> None:
    run = start_run("judged_clips", {}, {"snapshot": snapshot}, user=None)
    blob_store().delete(key_of(snapshot.files.get(name="preferences.jsonl").blob_id))
    other_host()
    with pytest.raises(ArtifactMissing, match=r"preferences\.jsonl cannot be fetched"):
        fetch_inputs(run)
    assert not path_of(snapshot).exists()


def test_an_artifact_that_was_never_stored_is_named(
    snapshot: Artifact, other_host: Callable[[], None]
) -> None:
    snapshot.files.all().delete()
    run = start_run("judged_clips", {}, {"snapshot": snapshot}, user=None)
    other_host()
    with pytest.raises(ArtifactMissing, match="it was never put into the store"):
        fetch_inputs(run)


def test_a_list_that_leads_out_of_its_folder_fetches_nothing(
    generations: Artifact, other_host: Callable[[], None], tmp_path: Path
) -> None:
    file = path_of(generations)
    text = file.read_text().replace('"path": "clips/', '"path": "../../../../clips/')
    assert text != file.read_text()
    file.write_text(text)
    run = Run.objects.create(kind="truth", config={}, config_sha="0" * 64)
    run.inputs.create(role="generations", artifact=generations)
    with pytest.raises(FormatError, match="leads out of the folder"):
        fetch_inputs(run)
    shutil.rmtree(tmp_path / "clips", ignore_errors=True)


@pytest.mark.django_db
def test_a_store_that_does_not_answer_costs_a_try(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_count(steps=2)

    def refuses(_: Run) -> None:
        raise StoreError("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.materialising.fetch_inputs", refuses)
        run = attempt()
    assert (run.state, run.reason) == ("queued", "store")
    Run.objects.update(not_before=None)
    assert attempt().state == "succeeded"
