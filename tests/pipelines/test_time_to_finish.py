"""How long a run will still take: by its own pace, or by what its kind takes; no waiting."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pipelines import lifecycle, wishes, work_times
from pipelines.models import Run, RunEvent, RunState
from pipelines.run_cards import cards
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued(mia: Any) -> Run:
    return start_run("snapshot", {"campaign": make_campaign(pairs=2).pk}, user=mia)


def _claimed(run: Run) -> Run:
    found = lifecycle.claim([run.queue], "h:1:2", run_id=run.pk)
    assert found is not None
    assert lifecycle.move(found, RunState.RUNNING)
    return found


def _ago(run: Run, **seconds: float) -> None:
    """Let the events of a run have happened so many seconds ago: starting=60 …"""
    for after, span in seconds.items():
        at = timezone.now() - timedelta(seconds=span)
        newest = RunEvent.objects.filter(run=run, after=after).order_by("-pk")[0]
        RunEvent.objects.filter(pk=newest.pk).update(at=at)


def test_only_the_time_at_work_counts(queued: Run, mia: Any) -> None:
    run = _claimed(queued)
    wishes.pause(run, "mia")
    run.refresh_from_db()
    assert lifecycle.move(run, RunState.PAUSED)
    _ago(run, starting=9000, paused=8970)  # half a minute at work, then two hours and a half
    wishes.resume(run)
    run = _claimed(run)
    _ago(run, starting=30)
    lifecycle.note_progress(run, step=20, total=100, stage="training")
    run.refresh_from_db()
    assert work_times.worked([run], timezone.now())[run.pk].total_seconds() == pytest.approx(60, 1)
    # 20 steps took 60 s, so 80 take 240 s; with the time of the pause it would be ten hours.
    assert cards([run], mia)[0].left in {"4 min", "3 min 59 s", "4 min 1 s"}


def test_a_run_of_few_stages_is_told_by_what_its_kind_takes(queued: Run, mia: Any) -> None:
    earlier = play(start_run("snapshot", {"campaign": queued.config["campaign"]}, user=mia))
    Run.objects.filter(pk=earlier.pk).update(
        started_at=timezone.now() - timedelta(seconds=100), finished_at=timezone.now()
    )
    run = _claimed(queued)
    _ago(run, starting=40)
    lifecycle.note_progress(run, step=1, total=3, stage="writing")
    run.refresh_from_db()
    assert cards([run], mia)[0].left in {"1 min", "59 s", "1 min 1 s"}
    _ago(run, starting=140)  # longer than usual: nothing is promised
    assert cards([run], mia)[0].left == ""


def test_without_any_knowledge_nothing_is_said(queued: Run, mia: Any) -> None:
    run = _claimed(queued)
    assert cards([run], mia)[0].left == ""


def test_a_disturbed_run_is_no_measure() -> None:
    Run.objects.bulk_create(
        [
            Run(
                kind="snapshot", config={}, config_sha="0", state=RunState.SUCCEEDED,
                attempt=attempt, started_at=timezone.now() - timedelta(seconds=seconds),
                finished_at=timezone.now(),
            )
            for attempt, seconds in ((1, 10), (1, 20), (1, 30), (2, 9000))
        ]
    )  # fmt: skip
    usual = work_times.expected(["snapshot", "report"])
    assert usual.keys() == {"snapshot"}
    assert usual["snapshot"].total_seconds() == pytest.approx(20, abs=0.5)


def test_lists_ask_twice_however_many_runs_are_at_work(
    mia: Any, django_assert_max_num_queries: Any
) -> None:
    campaign = make_campaign(pairs=2)
    runs = [_claimed(start_run("snapshot", {"campaign": campaign.pk}, user=mia)) for _ in range(5)]
    cards(runs[:1], mia)  # the roles of mia are read once
    with django_assert_max_num_queries(3):
        cards(runs, mia)
