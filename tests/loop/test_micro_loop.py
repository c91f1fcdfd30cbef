"""The whole loop on the micro preset: from votes to a report, on real processes, both ways."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.models import Campaign, Vote, VoteState
from formats.outcome import OutputKind
from pipelines import demo_site, registry
from pipelines.models import ENDED, Artifact, LoopGroup, Metric, Run, RunState
from tests.loop.conftest import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("loop"),
]

LOOP_SECONDS = 420


@pytest.fixture
def loop(live_server: Any, settings: Any, tmp_path: Path) -> LoopGroup:
    """The micro demo, filled: its runs are queued and no worker is there."""
    settings.VAR = tmp_path / "var"
    values = demo_site.preset("micro")
    demo_site.prepare(values)
    return demo_site.fill(values, live_server.url, lambda text: None)


def story(log: Path) -> str:
    runs = "\n".join(f"{r.pk} {r.kind} {r.state} {r.reason} {r.message}" for r in Run.objects.all())
    return f"{runs}\n{log.read_text()[-3000:] if log.exists() else 'no log'}"


def await_the_end(log: Path) -> None:
    def ended() -> bool:
        states = set(Run.objects.values_list("state", flat=True))
        return states <= set(ENDED) or RunState.FAILED in states

    wait_until(ended, LOOP_SECONDS, lambda: story(log))
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.SUCCEEDED}, story(log)


def first_loss(name: str) -> float:
    """The loss of the first step, computed before its update."""
    losses = Metric.objects.filter(run__kind="alignment", run__name=name, name="loss")
    return losses.earliest("step").value


def assert_every_arrow_carried_something(group: LoopGroup) -> None:
    campaign = Campaign.objects.get(pk=group.campaign_id)
    counted = Vote.objects.filter(triplet__campaign=campaign, state=VoteState.COUNTED).count()
    assert counted >= campaign.triplets.count() * campaign.votes_wanted
    kinds = set(Artifact.objects.values_list("kind", flat=True))
    assert kinds >= set(OutputKind) - {OutputKind.INGEST}  # the demo renders its clips itself
    report = Artifact.objects.get(kind=OutputKind.REPORT)
    lineage = registry.lineage([report.run_id])
    assert {step.run.kind for step in lineage} >= {
        "pretrain", "votes", "snapshot", "reward_model", "scoring", "pairing", "alignment",
        "generation", "truth", "evaluation",
    }  # fmt: skip
    engineer = Client()
    engineer.force_login(User.objects.get(username="engineer"))
    page = engineer.get(f"/reports/{report.pk}/")
    assert page.status_code == 200
    assert b"Flow-DPO" in page.content


def test_it_goes_from_votes_to_a_report_without_a_broker(
    loop: LoopGroup, worker: Callable[..., Any], tmp_path: Path
) -> None:
    with worker():
        await_the_end(tmp_path / "worker.log")
    assert_every_arrow_carried_something(loop)
    # Policy and reference are the same network at the start: ln 2, whatever the data.
    assert first_loss("Flow-DPO") == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.redis
def test_it_goes_the_same_way_through_a_celery_worker_on_redis(
    loop: LoopGroup,
    celery_worker: Callable[[str], Any],
    redis_url: str,
    settings: Any,
    tmp_path: Path,
) -> None:
    settings.CELERY_BROKER_URL = redis_url
    with celery_worker(redis_url):
        ring_everything(redis_url)
        await_the_end(tmp_path / "celery.log")
    assert_every_arrow_carried_something(loop)


def ring_everything(broker: str) -> None:
    """The loop was written before there was a broker: what beat does every 15 seconds, once."""
    from config.celery import app

    app.conf.broker_url = broker
    app.send_task("pipelines.tasks.sweep")
