"""The whole loop on the micro preset: from votes to a report, on real processes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.models import Campaign, Vote, VoteState
from formats.outcome import OutputKind
from pipelines import launching, registry
from pipelines.models import Artifact, LoopGroup, Metric
from tests.loop.conftest import await_the_end

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("loop"),
]


def first_loss(name: str) -> float:
    """The loss of the first step, computed before its update."""
    losses = Metric.objects.filter(run__kind="alignment", run__name=name, name="loss")
    return losses.earliest("step").value


def assert_every_arrow_carried_something(group: LoopGroup) -> None:
    campaign = Campaign.objects.get(pk=group.campaign_id)
    counted = Vote.objects.filter(triplet__campaign=campaign, state=VoteState.COUNTED).count()
    assert counted >= campaign.triplets.count() * campaign.votes_wanted
    kinds = set(Artifact.objects.values_list("kind", flat=True))
    # What a loop is made of; the demo renders its clips itself, so nothing was taken in.
    assert kinds == {
        OutputKind.VOTES, OutputKind.SNAPSHOT, OutputKind.BASE_MODEL, OutputKind.REWARD_MODEL,
        OutputKind.ADAPTER, OutputKind.GENERATIONS, OutputKind.SCORES, OutputKind.PAIRS,
        OutputKind.EVALUATION, OutputKind.REPORT,
    }  # fmt: skip
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


def assert_every_run_told_how_far_it_was(loop: LoopGroup) -> None:
    """To the end, with the memory that it took; trainers in event files too."""
    for run in loop.runs.all():
        assert 0 < run.step == run.total, run
        assert run.metrics.filter(name="memory_mb", value__gt=20).exists(), run
        learns = run.metrics.filter(name="loss").exists()
        assert launching.run_dir(run).tensorboard.is_dir() or not learns, run


def test_it_goes_from_votes_to_a_report_without_a_broker(
    loop: LoopGroup, worker: Callable[..., Any], tmp_path: Path
) -> None:
    with worker():
        await_the_end(tmp_path / "worker.log")
    assert_every_arrow_carried_something(loop)
    assert_every_run_told_how_far_it_was(loop)
    # Policy and reference are the same network at the start: ln 2, whatever the data.
    assert first_loss("Flow-DPO") == pytest.approx(math.log(2), abs=1e-6)
