"""A base model is pinned to bytes before anybody may start from it (RELIABILITY A8)."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pipelines.errors import PipelineError
from pipelines.models import BaseModel, Run
from pipelines.registry import add_base_model, tree_hash
from tests.promises import Figures

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
COMMIT = "c" * 40
# What was written where a model was asked for, and its revision.
BAD = {
    "a branch": ("owner/model", "main"),
    "a tag": ("owner/model", "v1.0"),
    "a short commit": ("owner/model", "abc1234"),
    "an address": ("https://example.invalid/owner/model", COMMIT),
    "a parent folder": ("owner/..", COMMIT),
    "an absolute folder": ("/etc", ""),
    "code of its own": ("owner/model@main --trust-remote-code", COMMIT),
    "nobody's": ("model", COMMIT),
}


@pytest.mark.promise("A8")
def test_eight_bad_references_are_refused_by_every_door(
    mia: Any, client: Client, figures: Figures
) -> None:
    client.force_login(mia)
    refused = 0
    for what, (source, revision) in BAD.items():
        body = {"name": what, "role": "vlm", "source": source, "revision": revision, "why": "try"}
        door = reverse("pipelines:api-base-models")
        reply = client.post(door, body, content_type="application/json")
        assert reply.status_code in (400, 422), (what, reply.content)
        assert reply.json()["error"]
        with pytest.raises(PipelineError):
            add_base_model(what, "vlm", "no/" + source if source == "/etc" else source, revision)
        refused += 1
    assert not BaseModel.objects.exists()
    figures("A8", bad_references=len(BAD), refused=refused)


@pytest.mark.promise("A8")
@pytest.mark.parametrize("named", [{"base_model": "x/y"}, {"path": "/etc"}, {"base_model": 99}])
def test_a_run_takes_a_row_and_no_name(mia: Any, client: Client, named: dict[str, Any]) -> None:
    client.force_login(mia)
    body = {"kind": "reward_model", "config": {}, "inputs": {"backbone": named}}
    reply = client.post(reverse("pipelines:api-runs"), body, content_type="application/json")
    assert reply.status_code in (400, 422)
    assert not Run.objects.exists()


@pytest.mark.promise("A10")
def test_a_folder_without_a_manifest_is_known_by_the_hash_of_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "w.safetensors").write_bytes(b"w")
    model = add_base_model("ours", "vlm", str(folder))
    assert model.revision == f"tree:{tree_hash(folder)}"
    assert model.place == str(folder)
    before = tree_hash(folder)
    (folder / "sub" / "w.safetensors").write_bytes(b"x")
    assert tree_hash(folder) != before
