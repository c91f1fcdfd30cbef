"""From votes to a reward model through a Celery worker on Redis: the loop's first half.

Every step is claimed, started and registered by the same supervisor as without a broker, where the
whole loop is run; what Celery adds is tested here: queues, doorbells, steps that wait for others.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Campaign, Vote, VoteState
from formats.outcome import OutputKind
from pipelines import registry, wishes
from pipelines.models import Artifact, LoopGroup, Run
from tests.loop.conftest import await_the_end

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("loop"),
]


@pytest.fixture
def first_half(loop: LoopGroup) -> Run:
    """What the loop's reward model stands on stays in the queue; the rest is cancelled."""
    reward_model = loop.runs.filter(kind="reward_model").earliest("pk")
    kept = {step.run.pk for step in registry.lineage([reward_model.pk])}
    for run in Run.objects.exclude(pk__in=kept):
        wishes.cancel(run, "test")
    return reward_model


def test_it_goes_from_votes_to_a_reward_model_through_a_celery_worker_on_redis(
    first_half: Run,
    celery_worker: Callable[[str], Any],
    redis_url: str,
    settings: Any,
    tmp_path: Path,
) -> None:
    settings.CELERY_BROKER_URL = redis_url
    with celery_worker(redis_url):
        ring_everything(redis_url)
        await_the_end(tmp_path / "celery.log")
    kinds = {step.run.kind for step in registry.lineage([first_half.pk])}
    assert kinds == {"pretrain", "votes", "snapshot", "reward_model"}
    assert Artifact.objects.filter(run=first_half, kind=OutputKind.REWARD_MODEL).count() == 1
    campaign = Campaign.objects.get(pk=first_half.group.campaign_id)
    counted = Vote.objects.filter(triplet__campaign=campaign, state=VoteState.COUNTED).count()
    assert counted >= campaign.triplets.count() * campaign.votes_wanted


def ring_everything(broker: str) -> None:
    """The loop was written before there was a broker: what beat does every 15 seconds, once."""
    from config.celery import app

    app.conf.broker_url = broker
    app.send_task("pipelines.tasks.sweep")
