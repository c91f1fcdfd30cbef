"""Suites by page and REST: import, look, say how clips are scored, evaluate."""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from annotation.models import AuditEntry
from pipelines.models import Artifact, BaseModel, LoopGroup, Run, Suite
from pipelines.suites.shelf import suite_prompts
from tests.pipelines.loop_world import PRETEND, base_models, play, play_all, remembered

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with remembered():
        yield


def _upload(text: str, name: str = "few.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


@pytest.fixture
def mia_client(client: Client, mia: Any) -> Client:
    client.force_login(mia)
    return client


@pytest.fixture
def lee_client(lee: Any) -> Client:
    client = Client()
    client.force_login(lee)
    return client


@pytest.fixture
def suite(mia_client: Client) -> Suite:
    text = "prompt,category,prompt_zh\na red ball,balls,红球\na blue cube,cubes,\n"
    mia_client.post("/suites/", {"name": "few", "file": _upload(text)})
    return Suite.objects.get(name="few")


@pytest.fixture
def judge(db: None) -> Artifact:
    base_models()
    run = Run(kind="composition", name="Judge", config={}, config_sha="x")
    run.save()
    artifact: Artifact = play(run, PRETEND["reward_model"]).artifacts.get()
    return artifact


def test_an_uploaded_file_becomes_a_suite_with_a_page(mia_client: Client, suite: Suite) -> None:
    page = mia_client.get(f"/suites/{suite.pk}/").content.decode()
    assert "a red ball" in page
    assert "红球" in page
    assert 'name="category"' in page
    only = mia_client.get(f"/suites/{suite.pk}/", {"category": "cubes"}).content.decode()
    assert "a red ball" not in only
    assert AuditEntry.objects.filter(act="suite.import").exists()
    assert suite.created_by is not None


def test_duplicates_and_warnings_stand_on_the_page_of_the_import(mia_client: Client) -> None:
    answer = mia_client.post(
        "/suites/", {"name": "s", "file": _upload("prompt,fps\none,1\none,2\n", "mine.csv")}
    )
    page = answer.content.decode()
    assert "mine.csv:3: the prompt of line 2 again" in page
    assert "mine.csv:1: the column &#x27;fps&#x27; is not used" in page


def test_the_reference_images_of_an_archive_are_seen_beside_their_prompts(
    mia_client: Client,
) -> None:
    picture, packed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("suite.csv", "prompt,image_path\na ball,first/a.png\n")
        archive.writestr("first/a.png", picture.getvalue())
    upload = SimpleUploadedFile("mine.zip", packed.getvalue())
    answer = mia_client.post("/suites/", {"name": "i2v", "file": upload})
    page = mia_client.get(answer.headers["Location"]).content.decode()
    shown = re.search(r'<img class="suite-image" src="([^"]+)"', page)
    assert shown is not None
    assert "1 with a reference image" in page
    assert mia_client.get(html.unescape(shown[1])).status_code == 200


def test_a_bad_file_is_refused_with_its_line_and_nothing_is_written(mia_client: Client) -> None:
    answer = mia_client.post("/suites/", {"name": "s", "file": _upload("prompt\n \n", "bad.csv")})
    assert answer.status_code == 422
    assert "bad.csv:2: the prompt is empty" in answer.content.decode()
    assert not Suite.objects.exists()


@pytest.mark.parametrize("images", ["../..", "nowhere"])
def test_images_come_from_below_the_incoming_folder_alone(mia_client: Client, images: str) -> None:
    answer = mia_client.post(
        "/suites/", {"name": "s", "images": images, "file": _upload("prompt\none\n")}
    )
    assert answer.status_code == 422
    assert not Suite.objects.exists()


def test_how_a_suite_is_scored_is_set_on_a_page(
    mia_client: Client, suite: Suite, judge: Artifact
) -> None:
    backbone = BaseModel.objects.get(role="vlm")
    given = {
        "judge_0": "reward", "model_0": f"artifact:{judge.pk}",
        "backbone_0": f"base_model:{backbone.pk}", "weights": '{"VQ": 2}',
        "vbench": ["temporal_flickering"], "generation": '{"clips_per_prompt": 2}',
    }  # fmt: skip
    answer = mia_client.post(f"/suites/{suite.pk}/scoring", given)
    assert answer.status_code == 302, answer.content.decode()
    suite.refresh_from_db()
    assert suite.scoring["weights"] == {"VQ": 2}
    assert suite.judges.get().backbone == backbone
    again = mia_client.get(f"/suites/{suite.pk}/scoring").content.decode()
    assert 'value="reward"' in again
    bad = mia_client.post(f"/suites/{suite.pk}/scoring", {**given, "generation": '{"sed": 2}'})
    assert bad.status_code == 422
    assert "did you mean &#x27;seed&#x27;" in bad.content.decode()


def test_one_form_starts_the_whole_chain_and_its_page_follows_it(
    mia_client: Client, suite: Suite, judge: Artifact
) -> None:
    base = BaseModel.objects.get(role="generator")
    given = {
        "base": f"base_model:{base.pk}", "candidates": [f"base_model:{base.pk}"],
        "judges": [f"artifact:{judge.pk}"],
    }  # fmt: skip
    answer = mia_client.post(f"/suites/{suite.pk}/evaluate", given)
    group = LoopGroup.objects.get()
    assert answer.headers["Location"] == f"/suites/evaluations/{group.pk}/"
    assert mia_client.get(f"/loop/{group.pk}/").headers["Location"] == answer.headers["Location"]
    play_all(group)
    page = mia_client.get(answer.headers["Location"]).content.decode()
    assert "Open the report" in page
    assert "How often the candidate wins" in page
    assert f"{group.runs.count()}</span> <small>of {group.runs.count()} runs done" in page
    assert group.name in mia_client.get(f"/suites/{suite.pk}/").content.decode()
    assert AuditEntry.objects.filter(act="run.start", target=f"suite {suite.pk}").exists()


def test_a_form_that_cannot_work_says_why(mia_client: Client, suite: Suite) -> None:
    answer = mia_client.post(f"/suites/{suite.pk}/evaluate", {"clips": '{"a": {}}'})
    assert answer.status_code == 422
    assert "generator, folder, archive" in answer.content.decode()


def test_leads_look_and_import_but_start_nothing(lee_client: Client, suite: Suite) -> None:
    assert lee_client.get(f"/suites/{suite.pk}/").status_code == 200
    assert "Evaluate" not in lee_client.get(f"/suites/{suite.pk}/").content.decode()
    assert lee_client.get(f"/suites/{suite.pk}/evaluate").status_code == 403
    given = {"name": "l", "file": _upload("prompt\nx\n")}
    assert lee_client.post("/suites/", given).status_code == 302


def test_the_rest_doors_import_read_score_and_evaluate(mia_client: Client, judge: Artifact) -> None:
    def call(method: str, address: str, body: Any) -> Any:
        ask = getattr(mia_client, method)
        return ask(address, data=json.dumps(body), content_type="application/json")

    rows = [{"prompt": "one", "category": "x"}, {"prompt": "two"}, {"prompt": "one"}]
    made = call("post", "/api/suites", {"name": "r", "title": "By REST", "prompts": rows})
    assert made.status_code == 201, made.content
    told = made.json()
    assert told["prompts"] == 2
    assert told["duplicates"][0].startswith(
        "prompts.jsonl:3: the prompt of line 1 again, with another category: that of line 1"
    )
    where = f"/api/suites/{told['id']}"
    way = {"weights": {"VQ": 1}, "vbench": [], "generation": {}, "scoring": {}, "truth": None}
    judges = [{"name": "reward", "reward_model": judge.pk, "backbone": None}]
    set_so = call("put", f"{where}/scoring", {**way, "judges": judges})
    assert set_so.json() == {**way, "judges": judges}
    read = mia_client.get(where, {"limit": 1}).json()
    assert (read["count"], len(read["prompts"]), read["judges"]) == (2, 1, judges)
    base = {"base_model": BaseModel.objects.get(role="generator").pk}
    body = {"config": {"name": "E"}, "inputs": {"base": base, "candidate:b": base}, "nonce": "n"}
    started = call("post", f"{where}/evaluations", body).json()
    assert started["id"] == call("post", f"{where}/evaluations", body).json()["id"]
    play_all(LoopGroup.objects.get())
    done = mia_client.get(f"/api/suite-evaluations/{started['id']}").json()
    assert done["ended"]
    assert Artifact.objects.get(pk=done["results"]["b"]).kind == "evaluation"
    assert Artifact.objects.get(pk=done["report"]).kind == "report"
    assert mia_client.get("/api/suites").json()["suites"][0]["evaluations"] == 1


def test_an_archive_comes_through_the_rest_door_too(mia_client: Client) -> None:
    answer = mia_client.post("/api/suites", {"name": "z", "file": _upload("a\nb\n", "plain.txt")})
    assert answer.status_code == 201
    assert [row.text for row in suite_prompts(Suite.objects.get())] == ["a", "b"]


def test_what_lies_in_the_folder_for_imports_is_taken_from_there(mia_client: Client) -> None:
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "packed"
    folder.mkdir(parents=True)
    (folder / "suite.csv").write_text("prompt,image_path\none,gone.png\n")

    def ask(**body: Any) -> Any:
        return mia_client.post("/api/suites", json.dumps(body), content_type="application/json")

    missing = ask(name="s", incoming="packed")
    assert (
        "incoming/packed/suite.csv: 1 reference images are not there: line 2: gone.png"
        in (missing.json()["error"])
    )
    (folder / "suite.csv").write_text("prompt\none\n")
    assert ask(name="s", incoming="packed").status_code == 201
    page = mia_client.post("/suites/", {"name": "t", "images": "packed"})
    assert page.headers["Location"] == f"/suites/{Suite.objects.get(name='t').pk}/"
    for place, sentence in (("../..", "must lie below the folder"), ("x", "nothing called inco")):
        assert sentence in ask(name="u", incoming=place).json()["error"]
    assert "Choose a file" in mia_client.post("/suites/", {"name": "v"}).content.decode()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"name": "x"}, 'give a file, "incoming"'),
        ({"name": "x", "prompts": [{"prompt": ""}]}, "prompts.jsonl:1: the prompt is empty"),
        ({"name": "", "prompts": [{"prompt": "a"}]}, "the name of a suite has 1 to 100 letters"),
        ({"name": "x", "prompts": [{"prompt": "a"}], "judge": 1}, "there is no entry 'judge' here"),
    ],
)
def test_a_bad_body_is_a_sentence(mia_client: Client, body: Any, sentence: str) -> None:
    answer = mia_client.post("/api/suites", json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]


def test_the_admin_leads_to_the_page(mia_client: Client, suite: Suite) -> None:
    page = mia_client.get(reverse("admin:pipelines_suite_change", args=[suite.pk]))
    assert reverse("pipelines:suite", args=[suite.pk]) in page.content.decode()
    start = reverse("admin:pipelines_loopgroup_add") + "?kind=evaluation"
    assert mia_client.get(start).headers["Location"] == "/suites/"
