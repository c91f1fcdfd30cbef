"""Reports on judges, people and benchmarks: what they hold, what the page and the file say."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client

from formats.files import write_json
from pipelines import graph
from pipelines.errors import InvalidRunConfig
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, LoopGroup, Run
from pipelines.registry import path_of
from pipelines.reporting import read_report
from pipelines.reports.one_file import Inside
from pipelines.reports.text import as_text
from pipelines.starting import start_run
from tests.pipelines.loop_world import loop_config, make_campaign, play, play_all
from tests.pipelines.reports import reports_made as made

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "report-1.json").read_text())


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _whole(artifact: Artifact) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path_of(artifact).read_text())
    jsonschema.validate(body, SCHEMA)
    return body


@pytest.fixture
def asked(mia: Any) -> Artifact:
    """GAPO is hacked as people say, DPO has too few votes, and both have benchmarks."""
    make_campaign(user=mia, pairs=1)  # campaign 1, which the re-tests name
    reward = made.judge("reward", 0.8, 0.9, was_training_reward=True)
    inputs = {
        "evaluation:GAPO": made.evaluation("GAPO", reward, made.judge("other", 0.6, 0.7)),
        "evaluation:DPO": made.evaluation("DPO", made.judge("other", 0.6, 0.7, unreadable=3)),
        "human_test:GAPO": made.human_test("GAPO", 10, 4, 40),
        "human_test:DPO": made.human_test("another name", 22, 10, 18),
        "vbench:base": made.vbench("base", whole=True),
        "vbench:GAPO": made.vbench("GAPO", whole=False),
    }
    return made.report(mia, inputs)


def test_people_decide_and_the_rest_is_told_beside_them(asked: Artifact) -> None:
    body = _whole(asked)
    lines = {each["candidate"]: each for each in body["candidates"]}
    assert lines["GAPO"]["verdict"] == "hacked"
    assert "people say worse (win rate 0.22" in lines["GAPO"]["because"]
    # 27 of 50 with a half width of 0.1: 50 * ((0.1 / 0.04) ** 2 - 1) = 262.5 more pairs.
    assert (lines["DPO"]["verdict"], lines["DPO"]["more"], lines["DPO"]["votes"]) == (
        "too few votes", 263, 526,
    )  # fmt: skip
    assert body["recommendation"].startswith("Keep the base for now. GAPO has hacked its reward")
    assert [each["name"] for each in body["human_tests"]] == ["GAPO", "DPO"]
    totals = {each["name"]: (each["total"], each["refusal"]) for each in body["benchmarks"]}
    assert totals["base"][1] == ""
    assert totals["GAPO"][0] is None
    assert "10 dimensions are missing" in totals["GAPO"][1]
    texts = [each["text"] for each in body["failures"]]
    assert "DPO, judge other: 3 clips could not be read and are left out." in texts


def test_the_page_says_all_that_the_report_holds(asked: Artifact, lee: Any) -> None:
    html = _as(lee).get(f"/reports/{asked.pk}/").content.decode()
    for words in (
        "Is GAPO or DPO better than the base",
        "GAPO was trained on the judge reward",
        "Re-test of GAPO",
        "10 / 4 / 40",
        "62% · alpha 0.250",
        "4 votes of excluded annotators do not count",
        "A note.",
        "1 invalid, 2 undecided",
        "About 263 more pairs judged by people (526 votes) would decide.",
        "Hacked: the training reward says better beyond doubt",
        "10 dimensions are missing",
        "proxy:sharp",
        "3 clips could not be read",
    ):
        assert words in html, words
    # The dimensions of a benchmark stand in its own order, whatever JSON makes of it.
    assert html.index("subject consistency") < html.index("aesthetic quality")


def test_a_report_of_people_alone_needs_no_evaluation(mia: Any) -> None:
    make_campaign(user=mia, pairs=1)
    found = made.report(mia, {"human_test:DPO": made.human_test("DPO", 40, 5, 5)})
    body = _whole(found)
    assert body["recommendation"].startswith("Take DPO: it beats the base by people")
    assert body["evaluations"] == []
    text = as_text(read_report(found))
    assert "  DPO: better\n" in text
    assert "  overall          0.850      0.750–0.950       40/5/5" in text
    assert "40 / 5 / 5" in _as(mia).get(f"/reports/{found.pk}/").content.decode()


def test_a_re_test_without_a_vote_says_how_many_are_needed(mia: Any) -> None:
    make_campaign(user=mia, pairs=1)
    found = made.report(mia, {"human_test:DPO": made.human_test("DPO", 0, 0, 0)})
    (line,) = _whole(found)["candidates"]
    assert (line["verdict"], line["more"], line["votes"]) == ("too few votes", 97, 194)
    assert _as(mia).get(f"/reports/{found.pk}/").status_code == 200


def test_two_evaluations_of_one_name_are_told_apart(mia: Any) -> None:
    first, second = (
        made.evaluation("DPO", made.judge("j", *ends)) for ends in ((0.6, 0.7), (0.3, 0.4))
    )
    body = _whole(made.report(mia, {"evaluation:a": first, "evaluation:b": second}))
    words = {each["candidate"]: each["verdict"] for each in body["candidates"]}
    assert words == {
        f"DPO (run {first.run_id})": "better",
        f"DPO (run {second.run_id})": "not better",
    }


def test_a_report_on_nothing_is_refused_before_it_starts(mia: Any) -> None:
    with pytest.raises(InvalidRunConfig, match="needs an input 'evaluation' or 'human_test'"):
        start_run("report", {}, {"vbench:base": made.vbench("base", whole=True)}, user=mia)
    assert not Run.objects.filter(kind="report").exists()


def test_failed_runs_of_the_same_group_are_told(mia: Any) -> None:
    group = LoopGroup.objects.create(name="Loop", created_by=mia)
    lost = Run.objects.create(
        kind="alignment", name="GAPO", config={}, config_sha="", state="failed", group=group,
        message="The disk was full.",
    )  # fmt: skip
    found = made.evaluation("DPO", made.judge("j", 0.6, 0.7))
    Run.objects.filter(pk=found.run_id).update(attempt=3)
    run = play(start_run("report", {}, {"evaluation:DPO": found}, user=mia, group=group))
    told = {each["what"]: each["text"] for each in _whole(run.artifacts.get())["failures"]}
    assert told["failed"] == f"{lost} has failed: The disk was full."
    assert told["tried again"].endswith("failed 2 times before it succeeded.")


def test_a_report_of_before_is_still_shown(mia: Any, asked: Artifact) -> None:
    body = json.loads(path_of(asked).read_text())
    for name in ("asked", "human_tests", "benchmarks", "failures", "rules", "schema"):
        del body[name]
    for line in body["candidates"]:
        line["verdict"] = "undecided"
        for name in ("rule", "because", "more", "unit", "votes", "said", "diversity"):
            del line[name]
    write_json(path_of(asked), "report/1", body)
    assert read_report(asked)["human_tests"] == []
    html = _as(mia).get(f"/reports/{asked.pk}/").content.decode()
    assert "This report is from before failures were gathered." in html


# With clips: a loop.


def test_a_loop_leaves_a_report_from_the_votes_to_one_file(
    mia: Any, lee: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_all(start_loop(make_campaign(user=mia), loop_config(), mia))
    report = Artifact.objects.get(kind="report")
    _holds_the_loop(_whole(report))
    _draws_the_votes(report)
    _needs_nothing_else(_as(lee).get(f"/reports/{report.pk}/report.html"), report)
    address = f"/reports/{report.pk}/report.html?clips=embedded"
    html = _as(lee).get(address).content.decode()
    assert html.count('<video src="data:video/mp4;base64,') >= 12
    assert "too large" not in html
    monkeypatch.setattr("pipelines.reports.one_file.MOST_OF_A_CLIP", 10)
    html = _as(lee).get(address).content.decode()
    assert "<video" not in html
    assert "clips are too large for this file" in html
    assert Inside(clips=True).poster("0" * 64) == ""
    for place in ("", "report.html", "report.json"):
        assert _as(alice).get(f"/reports/{report.pk}/{place}").status_code == 403


def _holds_the_loop(body: dict[str, Any]) -> None:
    assert {each["what"] for each in body["failures"]} <= {"alarm", "gap"}
    assert body["asked"]["judges"] == ["reward", "truth"]
    assert set(body["alignments"][0]["curves"]) == {"loss"}
    first = body["evaluations"][0]
    assert {*first["measures"], *first["not_measured"]} == {"motion", "diversity"}


def _draws_the_votes(report: Artifact) -> None:
    drawn = graph.of_report(report.run)
    (votes,) = [box for box in drawn.boxes if not box.runs]
    assert (votes.title, votes.state) == ("Demo world", "campaign")
    assert "/campaigns/" in votes.url
    assert votes.x == min(box.x for box in drawn.boxes)
    shown = {run for box in drawn.boxes for run in box.runs}
    assert shown == set(Run.objects.values_list("pk", flat=True))


def _needs_nothing_else(answer: Any, report: Artifact) -> None:
    assert answer["Content-Disposition"] == f'attachment; filename="report-{report.pk}.html"'
    html = answer.content.decode()
    assert "Take Flow-DPO: it beats the base by the judge truth" in html
    for word in ("<script", "<link", "<video", "url(", "@import", 'href="#'):
        assert word not in html, word
    # All that is fetched lies inside; links lead to the site.
    fetched = re.findall(r'(?:src|poster)="([^"]{0,40})', html)
    assert len(fetched) >= 12
    assert all(each.startswith("data:image/jpeg;base64,") for each in fetched)
    assert '<base href="http://testserver/">' in html
