"""From any file to the votes: by hash, by path, by page and by REST (RELIABILITY A10)."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from formats.checkpoints import commit_checkpoint
from pipelines import launching, provenance, registry
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, BaseModel, Blob, LoopGroup, Run
from pipelines.registry import path_of
from pipelines.tracing import gaps, trace, trace_artifact
from tests.pipelines.loop_world import loop_config, make_campaign, play_all

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def played(mia: Any) -> LoopGroup:
    """A whole loop from votes to a report."""
    config = loop_config()
    BaseModel.objects.update(revision="c" * 40)
    group = start_loop(make_campaign(user=mia), config, mia)
    play_all(group)
    return group


def words(asked: object) -> str:
    out = io.StringIO()
    call_command("lineage", str(asked), stdout=out)
    return out.getvalue()


@pytest.mark.promise("A10")
def test_every_artifact_of_a_loop_goes_back_to_votes_code_configs_and_base_models(
    played: LoopGroup,
) -> None:
    artifacts = list(Artifact.objects.filter(run__group=played))
    assert len(artifacts) > 10
    kinds = set()
    for artifact in artifacts:
        found = trace_artifact(artifact)
        assert found.gaps == ()
        kinds.add(artifact.kind)
        roots = [s for s in found.steps if not s.inputs and s.run.kind != "snapshot"]
        assert roots == []
        for step in found.steps:
            assert all(each.code == provenance.code_commit() for each in step.outputs)
        bases = {row["base_model"]["name"] for s in found.to_json()["steps"] for row in s["inputs"]
                 if row["base_model"]}  # fmt: skip
        if artifact.kind in ("reward_model", "adapter", "report"):
            assert [each.campaign_name for each in found.votes] == ["Demo world"]
            assert bases
    assert {"snapshot", "reward_model", "scores", "pairs", "adapter", "report"} <= kinds


@pytest.mark.promise("A10")
def test_each_kind_of_file_is_found_by_its_hash(played: LoopGroup) -> None:
    model = Artifact.objects.filter(kind="reward_model").latest("pk")
    file = model.files.get(name="model.json")
    scores = Artifact.objects.filter(kind="scores").latest("pk")
    given = Run.objects.filter(inputs__file__gt="").latest("pk").inputs.get(file__gt="")
    asked = {
        "file of an artifact": file.blob_id,
        "artifact": scores.sha256,
        "file given to a run": given.sha256,
        "config of a run": model.run.config_sha,
        "clip": _clip_of(played),
    }
    for what, sha256 in asked.items():
        for digits in (64, 12):
            found = trace(sha256[:digits])
            assert what in {each.what for each in found.found}
            assert model.run_id in {s.run.pk for s in found.steps} or what != "file of an artifact"


def _clip_of(played: LoopGroup) -> str:
    from annotation.models import Video

    sha256: str = Video.objects.filter(meta__has_key="run").latest("pk").sha256
    return sha256


@pytest.mark.promise("A10")
def test_a_file_is_found_by_its_path_wherever_it_was_copied(
    played: LoopGroup, tmp_path: Path
) -> None:
    adapter = Artifact.objects.filter(kind="adapter").latest("pk")
    copy = tmp_path / "taken-away.json"
    copy.write_bytes((path_of(adapter) / "adapter.json").read_bytes())
    for asked in (copy, path_of(adapter), adapter.sha256):
        text = words(asked)
        assert f"{adapter.run} [alignment, succeeded]" in text
        assert "votes of campaign 'Demo world'" in text
        assert provenance.code_commit() in text


@pytest.mark.promise("A10")
def test_a_checkpoint_says_itself_which_run_wrote_it(played: LoopGroup) -> None:
    run = Run.objects.filter(kind="alignment").latest("pk")
    folder = launching.run_dir(run)
    saved = commit_checkpoint(
        folder.checkpoints, 5, 1, lambda f: f.joinpath("x").write_text("1"), folder.provenance()
    )
    found = trace(str(saved.path))
    assert [(each.what, each.name, each.run) for each in found.found] == [
        ("checkpoint", "step 5, fence 1", run.pk)
    ]
    assert found.votes[0].campaign_name == "Demo world"
    said = json.loads((saved.path / "manifest.json").read_text())["meta"]
    assert said["code"] == provenance.code_commit()
    assert said["config_sha256"] == run.config_sha
    assert set(said["inputs"]) == {"pairs", "generator"}


@pytest.mark.mutant("A10")
def test_what_is_missing_is_named(played: LoopGroup) -> None:
    Artifact.objects.filter(kind="snapshot").update(code="")
    BaseModel.objects.filter(name="tiny-vlm").update(revision="")
    run = Run.objects.filter(kind="reward_model").latest("pk")
    Run.objects.filter(pk=run.pk).update(config={**run.config, "steps": 12345})
    model = Artifact.objects.filter(kind="reward_model").latest("pk")
    said = " ".join(trace_artifact(model).gaps)
    assert "nothing says which code made artifact" in said
    assert "the backbone of run" in said
    assert "is not the one whose hash was noted" in said
    with pytest.raises(CommandError, match="The lineage has gaps"):
        call_command("lineage", model.sha256, stdout=io.StringIO())


def test_an_input_that_is_not_there_yet_is_a_gap(mia: Any) -> None:
    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    report = group.runs.order_by("-pk")[0]
    assert any("is not there yet" in each for each in gaps(registry.lineage([report.pk])))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("ab" * 32, "nothing that this site knows has the sha256 abab"),
        ("no/such/file", "there is no file no/such/file, and it is no sha256 of 12 to 64 hex"),
    ],
)
def test_what_is_not_known_is_one_sentence(db: None, asked: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("lineage", asked)


def test_a_strange_file_or_folder_is_one_sentence(db: None, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nobody made this")
    with pytest.raises(CommandError, match="no run of this site has made or read"):
        call_command("lineage", str(tmp_path / "x"))
    with pytest.raises(CommandError, match=r"has no manifest\.json"):
        call_command("lineage", str(tmp_path))


# By page and by REST.


@pytest.fixture
def client_of_mia(mia: Any, client: Client) -> Client:
    client.force_login(mia)
    return client


def test_the_page_and_the_doors_say_the_same(played: LoopGroup, client_of_mia: Client) -> None:
    adapter = Artifact.objects.filter(kind="adapter").latest("pk")
    page = client_of_mia.get(reverse("pipelines:lineage"), {"sha256": adapter.sha256[:12]})
    assert page.status_code == 200
    html = page.content.decode()
    assert reverse("pipelines:artifact", args=[adapter.pk]) in html
    assert "Demo world" in html
    by_hash = client_of_mia.get(reverse("pipelines:api-lineage"), {"sha256": adapter.sha256})
    by_id = client_of_mia.get(reverse("pipelines:api-artifact-lineage", args=[adapter.pk]))
    assert by_hash.status_code == by_id.status_code == 200
    assert by_hash.json() == by_id.json() == trace_artifact(adapter).to_json()
    own = client_of_mia.get(reverse("pipelines:artifact", args=[adapter.pk])).content.decode()
    assert adapter.files.get(name="adapter.json").blob_id in own
    assert provenance.code_commit()[:12] in own


@pytest.mark.parametrize("asked", ["../../etc/passwd", "/etc/passwd", "abc", "x" * 64])
def test_a_page_takes_hashes_and_no_paths(client_of_mia: Client, asked: str) -> None:
    page = client_of_mia.get(reverse("pipelines:lineage"), {"sha256": asked})
    assert page.status_code == 404
    assert "sha256 must be 12 to 64 hex digits" in page.content.decode()
    door = client_of_mia.get(reverse("pipelines:api-lineage"), {"sha256": asked})
    assert door.status_code == 422


def test_an_unknown_hash_or_artifact_is_not_found(client_of_mia: Client) -> None:
    unknown = {"sha256": "0" * 64}
    assert client_of_mia.get(reverse("pipelines:lineage"), unknown).status_code == 404
    assert client_of_mia.get(reverse("pipelines:api-lineage"), unknown).status_code == 404
    gone = reverse("pipelines:api-artifact-lineage", args=[12345])
    assert client_of_mia.get(gone).status_code == 404


def test_annotators_see_neither(alice: Any, client: Client) -> None:
    client.force_login(alice)
    for name in ("lineage", "disk", "api-lineage", "api-disk"):
        assert client.get(reverse(f"pipelines:{name}")).status_code == 403


def test_disk_use_counts_each_file_once(played: LoopGroup, client_of_mia: Client) -> None:
    from pipelines.store.usage import disk_use

    use = disk_use()
    places = {row.name: row for row in use.places}
    store = places["store"]
    assert use.blobs == store.files
    assert store.shared + store.bytes == use.blob_bytes
    # All are links to what lies with the runs, but for the lists that were given to them.
    given = Blob.objects.filter(files__given__isnull=False).distinct()
    assert store.bytes == sum(each.bytes for each in given)
    assert use.artifact_bytes >= sum(a.bytes for a in Artifact.objects.all()) > 0
    assert {row.name for row in use.parts} >= {"results", "curves", "logs and other files"}
    assert use.largest[0].bytes >= use.largest[-1].bytes > 0
    page = client_of_mia.get(reverse("pipelines:disk"))
    assert page.status_code == 200
    assert "What runs have left" in page.content.decode()
    assert client_of_mia.get(reverse("pipelines:api-disk")).json()["blobs"] == use.blobs
    out = io.StringIO()
    call_command("disk_use", stdout=out)
    assert f"{use.blobs} blobs hold" in out.getvalue()
    out = io.StringIO()
    call_command("disk_use", "--json", stdout=out)
    assert json.loads(out.getvalue())["blobs"] == use.blobs


# The code.


def test_the_code_is_a_commit_and_says_when_it_was_changed(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"rev-parse": "a" * 40, "status": ""}
    monkeypatch.setattr(provenance, "_git", lambda _folder, *said: answers[said[0]])
    settings.TIEBREAK_CODE_COMMIT = ""
    of_repository = provenance._of_repository(tmp_path)
    assert of_repository == "a" * 40
    answers["status"] = " M pipelines/models.py"
    assert provenance._of_repository(tmp_path) == f"{'a' * 40}-changed"
    settings.TIEBREAK_CODE_COMMIT = "b" * 40
    assert provenance.code_commit.__wrapped__() == "b" * 40


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path, settings: Any) -> None:
    settings.TIEBREAK_CODE_COMMIT, settings.CODE_ROOT = "", tmp_path
    assert provenance.code_commit.__wrapped__() == "unknown"
