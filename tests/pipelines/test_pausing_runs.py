"""Pause, resume, priority and whole chains: what people want of runs, and who obeys."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import AuditEntry
from pipelines import launching, lifecycle, steering, wishes
from pipelines.errors import WrongState
from pipelines.models import ACTIVE, LoopGroup, Run, RunState
from pipelines.starting import cancel_run
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.test_supervisor import _later

Queue = Callable[..., Run]
Attempt = Callable[..., Run]


def run_in(state: RunState = RunState.QUEUED, **values: Any) -> Run:
    if state in ACTIVE:
        values.setdefault("lease_until", timezone.now())
    return Run.objects.create(kind="counting", config={}, config_sha="", state=state, **values)


def states_of(group: LoopGroup) -> list[str]:
    return list(group.runs.order_by("pk").values_list("state", flat=True))


def gathered(*states: RunState) -> tuple[Run, list[Run]]:
    """A queued run that gathers chunks which are in these states."""
    chunks = [run_in(state, queue="gpu") for state in states]
    for number, chunk in enumerate(chunks):
        chunk.config = {"chunk": number, "chunks": len(chunks)}
        chunk.save(update_fields=["config"])
    whole = Run.objects.create(kind="scores_gathered", config={}, config_sha="")
    for number, chunk in enumerate(chunks):
        whole.inputs.create(role=f"scores:{number}", producer=chunk, producer_kind="scoring")
    return whole, chunks


def state_now(*runs: Run) -> list[str]:
    return [Run.objects.get(pk=run.pk).state for run in runs]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "after", "want"),
    [
        (RunState.QUEUED, RunState.PAUSED, "pause"),
        (RunState.STARTING, RunState.PAUSING, "pause"),
        (RunState.RUNNING, RunState.PAUSING, "pause"),
        (RunState.PAUSING, RunState.PAUSING, "run"),
        (RunState.PAUSED, RunState.PAUSED, "run"),
    ],
)
def test_pause_goes_as_far_as_it_can_at_once(state: RunState, after: RunState, want: str) -> None:
    run = wishes.pause(run_in(state), "mia")
    run.refresh_from_db()
    assert (run.state, run.want) == (after, want)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (RunState.CANCELLING, "is being cancelled"),
        (RunState.COMMITTING, "is done and its results are being registered"),
        (RunState.SUCCEEDED, "has ended already: it succeeded"),
        (RunState.FAILED, "has ended already: it failed"),
        (RunState.CANCELLED, "has ended already: it was cancelled"),
    ],
)
def test_what_is_done_or_given_up_cannot_be_paused(state: RunState, sentence: str) -> None:
    with pytest.raises(WrongState, match=sentence):
        wishes.pause(run_in(state), "mia")


@pytest.mark.django_db
@pytest.mark.parametrize("state", [each for each in RunState if each != RunState.PAUSED])
def test_only_what_is_paused_can_be_resumed(state: RunState) -> None:
    with pytest.raises(WrongState, match="paused"):
        wishes.resume(run_in(state))


@pytest.mark.django_db
@pytest.mark.parametrize("state", [RunState.PAUSING, RunState.PAUSED])
def test_a_pause_can_end_in_a_cancel(state: RunState) -> None:
    after = {RunState.PAUSING: RunState.CANCELLING, RunState.PAUSED: RunState.CANCELLED}
    assert wishes.cancel(run_in(state), "mia").state == after[state]


@pytest.mark.django_db
def test_a_worker_that_dies_while_a_run_pauses_leaves_it_paused_for_as_long_as_people_want() -> (
    None
):
    past = timezone.now() - timedelta(seconds=5)
    run = run_in(RunState.PAUSING, lease_until=past, attempt=1, owner="elsewhere:1:1", fence=1)
    assert lifecycle.reap() == [run.pk]
    run.refresh_from_db()
    assert (run.state, run.lease_until, run.attempt) == (RunState.PAUSED, None, 0)
    assert lifecycle.claim(["default"], "me") is None
    steering.resume_run(run)
    claimed = lifecycle.claim(["default"], "me")
    assert claimed is not None
    assert (claimed.pk, claimed.fence, claimed.want) == (run.pk, 2, "run")


@pytest.mark.promise("J8")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", [{}, {"fault": "deaf", "at": 30}], ids=["", "deaf"])
def test_a_running_run_saves_rests_and_goes_on_where_it_was(
    queue_count: Queue, attempt: Attempt, mia: Any, fault: dict[str, Any]
) -> None:
    config = {"steps": 60, "pause": 0.01, "save_every": 7}
    run = queue_count(**config, **fault)

    def pause() -> None:
        wait_until(lambda: len(steps_of(run)) > 29, "counting")
        steering.pause_run(Run.objects.get(pk=run.pk), mia)

    thread = _later(pause)
    after = attempt()
    thread.join()
    assert (after.state, after.attempt, after.message) == (RunState.PAUSED, 0, "Paused by mia.")
    assert (after.lease_until, after.owner) == (None, "")
    assert launching.leftovers(after) == []
    assert lifecycle.claim(["default"], "me") is None
    steering.resume_run(after)
    Run.objects.filter(pk=run.pk).update(config=config)
    after = attempt()
    assert (after.state, after.fence, after.summary) == (RunState.SUCCEEDED, 2, {"value": 1830})
    counted = [line["step"] for line in steps_of(run) if line["what"] == "step"]
    if not fault:  # It saved when it was asked to, so no step was made twice.
        assert counted == list(range(1, 61))
    else:  # It could not be asked, so it lost what lay behind the last checkpoint.
        assert sorted(set(counted)) == list(range(1, 61))


@pytest.mark.django_db(transaction=True)
def test_a_pause_that_comes_too_late_lets_the_run_end(queue_count: Queue, attempt: Attempt) -> None:
    """The child had finished when it was told: pausing to committing is legal."""
    run = queue_count(steps=3)
    work = lifecycle.see

    def asked_at_the_end(row: Run) -> bool:
        if Run.objects.get(pk=run.pk).state == RunState.RUNNING and len(steps_of(run)) > 3:
            wait_until(lambda: launching.run_dir(run).outcome_file.exists(), "it is done")
            wishes.pause(Run.objects.get(pk=run.pk), "mia")
        return work(row)

    lifecycle.see = asked_at_the_end
    try:
        after = attempt()
    finally:
        lifecycle.see = work
    assert after.state == RunState.SUCCEEDED
    assert after.events.filter(before="pausing", after="committing").exists()


# The queue.


@pytest.mark.django_db
def test_the_higher_priority_goes_first_then_the_older_run() -> None:
    old, urgent, later = run_in(), run_in(), run_in()
    steering.put_run_at(urgent, 10)
    steering.put_run_at(later, 10)
    order = []
    while (run := lifecycle.claim(["default"], "me")) is not None:
        order.append(run.pk)
    assert order == [urgent.pk, later.pk, old.pk]


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["101", "-101", "", "first", "1.5", "٣", True, None, [1]])
def test_a_priority_is_a_whole_number_within_its_range(given: object) -> None:
    run = run_in()
    with pytest.raises(WrongState, match="a priority is a whole number from -100 to 100"):
        wishes.put_at(run, steering.priority_of(given))
    run.refresh_from_db()
    assert run.priority == 0


@pytest.mark.django_db
def test_a_run_that_does_not_wait_has_no_place_in_the_queue() -> None:
    with pytest.raises(WrongState, match="is running; only a queued or paused run"):
        steering.put_run_at(run_in(RunState.RUNNING), 5)


# Chains.


@pytest.mark.django_db
def test_a_whole_is_not_resumed_while_a_chunk_is_still_being_paused(mia: Any) -> None:
    whole, chunks = gathered(RunState.RUNNING, RunState.QUEUED)
    steering.pause_run(whole, mia)
    assert state_now(whole, *chunks) == ["paused", "pausing", "paused"]
    with pytest.raises(WrongState, match=f"run {chunks[0].pk} is still being paused"):
        steering.resume_run(Run.objects.get(pk=whole.pk))
    assert state_now(whole, *chunks) == ["paused", "pausing", "paused"]
    assert lifecycle.rest(Run.objects.get(pk=chunks[0].pk))  # its worker has saved
    steering.resume_run(Run.objects.get(pk=whole.pk))
    assert state_now(whole, *chunks) == ["queued"] * 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("act", "wish", "after"),
    [
        (cancel_run, "cancel", ["cancelled", "cancelled", "committing", "cancelling"]),
        (steering.pause_run, "pause", ["paused", "paused", "committing", "pausing"]),
    ],
)
def test_a_chunk_that_ends_meanwhile_keeps_no_other_from_what_people_want(
    act: Callable[..., Run],
    wish: str,
    after: list[str],
    mia: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, chunks = gathered(RunState.QUEUED, RunState.RUNNING, RunState.RUNNING)
    wished = getattr(wishes, wish)

    def meanwhile(run: Run, by: str) -> Run:
        if run.pk == chunks[0].pk:
            lifecycle.move(Run.objects.get(pk=chunks[1].pk), RunState.COMMITTING)
        found: Run = wished(run, by)
        return found

    monkeypatch.setattr(wishes, wish, meanwhile)
    act(whole, mia)
    assert state_now(whole, *chunks) == after


def chain(*states: RunState) -> LoopGroup:
    """Each run reads what the one before it leaves."""
    group = LoopGroup.objects.create(name="a chain")
    before = None
    for state in states:
        run = run_in(state, group=group, reason="input_failed" if before else "crash")
        if before is not None:
            run.inputs.create(role="before", producer=before, producer_kind="scores")
        before = run
    return group


S = RunState


@pytest.mark.django_db
def test_a_chain_is_paused_resumed_and_cancelled_as_one(mia: Any) -> None:
    group = chain(S.SUCCEEDED, S.RUNNING, S.QUEUED, S.QUEUED)
    assert len(steering.pause_group(group, mia)) == 3
    assert states_of(group) == ["succeeded", "pausing", "paused", "paused"]
    assert len(steering.resume_group(group)) == 2
    assert states_of(group) == ["succeeded", "pausing", "queued", "queued"]
    assert len(steering.put_group_at(group, 7)) == 2
    assert len(steering.cancel_group(group, mia)) == 3
    assert states_of(group) == ["succeeded", "cancelling", "cancelled", "cancelled"]
    # Cancelled from the last to the first: nobody was failed for want of an input.
    assert lifecycle.fail_without_inputs() == []


@pytest.mark.django_db
def test_a_chain_that_failed_is_tried_again_as_one(mia: Any) -> None:
    group = chain(S.SUCCEEDED, S.FAILED, S.FAILED)
    steering.retry_group(group, mia)
    assert states_of(group) == ["succeeded", "queued", "queued"]


@pytest.mark.django_db
@pytest.mark.parametrize("act", [*steering.GROUP_ACTS, "explode"])
def test_what_cannot_be_done_to_any_run_of_a_chain_is_said(mia: Any, act: str) -> None:
    with pytest.raises(WrongState, match="can be"):
        steering.steer_group(chain(S.SUCCEEDED), act, mia, 3)


# Doors.


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("door", "state", "after", "body"),
    [
        ("pause", S.QUEUED, S.PAUSED, {}),
        ("resume", S.PAUSED, S.QUEUED, {}),
        ("priority", S.QUEUED, S.QUEUED, {"priority": 20}),
    ],
)
def test_an_engineer_steers_by_button_and_by_rest_and_nobody_else_does(
    lee: Any, mia: Any, alice: Any, door: str, state: S, after: S, body: dict[str, Any]
) -> None:
    for name in (f"pipelines:{door}", f"pipelines:api-{door}"):
        run = run_in(state)
        path = reverse(name, args=[run.pk])
        for stranger in (lee, alice):
            answer = _as(stranger).post(path, body, content_type="application/json")
            assert answer.status_code == 403
        kind = {"content_type": "application/json"} if "api" in name else {}
        answer = _as(mia).post(path, body, **kind)
        assert answer.status_code == (200 if kind else 302)
        run.refresh_from_db()
        assert (run.state, run.priority) == (after, body.get("priority", 0))
        entry = AuditEntry.objects.get(target=f"run {run.pk}")
        assert (entry.act, entry.person) == (f"run.{door}", mia)


@pytest.mark.django_db
def test_what_cannot_be_done_now_is_a_sentence_on_the_page_and_a_409_by_rest(mia: Any) -> None:
    run, client = run_in(S.SUCCEEDED), _as(mia)
    answer = client.post(reverse("pipelines:pause", args=[run.pk]), follow=True)
    assert f"run {run.pk} has ended already: it succeeded" in answer.content.decode()
    answer = client.post(reverse("pipelines:api-pause", args=[run.pk]))
    assert answer.status_code == 409
    assert not AuditEntry.objects.filter(act__startswith="run.").exists()


@pytest.mark.django_db
def test_a_chain_is_steered_by_button_and_by_rest(mia: Any) -> None:
    group, client = chain(S.QUEUED, S.QUEUED), _as(mia)
    answer = client.post(
        reverse("pipelines:steer-group", args=[group.pk]), {"act": "pause"}, follow=True
    )
    assert "2 runs are paused." in answer.content.decode()
    assert "Resume all" in answer.content.decode()
    answer = client.post(reverse("pipelines:api-steer-group", args=[group.pk, "resume"]))
    assert [run["state"] for run in answer.json()["runs"]] == ["queued", "queued"]
    assert client.post(f"/api/groups/{group.pk}/explode").status_code == 404
    entries = AuditEntry.objects.filter(act__startswith="group.").order_by("pk")
    acts = list(entries.values_list("act", flat=True))
    assert acts == ["group.pause", "group.resume"]


@pytest.mark.django_db
def test_the_page_of_a_run_offers_what_can_be_done_with_it(lee: Any, mia: Any) -> None:
    run = run_in(S.PAUSED)
    page = reverse("pipelines:run", args=[run.pk])
    for user, can in ((mia, True), (lee, False)):
        card = _as(user).get(reverse("pipelines:run-live", args=[run.pk])).json()["run"]
        assert (card["can_resume"], card["can_cancel"], card["can_prioritise"]) == (can,) * 3
        assert (card["can_pause"], card["can_retry"]) == (False, False)
    assert "Resume" in _as(mia).get(page).content.decode()


@pytest.mark.django_db
def test_runs_are_paused_resumed_and_put_first_from_the_admin(mia: Any) -> None:
    runs, client = [run_in(), run_in()], _as(mia)
    wanted = {"_selected_action": [run.pk for run in runs]}
    for act, states in (
        ("pause_runs", {"paused"}),
        ("resume_runs", {"queued"}),
        ("put_first", {"queued"}),
    ):
        client.post("/admin/pipelines/run/", {**wanted, "action": act})
        assert set(Run.objects.values_list("state", flat=True)) == states
    assert set(Run.objects.values_list("priority", flat=True)) == {50}
