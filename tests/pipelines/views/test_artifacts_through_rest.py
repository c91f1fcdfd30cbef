"""What runs leave, their logs and their figures, as programs get them: schema, ranges, roles."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client

from annotation.models import AuditEntry
from formats.files import sha256_of
from pipelines import launching
from pipelines.models import Artifact, Metric, Run, RunState
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found))


@pytest.fixture
def snapshot(mia: Any) -> Artifact:
    campaign = make_campaign(pairs=3)
    return play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()


def as_(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_what_these_doors_answer_is_what_the_schema_says(
    snapshot: Artifact, mia: Any, schema: dict[str, Any]
) -> None:
    run = snapshot.run
    Metric.objects.create(run=run, step=1, name="loss", value=0.5, fence=1)
    one = {"run_id": run.pk, "artifact_id": snapshot.pk}
    for path in (
        "/api/runs",
        "/api/runs/{run_id}",
        "/api/runs/{run_id}/log",
        "/api/runs/{run_id}/metrics",
        "/api/artifacts",
        "/api/artifacts/{artifact_id}",
    ):
        answer = as_(mia).get(path.format(**one))
        assert answer.status_code == 200, (path, answer.content)
        said = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        wanted = {**said["schema"], "components": schema["components"]}
        jsonschema.validate(answer.json(), wanted, cls=jsonschema.Draft202012Validator)


def test_a_started_run_and_what_is_done_to_it_are_what_the_schema_says(
    mia: Any, schema: dict[str, Any]
) -> None:
    client, campaign = as_(mia), make_campaign(pairs=2)
    body = {"kind": "snapshot", "config": {"campaign": campaign.pk}, "nonce": "once"}
    first = client.post("/api/runs", body, "application/json")
    again = client.post("/api/runs", body, "application/json")
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    here = f"/api/runs/{first.json()['id']}"
    said = [first.json()]
    for act, body in (("priority", {"priority": 3}), ("cancel", {})):
        said.append(client.post(f"{here}/{act}", body, "application/json").json())
    for path, answer in zip(
        ("/api/runs", "/api/runs/{run_id}/priority", "/api/runs/{run_id}/cancel"), said, strict=True
    ):
        code = "201" if path == "/api/runs" else "200"
        shape = schema["paths"][path]["post"]["responses"][code]["content"]["application/json"]
        wanted = {**shape["schema"], "components": schema["components"]}
        jsonschema.validate(answer, wanted, cls=jsonschema.Draft202012Validator)
    assert said[-1]["state"] == "cancelled"


def test_leads_start_the_kinds_that_the_admin_lets_them_start(lee: Any, alice: Any) -> None:
    from django.conf import settings

    (Path(settings.MEDIA_ROOT) / "incoming" / "batch").mkdir(parents=True)
    ingest = {"kind": "ingest", "config": {"folder": "batch", "prompt": "a square"}}
    snapshot = {"kind": "snapshot", "config": {"campaign": make_campaign(pairs=2).pk}}
    assert as_(lee).post("/api/runs", ingest, "application/json").status_code == 201
    refused = as_(lee).post("/api/runs", snapshot, "application/json")
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "Only ML engineers start runs of the kind snapshot.",
    )
    assert as_(alice).post("/api/runs", ingest, "application/json").status_code == 403
    assert as_(lee).post("/api/runs", {"kind": "gone"}, "application/json").status_code == 422


def test_runs_are_listed_by_kind_and_state_behind_one_another(mia: Any) -> None:
    campaign = make_campaign(pairs=2)
    made = [start_run("snapshot", {"campaign": campaign.pk}, user=mia, name=n).pk for n in "abc"]
    Run.objects.filter(pk=made[0]).update(state=RunState.FAILED)

    def listed(query: str) -> list[int]:
        return [each["id"] for each in as_(mia).get(f"/api/runs?{query}").json()["runs"]]

    assert listed("") == made[::-1]
    assert listed("kind=export") == []
    assert listed("kind=snapshot&state=failed") == made[:1]
    assert listed("limit=1") == made[2:]
    assert listed(f"before={made[2]}") == made[1::-1]
    for query in ("kind=nothing", "state=gone", "limit=x", "order=name"):
        assert as_(mia).get(f"/api/runs?{query}").status_code == 400


def test_a_file_comes_whole_or_by_ranges_with_its_hash_as_tag(snapshot: Artifact, mia: Any) -> None:
    client = as_(mia)
    files = client.get(f"/api/artifacts/{snapshot.pk}").json()["files"]
    names = {each["name"] for each in files}
    assert {"manifest.json", "preferences.jsonl"} <= names
    for each in files:
        whole = client.get(f"/api/artifacts/{snapshot.pk}/files/{each['name']}")
        data = whole.getvalue()
        assert (len(data), whole["ETag"]) == (each["bytes"], f'"{each["sha256"]}"')
        assert each["sha256"] == sha256_of(path_of(snapshot) / each["name"])
        rest = client.get(
            f"/api/artifacts/{snapshot.pk}/files/{each['name']}",
            headers={"Range": "bytes=7-", "If-Range": whole["ETag"]},
        )
        assert (rest.status_code, rest.getvalue()) == (206, data[7:])
    assert AuditEntry.objects.filter(act="export.artifact").count() == 2 * len(files)


@pytest.mark.parametrize(
    "name", ["nothing.txt", "../../config.json", "%2e%2e/config.json", "/etc/passwd", "manifest"]
)
def test_a_name_that_the_artifact_does_not_have_is_not_followed(
    name: str, snapshot: Artifact, mia: Any
) -> None:
    answer = as_(mia).get(f"/api/artifacts/{snapshot.pk}/files/{name}")
    assert answer.status_code == 404


def test_a_file_that_lies_in_the_store_alone_is_brought_from_there(
    snapshot: Artifact, mia: Any, tmp_path: Any
) -> None:
    path_of(snapshot).rename(tmp_path / "gone")
    answer = as_(mia).get(f"/api/artifacts/{snapshot.pk}/files/preferences.jsonl")
    assert answer.getvalue() == (tmp_path / "gone" / "preferences.jsonl").read_bytes()


def test_artifacts_are_listed_by_kind_and_run(snapshot: Artifact, mia: Any) -> None:
    def listed(query: str) -> list[int]:
        return [each["id"] for each in as_(mia).get(f"/api/artifacts?{query}").json()["results"]]

    assert listed("kind=snapshot") == listed(f"run={snapshot.run_id}") == [snapshot.pk]
    assert listed("kind=adapter") == listed("run=987654") == []
    assert as_(mia).get("/api/artifacts?kind=secret").status_code == 400


def test_weights_are_for_engineers_alone(snapshot: Artifact, lee: Any, mia: Any) -> None:
    door = f"/api/artifacts/{snapshot.pk}/files/manifest.json"
    assert as_(lee).get(door).status_code == 200
    Artifact.objects.filter(pk=snapshot.pk).update(kind="adapter")
    refused = as_(lee).get(door)
    assert (refused.status_code, refused.json()["code"]) == (403, "NotAllowed")
    assert as_(mia).get(door).status_code == 200


def test_a_log_is_read_on_from_where_the_last_part_ended(snapshot: Artifact, mia: Any) -> None:
    file = launching.run_dir(snapshot.run).log_of(0)
    file.write_text("first\nsecond\n")
    here = f"/api/runs/{snapshot.run_id}/log"
    said = as_(mia).get(here).json()
    assert (said["text"], said["end"]) == ("first\nsecond\n", 13)
    file.write_text("first\nsecond\nthird\n")
    assert as_(mia).get(f"{here}?offset=13").json()["text"] == "third\n"
    assert as_(mia).get(f"{here}?offset=13&rank=7").json()["text"] == ""


def test_annotators_see_nothing_of_it(snapshot: Artifact, alice: Any) -> None:
    for path in (
        "/api/artifacts",
        f"/api/artifacts/{snapshot.pk}",
        f"/api/artifacts/{snapshot.pk}/files/manifest.json",
        f"/api/runs/{snapshot.run_id}/log",
        f"/api/runs/{snapshot.run_id}/metrics",
    ):
        assert as_(alice).get(path).status_code == 403
