"""Exports by page and by REST: what each format loses is said before the start."""

from typing import Any

import pytest
from django.test import Client

from annotation.models import AuditEntry
from pipelines.exports.losses import choices
from pipelines.models import Artifact, Run
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def snapshot(mia: Any) -> Artifact:
    campaign = make_campaign(pairs=6)
    return play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_what_a_format_loses_is_counted_of_this_snapshot(snapshot: Artifact) -> None:
    found = {each.format.name: each for each in choices(snapshot)}
    assert found["parquet"].keeps_all
    assert not found["parquet"].beside
    assert found["trl"].beside == ("ties (6)", "invalid labels (1)")
    # Nobody split and nobody voted here, so nothing of that can be lost.
    assert not any("people split" in line for line in found["videoalign"].lost)
    assert "split" in found["videoalign"].lost
    assert found["votes"].lost[0] == "6 pairs with imported labels, which have no votes"


def test_the_page_says_so_and_starts_the_run(snapshot: Artifact, lee: Any) -> None:
    client = _as(lee)
    html = client.get("/exports/").content.decode()
    assert "In a file beside: ties (6), invalid labels (1)." in html
    said = {"snapshot": snapshot.pk, "format": "trl", "media": "paths", "nonce": "once"}
    first = client.post("/exports/", said)
    assert client.post("/exports/", said).url == first.url
    (run,) = Run.objects.filter(kind="export")
    assert first.url == f"/runs/{run.pk}/"
    assert run.config == {"format": "trl", "media": "paths", "prefix": ""}
    assert AuditEntry.objects.filter(act="export.start", details__format="trl").exists()
    play(run)
    html = client.get(f"/exports/?snapshot={snapshot.pk}").content.decode()
    assert f'href="/artifacts/{run.artifacts.get().pk}/"' in html
    assert "VQ: tie 2" in html


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"format": "excel"}, "Format must be one of videoalign"),
        ({"media": "links"}, "Prefix must be what stands before the path of a clip"),
        ({"snapshot": "999"}, "There is no snapshot"),
        ({"snapshot": "x" * 30}, "There is no snapshot"),
    ],
)
def test_a_wrong_wish_is_a_sentence_and_no_run(
    changed: dict[str, str], sentence: str, snapshot: Artifact, lee: Any
) -> None:
    said = {"snapshot": str(snapshot.pk), "format": "trl", "media": "paths"}
    answer = _as(lee).post("/exports/", said | changed, follow=True)
    assert sentence in answer.content.decode()
    assert not Run.objects.filter(kind="export").exists()


def test_annotators_see_no_exports(snapshot: Artifact, alice: Any) -> None:
    client = _as(alice)
    assert client.get("/exports/").status_code == 403
    assert client.post("/exports/", {"snapshot": snapshot.pk}).status_code == 403
    assert client.get("/api/exports").status_code == 403


def test_by_rest_the_same(snapshot: Artifact, lee: Any) -> None:
    client = _as(lee)
    body = {"snapshot": snapshot.pk, "format": "hf", "nonce": "n"}
    answer = client.post("/api/exports", body, content_type="application/json")
    assert answer.status_code == 201
    made = answer.json()
    play(Run.objects.get(pk=made["run"]))
    said = client.get(f"/api/exports?snapshot={snapshot.pk}").json()
    (row,) = said["exports"]
    assert (row["format"], row["rows"], row["snapshot"]) == ("hf", 6, snapshot.pk)
    assert row["artifact"] is not None
    beside = {each["name"]: each["beside"] for each in said["formats"]}
    assert beside["trl"] == ["ties (6)", "invalid labels (1)"]
    wrong = client.post("/api/exports", {"snapshot": 0}, content_type="application/json")
    assert wrong.status_code == 422
    assert "there is no snapshot 0" in wrong.json()["error"]


def test_the_table_in_the_docs_is_that_of_the_catalogue() -> None:
    from tools.export_table import PAGE, page_with, table

    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, table()) == text, "run `python -m tools.export_table`"
