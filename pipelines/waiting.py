"""Why a queued run does not run yet, in a few words for a person."""

import math
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models import Campaign, CampaignState
from annotation.retests import votes_missing
from pipelines import lifecycle
from pipelines.models import Run, RunState, WorkerHeartbeat
from pipelines.worker_labels import Labels, fits, in_words


def waiting_for(run: Run) -> str:
    """What a queued run waits for; empty for any other run."""
    if run.state != RunState.QUEUED:
        return ""
    people = votes_awaited([run.pk]).get(run.pk, "")
    return _producers(run) or people or _next_try(run) or _worker(run) or _place(run)


def votes_awaited(run_ids: Iterable[int]) -> dict[int, str]:
    """Which of these runs wait for people, and how many votes are missing, by run."""
    rows = lifecycle.people_waits().filter(run__in=list(run_ids), campaign__isnull=False)
    return {row.run_id: _votes(row.campaign) for row in rows.select_related("campaign")}


def _votes(campaign: Campaign | None) -> str:
    assert campaign is not None  # the rows were asked for with one
    missing = votes_missing(campaign)
    votes = "1 vote is" if missing == 1 else f"{missing} votes are"
    pairs = f"{campaign.triplets_done} of {campaign.triplets_total} pairs are complete"
    paused = "; it is paused" if campaign.state == CampaignState.PAUSED else ""
    return f"waits for people: {votes} missing in {campaign.name!r}, {pairs}{paused}"


def _producers(run: Run) -> str:
    rows = (
        run.inputs.filter(artifact=None, producer__isnull=False)
        .exclude(producer__state=RunState.SUCCEEDED)
        .select_related("producer")
    )
    named = {row.producer_id: row.producer.kind for row in rows if row.producer is not None}
    if not named:
        return ""
    return "waits for " + ", ".join(f"run {pk} ({kind})" for pk, kind in sorted(named.items()))


def _next_try(run: Run) -> str:
    if run.not_before is None or run.not_before <= timezone.now():
        return ""
    seconds = math.ceil((run.not_before - timezone.now()).total_seconds())
    return f"next try in {seconds} s"


def _worker(run: Run) -> str:
    alive = live_workers()
    if not alive:
        return "waits for a worker: none is connected"
    if not any(run.queue in worker.queues for worker in alive):
        return f"waits for a worker of the queue {run.queue}: none is connected"
    if not fitting(run.queue, run.needs, alive):
        return f"waits for a worker of the queue {run.queue} with {in_words(run.needs)}"
    fit = fitting(run.queue, run.needs, alive)
    if all(each.stuck for each in fit):
        pids = ", ".join(str(stuck["pid"]) for stuck in fit[0].stuck)
        return f"waits for {fit[0].host}, where process {pids} of an ended run cannot be killed"
    return ""


def fitting(queue: str, needs: Labels, alive: Iterable[WorkerHeartbeat]) -> list[WorkerHeartbeat]:
    """Of these workers those that serve the queue and meet the needs."""
    return [each for each in alive if queue in each.queues and fits(needs, each.labels)]


def live_workers() -> list[WorkerHeartbeat]:
    """Workers that have been seen within three heartbeats."""
    recent = Now() - timedelta(seconds=3 * settings.TIEBREAK_RUN_RENEW_SECONDS)
    return list(WorkerHeartbeat.objects.filter(seen_at__gte=recent).order_by("host", "pid"))


def _place(run: Run) -> str:
    before = Q(priority__gt=run.priority) | Q(priority=run.priority, pk__lt=run.pk)
    ahead = lifecycle.claimable([run.queue]).filter(before).count()
    return f"place {ahead + 1} in the queue"
