"""The admin: starting runs and loops, records afterwards, cancel and retry, who may what."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pipelines import kinds, lifecycle
from pipelines.forms import StartRunForm, default_config, initial_of
from pipelines.loops.chain import start_loop
from pipelines.models import LoopGroup, Run, RunState
from pipelines.starting import start_run
from pipelines.suites.shelf import import_suite
from tests.pipelines.loop_world import base_models, loop_config, make_campaign, play, play_all

pytestmark = pytest.mark.django_db


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def played(mia: Any) -> LoopGroup:
    group = start_loop(make_campaign(user=mia, pairs=8), loop_config(), mia)
    play_all(group)
    return group


def test_an_engineer_starts_a_run_from_the_admin_and_is_shown_it_live(mia: Any) -> None:
    campaign = make_campaign(pairs=2)
    client = _as(mia)
    assert (
        "Take a snapshot of a campaign" in client.get("/admin/pipelines/run/add/").content.decode()
    )
    page = client.get("/admin/pipelines/run/add/?kind=snapshot")
    assert campaign.name in page.content.decode()
    body = {"name": "by hand", "config": json.dumps({"campaign": campaign.name})}
    answer = client.post("/admin/pipelines/run/add/?kind=snapshot", body)
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.pk}/"
    assert (run.name, run.created_by) == ("by hand", mia)
    assert LogEntry.objects.get().user == mia
    assert play(run).state == "succeeded"


def test_a_bad_config_comes_back_with_one_sentence_and_starts_nothing(mia: Any) -> None:
    client = _as(mia)
    path = "/admin/pipelines/run/add/?kind=snapshot"
    answer = client.post(path, {"config": '{"campaign": "nobody"}'})
    assert "there is no campaign &#x27;nobody&#x27;" in answer.content.decode()
    answer = client.post(path, {"config": '{"campaign": \n nobody}'})
    assert "Not JSON: Expecting value, line 2, column 2." in answer.content.decode()
    assert not Run.objects.exists()


def test_leads_look_and_annotators_stay_outside(lee: Any, alice: Any) -> None:
    run = start_run("snapshot", {"campaign": make_campaign(pairs=1).pk}, user=None)
    client = _as(lee)
    assert client.get("/admin/pipelines/run/").status_code == 200
    page = client.get(f"/admin/pipelines/run/{run.pk}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert client.get("/admin/pipelines/run/add/").status_code == 403
    assert client.get("/admin/pipelines/loopgroup/add/").status_code == 403
    assert _as(alice).get("/admin/pipelines/run/").status_code == 403


def test_nobody_edits_or_deletes_a_record(olga: Any) -> None:
    run = start_run("snapshot", {"campaign": make_campaign(pairs=1).pk}, user=None)
    client = _as(olga)
    assert client.post(f"/admin/pipelines/run/{run.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"/admin/pipelines/run/{run.pk}/delete/").status_code == 403


def _act(client: Client, name: str, *runs: Run) -> str:
    body = {"action": name, "_selected_action": [run.pk for run in runs]}
    return client.post("/admin/pipelines/run/", body, follow=True).content.decode()


def test_cancel_and_retry_are_actions(mia: Any, lee: Any) -> None:
    campaign = make_campaign(pairs=2)
    first, second = (start_run("snapshot", {"campaign": campaign.pk}, user=mia) for _ in range(2))
    assert "is being cancelled" in _act(_as(mia), "cancel_runs", first)
    failed = lifecycle.claim([second.queue], "h:1:2", run_id=second.pk)
    assert failed is not None
    lifecycle.move(failed, RunState.FAILED, reason="crash")
    text = _act(_as(mia), "retry_runs", first, second)
    assert "is in the queue again" in text
    assert "only a failed run can be tried again" in text
    _act(_as(lee), "cancel_runs", second)
    second.refresh_from_db()
    assert second.state == "queued"


def test_each_changelist_asks_a_fixed_number_of_queries(
    mia: Any, played: LoopGroup, django_assert_max_num_queries: Any
) -> None:
    client = _as(mia)
    for model in ("run", "loopgroup", "artifact", "basemodel", "suite", "workerheartbeat"):
        with django_assert_max_num_queries(10):
            assert client.get(f"/admin/pipelines/{model}/").status_code == 200
    # Only what may play a role can be picked for it.
    html = client.get("/admin/pipelines/run/add/?kind=scoring").content.decode()
    model = played.runs.get(kind="reward_model").artifacts.get()
    adapter = played.runs.filter(kind="alignment")[0].artifacts.get()
    assert f'value="artifact:{model.pk}"' in html
    assert "base model: tiny-vlm" in html
    assert f'value="artifact:{adapter.pk}"' not in html


@pytest.mark.parametrize("kind", kinds.names())
def test_the_form_of_every_kind_opens_with_a_config_that_is_json(mia: Any, kind: str) -> None:
    html = _as(mia).get(f"/admin/pipelines/run/add/?kind={kind}").content.decode()
    assert "Start this run" in html
    assert json.dumps(default_config(kinds.get(kind)))


def test_a_run_like_another_begins_with_its_inputs(mia: Any, played: LoopGroup) -> None:
    run = played.runs.filter(kind="evaluation")[0]
    values = initial_of(run)
    assert len(values["base_scores"]) == 2
    client = _as(mia)
    assert client.get(f"/admin/pipelines/run/add/?like={run.pk}").status_code == 200
    body = {key: value for key, value in values.items() if value}
    answer = client.post("/admin/pipelines/run/add/?kind=evaluation", body)
    again = Run.objects.get(pk=int(answer["Location"].split("/")[2]))
    # The same judges find each other on both sides, whatever they were called before.
    roles = {row.role for row in again.inputs.all()}
    model = played.runs.get(kind="reward_model")
    assert f"base_scores:reward-{model.pk}" in roles
    assert "candidate_scores:truth" in roles
    assert play(again).state == "succeeded"


def test_prompts_come_from_a_suite_or_a_campaign(mia: Any, tmp_path: Any) -> None:
    path = tmp_path / "s.txt"
    path.write_text("".join(f"prompt {n}\n" for n in range(40)))
    suite = import_suite(path, "s").suite
    base_models()
    form = StartRunForm(
        kinds.get("generation"),
        {"config": "{}", "generator": "base_model:2", "prompts": f"suite:{suite.pk}",
         "prompts_split": "test", "prompts_limit": "3"},
    )  # fmt: skip
    form.fields["generator"].choices = [("base_model:2", "")]
    assert form.is_valid(), form.errors
    (prompts,) = form.given().values()
    assert len(prompts) == 3
    assert {prompt.split for prompt in prompts} == {"test"}


def test_a_whole_loop_starts_from_the_admin(mia: Any) -> None:
    campaign = make_campaign(pairs=8)
    client = _as(mia)
    base_models()
    assert "alignments" in client.get("/admin/pipelines/loopgroup/add/").content.decode()
    body = {"campaign": campaign.pk, "config": json.dumps(loop_config())}
    answer = client.post("/admin/pipelines/loopgroup/add/", body)
    group = LoopGroup.objects.get()
    assert answer["Location"] == f"/loop/{group.pk}/"
    body["config"] = json.dumps(loop_config(pairing={"minimum_gapp": 1}))
    refused = client.post("/admin/pipelines/loopgroup/add/", body).content.decode()
    assert "did you mean &#x27;minimum_gap&#x27;" in refused
    assert LoopGroup.objects.count() == 1
