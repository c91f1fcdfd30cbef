"""Pages of runs, loops, artifacts, reports: who sees them, what they say, how much they ask."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from pipelines import launching, lifecycle
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, LoopGroup, Run, RunState, WorkerHeartbeat
from pipelines.progress import Progress
from pipelines.registry import path_of
from pipelines.run_cards import cards, duration
from pipelines.run_pages import cell, figures, thinned
from pipelines.starting import start_run
from tests.pipelines.loop_world import loop_config, make_campaign, play_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def played(mia: Any) -> LoopGroup:
    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    play_all(group)
    return group


@pytest.fixture
def queued(mia: Any) -> Run:
    campaign = make_campaign(pairs=2)
    return start_run("snapshot", {"campaign": campaign.pk}, user=mia, name="My snapshot")


def _running(run: Run) -> Run:
    claimed = lifecycle.claim([run.queue], "host:1:2", run_id=run.pk)
    assert claimed is not None
    launching.prepare(claimed)
    assert lifecycle.move(claimed, RunState.RUNNING)
    return claimed


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


PAGES = ["runs/", "runs/live", "runs/{run}/", "runs/{run}/live", "loop/", "api/runs"]


@pytest.mark.parametrize("page", PAGES)
def test_annotators_and_strangers_see_no_runs(
    page: str, alice: Any, charlie: Any, lee: Any, queued: Run
) -> None:
    path = "/" + page.format(run=queued.pk)
    assert _as(alice).get(path).status_code == 403
    assert _as(charlie).get(path).status_code == 403
    assert _as(lee).get(path).status_code == 200
    assert Client().get(path).status_code in {302, 401, 403}


def test_a_lead_looks_and_only_an_engineer_steers(lee: Any, mia: Any, queued: Run) -> None:
    path = reverse("pipelines:cancel", args=[queued.pk])
    assert _as(lee).post(path).status_code == 403
    assert _as(mia).get(path).status_code == 405
    assert _as(mia).post(path).status_code == 302
    queued.refresh_from_db()
    assert (queued.state, queued.message) == ("cancelled", "Cancelled by mia.")


def test_cancel_is_offered_to_those_who_may(lee: Any, mia: Any, queued: Run) -> None:
    (seen_by_lee,), (seen_by_mia,) = cards([queued], lee), cards([queued], mia)
    assert (seen_by_lee.can_cancel, seen_by_mia.can_cancel) == (False, True)


def test_a_run_without_a_worker_says_so(mia: Any, queued: Run) -> None:
    assert "No worker serves the queue default" in cards([queued], mia)[0].words
    WorkerHeartbeat.objects.create(
        owner="h:1:2", host="h", pid=1, queues=["default"], seen_at=timezone.now()
    )
    assert cards([queued], mia)[0].words == "Waits for a free worker."


def test_a_run_says_for_which_run_it_waits(mia: Any) -> None:
    group = start_loop(make_campaign(pairs=8), loop_config(), mia)
    runs = list(group.runs.order_by("pk"))
    by_kind = {card.kind: card for card in cards(runs, mia)}
    assert by_kind["reward_model"].words == f"Waits for Snapshot (run {runs[0].pk})."
    assert by_kind["evaluation"].words.endswith("and 4 more.")


def test_time_to_finish_follows_from_progress(mia: Any, queued: Run) -> None:
    run = _running(queued)
    lifecycle.note_progress(run, step=25, total=100, stage="training")
    run.events.filter(after="starting").update(at=timezone.now() - timedelta(seconds=60))
    run.refresh_from_db()
    (card,) = cards([run], mia)
    # 25 steps took 60 s, so 75 take 180 s.
    assert card.left == "3 min"
    assert card.percent == 25


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7200, "2 h"), (90000, "1 d 1 h")],
)
def test_spans_are_told_in_two_units(seconds: int, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_curves_are_sent_on_from_where_the_page_is(mia: Any, queued: Run) -> None:
    run = _running(queued)
    folder = launching.run_dir(run)
    progress = Progress(run, folder)
    folder.log_metrics(1, 10, {"loss": 2.0})
    progress.advance()
    client, path = _as(mia), reverse("pipelines:run-live", args=[run.pk])
    first = client.get(path).json()
    assert first["metrics"] == [["loss", 1, 2.0]]
    folder.log_metrics(2, 10, {"loss": 1.5})
    progress.advance()
    second = client.get(path, {"since": first["since"]}).json()
    assert second["metrics"] == [["loss", 2, 1.5]]
    assert (second["run"]["step"], second["run"]["total"]) == (2, 10)


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    curve = [("loss", step, 0.0) for step in range(5001)]
    kept = thinned(curve, 1000)
    assert len(kept) <= 1001
    assert kept[-1] == ("loss", 5000, 0.0)


def test_the_log_follows_by_byte_offset_in_whole_letters(mia: Any, queued: Run) -> None:
    run = _running(queued)
    file: Path = launching.run_dir(run).log_file
    client, path = _as(mia), reverse("pipelines:run-live", args=[run.pk])
    file.write_bytes("grün <b>\n".encode() + "ü".encode()[:1])
    first = client.get(path).json()["log"]
    assert first["text"] == "grün <b>\n"
    file.write_bytes("grün <b>\nüber\n".encode())
    assert client.get(path, {"log": first["end"]}).json()["log"]["text"] == "über\n"


def test_only_the_tail_of_a_huge_log_is_sent(mia: Any, queued: Run) -> None:
    run = _running(queued)
    lines = "".join(f"line {n}\n" for n in range(30_000))
    launching.run_dir(run).log_file.write_text(lines)
    log = _as(mia).get(reverse("pipelines:run-live", args=[run.pk])).json()["log"]
    assert log["text"].endswith("line 29999\n")
    assert log["text"].startswith("line ")
    assert len(log["text"]) <= 64 * 1024


@pytest.mark.parametrize("nonsense", ["-1", "x", "9" * 30, "１"])
def test_a_nonsense_offset_reads_the_tail(mia: Any, queued: Run, nonsense: str) -> None:
    path = reverse("pipelines:run-live", args=[queued.pk])
    assert _as(mia).get(path, {"log": nonsense, "since": nonsense}).status_code == 200


def test_pages_have_no_inline_script_and_ask_a_fixed_number_of_queries(
    mia: Any, played: LoopGroup, django_assert_max_num_queries: Any
) -> None:
    report = Artifact.objects.get(kind="report")
    paths = [
        "/runs/",
        "/loop/",
        *(f"/runs/{run.pk}/" for run in played.runs.all()),
        f"/artifacts/{report.pk}/",
        f"/reports/{report.pk}/",
    ]
    client = _as(mia)
    for path in paths:
        html = client.get(path).content.decode()
        assert " style=" not in html, path
        assert "<style" not in html, path
        assert "<script>" not in html, path
        assert "onclick" not in html, path
    ids = list(played.runs.values_list("pk", flat=True))
    with django_assert_max_num_queries(8):
        client.get("/runs/")
    with django_assert_max_num_queries(15):  # rows, picture, unread notices
        client.get("/loop/")
    with django_assert_max_num_queries(6):
        answer = client.get("/runs/live", {"id": ids})
    assert len(answer.json()["runs"]) == len(ids)


def test_a_loop_shows_its_steps_in_the_order_of_the_story(mia: Any, played: LoopGroup) -> None:
    html = _as(mia).get("/loop/").content.decode()
    titles = [
        "Snapshot",
        "Reward model",
        "Preference pairs",
        "Alignment",
        "Test clips",
        "Evaluation",
    ]
    places = [html.index(f"</span> {title}") for title in titles]
    assert places == sorted(places)
    assert f"of {played.runs.count()} runs done" in html
    assert "Open the report" in html
    # A generation shows clips that play.
    run = played.runs.filter(kind="generation").first()
    html = _as(mia).get(f"/runs/{run.pk}/").content.decode()
    assert html.count("<video") == min(8, run.summary["clips"])
    start = html.index("/v/")
    url = html[start : html.index('"', start)].replace("&amp;", "&")
    answer = _as(mia).get(url)
    assert (answer.status_code, answer["Content-Type"]) == (200, "video/mp4")


def test_the_report_page_says_what_it_found(mia: Any, played: LoopGroup) -> None:
    artifact = Artifact.objects.get(kind="report")
    html = _as(mia).get(f"/reports/{artifact.pk}/").content.decode()
    assert "Take Flow-DPO: it beats the base by the judge truth" in html
    assert "the candidate was trained on this reward" in html
    assert "0.6931472" in html
    assert "A black clip is liked." in html  # an alarm of the reward model
    assert "one annotator" in html
    assert "0.901" in html
    assert html.count("<video") >= 12
    for run in played.runs.exclude(kind="report"):
        assert f"/runs/{run.pk}/" in html
    # A damaged report is not shown.
    path_of(artifact).write_text('{"schema": "report/0"}')
    answer = _as(mia).get(f"/reports/{artifact.pk}/")
    assert answer.status_code == 410
    assert "expected schema report/1" in answer.content.decode()


# Figures of any summary.


def test_a_summary_becomes_tables_by_itself() -> None:
    summary = {"steps": 30, "test": {"VQ": {"accuracy": 0.5, "interval": [0.4, 0.6]}}}
    plain, table = figures(summary)
    assert plain.rows == [("steps", ["30"])]
    assert (table.title, table.columns) == ("test", ["accuracy", "interval"])
    assert table.rows == [("VQ", ["0.500", "[0.400, 0.600]"])]


def test_a_summary_of_any_depth_is_shown_and_a_wide_one_is_turned_round() -> None:
    many = {f"figure {n}": float(n) for n in range(12)}
    (table,) = figures({"evaluation": {"test": {"VQ": many, "TA": many}}})
    assert (table.title, table.columns) == ("evaluation: test", ["VQ", "TA"])
    assert table.rows[3] == ("figure 3", ["3.000", "3.000"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (12345, "12,345"), (0.00001, "1e-05"), (-0.25, "-0.250")],
)
def test_values_are_told_as_people_write_them(value: object, text: str) -> None:
    assert cell(value) == text


# REST.


def test_a_run_is_started_watched_and_cancelled_over_rest(mia: Any, lee: Any) -> None:
    campaign = make_campaign(pairs=2)
    client = _as(mia)
    body = {"kind": "snapshot", "config": {"campaign": campaign.pk}, "nonce": "n1", "name": "x"}
    made = client.post("/api/runs", body, content_type="application/json")
    again = client.post("/api/runs", body, content_type="application/json")
    assert (made.status_code, made.json()["id"]) == (201, again.json()["id"])
    path = f"/api/runs/{made.json()['id']}"
    assert _as(lee).get(path).json()["state"] == "queued"
    assert _as(lee).post(f"{path}/cancel").status_code == 403
    json = "application/json"
    assert client.post(f"{path}/cancel", content_type=json).json()["state"] == "cancelled"
    assert client.post(f"{path}/retry", content_type=json).status_code == 409


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"kind": "magic"}, "there is no run kind 'magic'"),
        ({"kind": "scoring", "config": {"batch": 1}}, "unknown key 'batch'"),
        ({"kind": "alignment", "inputs": {"pairs": "/etc/passwd"}}, 'must be {"artifact": id}'),
        ({"kind": "alignment", "inputs": {"pairs": {"artifact": 9}}}, "there is no artifact 9"),
        ({"kind": "generation", "prompts": {"suite": "none"}}, "of an imported suite"),
        ({"kind": "alignment", "config": []}, "config must be a JSON object"),
    ],
)
def test_a_bad_request_is_answered_with_a_sentence(mia: Any, body: Any, sentence: str) -> None:
    answer = _as(mia).post("/api/runs", body, content_type="application/json")
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]
    assert not Run.objects.exists()
