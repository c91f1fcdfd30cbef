"""A lead runs a whole campaign without opening a page: everything through REST, by tokens."""

import csv
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from annotation.accounts.tokens import make_token

pytestmark = pytest.mark.django_db


class Program:
    """A program that shows a token and nothing else."""

    def __init__(self, user: Any) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers = {"Authorization": f"Bearer {make_token(user, 'test')[1]}"}

    def get(self, path: str) -> Any:
        return self._said(self.client.get(path, headers=self.headers))

    def post(self, path: str, body: Any = None, code: int = 200, **headers: str) -> Any:
        answer = self.client.post(
            path, body or {}, content_type="application/json", headers={**self.headers, **headers}
        )
        return self._said(answer, code)

    def upload(self, path: str, file: SimpleUploadedFile, **fields: str) -> Any:
        answer = self.client.post(path, {"file": file, **fields}, headers=self.headers)
        return self._said(answer)

    def _said(self, answer: Any, code: int = 200) -> Any:
        body = answer.getvalue()
        assert answer.status_code == code, body
        return json.loads(body) if answer["Content-Type"] == "application/json" else body


@pytest.fixture
def incoming(settings: Any, clips: list[Path]) -> Path:
    """Clips on the server, where imports from the web may read them."""
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "squares"
    folder.mkdir(parents=True)
    for n, clip in enumerate(clips):
        (folder / f"{n}.mp4").write_bytes(clip.read_bytes())
    return folder


def table() -> SimpleUploadedFile:
    rows = ["path_A,path_B,prompt,A_model,B_model"]
    rows += [f"{2 * n}.mp4,{2 * n + 1}.mp4,square {n},wan,sora" for n in range(3)]
    return SimpleUploadedFile("pairs.csv", "\n".join(rows).encode())


def vote_on_everything(program: Program, campaign: int, word: str) -> int:
    """Votes until nothing is left; how many."""
    tab, votes = str(uuid.uuid4()), 0
    while not (given := program.post(f"/api/campaigns/{campaign}/next", {"tab": tab})).get("empty"):
        judgements = {each["key"]: {"label": word} for each in given["dimensions"]}
        body = {
            "lease": given["lease"],
            "left_video": given["left"]["id"],
            "right_video": given["right"]["id"],
            "judgements": judgements,
        }
        program.post("/api/votes", body, **{"Idempotency-Key": given["lease"]})
        votes += 1
    return votes


def test_a_lead_runs_a_whole_campaign_without_opening_a_page(lee, alice, bob, incoming):
    lead = Program(lee)
    made = lead.post(
        "/api/dimension-sets",
        {
            "name": "squares",
            "title": "Squares",
            "dimensions": [{"key": "look", "title": "Look", "question": "Which looks better?"}],
        },
        201,
    )
    assert made["dimensions"][0]["allow_tie"] is True
    campaign = lead.post(
        "/api/campaigns",
        {"name": "By hand", "dimension_set": "squares", "votes_wanted": 2, "gold_share": 0.0,
         "repeat_share": 0.0},
        201,
    )  # fmt: skip
    here = f"/api/campaigns/{campaign['id']}"
    assert campaign["state"] == "draft"
    report = lead.upload(f"{here}/import", table(), clips="squares")
    assert (report["triplets"], report["duplicates"]) == (3, [])
    again = lead.upload(f"{here}/import", table(), clips="squares")
    assert (again["triplets"], len(again["duplicates"])) == (0, 3)
    assert lead.post(f"{here}/open")["state"] == "open"
    assert [vote_on_everything(Program(each), campaign["id"], "tie") for each in (alice, bob)] == [
        3,
        3,
    ]
    assert lead.get(here)["triplets"] == {"total": 3, "done": 3}
    triplets = lead.get(f"{here}/triplets?state=complete&limit=2")
    assert [each["consensus"]["look"]["label"] for each in triplets["results"]] == ["tie", "tie"]
    assert len(lead.get(triplets["next"])["results"]) == 1
    assert lead.get(f"{here}/progress")
    assert lead.post(f"{here}/close")["state"] == "closed"
    exported = lead.get(f"{here}/export?what=videoalign").decode()
    assert [row["look"] for row in csv.DictReader(io.StringIO(exported))] == ["same"] * 3
    votes = [json.loads(line) for line in lead.get(f"{here}/export?what=votes").splitlines()][1:]
    assert len(votes) == 6
    assert {"alice", "bob"} & {each["annotator"] for each in votes} == set()
    assert lead.post(f"{here}/extend", {"votes_wanted": 3})["reopened"] == 3
    copy = lead.post(f"{here}/clone", {"name": "Once more", "triplets": True}, 201)
    assert (copy["state"], copy["triplets"]["total"]) == ("draft", 3)
