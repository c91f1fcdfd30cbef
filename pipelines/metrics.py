"""What Prometheus is told: counted in the database at the moment of asking, so any process may say.

Latencies are counted where they happen; several processes of one site share them by a folder
(PROMETHEUS_MULTIPROC_DIR, which config/gunicorn.py makes).
"""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models import Count, Min
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from annotation.models import Campaign, CampaignState, Slot, SlotState, Vote
from pipelines import alerts, lifecycle, waiting
from pipelines.models import QueueName, Run, RunState

_HOUR: Final = timedelta(hours=1)


class OfTheSite(Collector):
    """Gauges and counters that are rows."""

    def collect(self) -> Iterator[Metric]:
        yield from _runs()
        yield from _votes()
        yield _workers()
        yield _disks()
        yield _alerts()


def text() -> bytes:
    """Everything, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(OfTheSite())
    shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if shared and Path(shared).is_dir():
        MultiProcessCollector(registry, shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(registry) + generate_latest(REGISTRY)


def _runs() -> Iterator[Metric]:
    states = GaugeMetricFamily("tiebreak_runs", "Runs by kind and state.", labels=["kind", "state"])
    for row in Run.objects.values("kind", "state").annotate(count=Count("pk")).order_by():
        states.add_metric([row["kind"], row["state"]], row["count"])
    yield states
    length = GaugeMetricFamily("tiebreak_queue_runs", "Runs that wait.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "tiebreak_queue_oldest_seconds", "Age of the run that waits longest.", labels=["queue"]
    )
    # Whoever waits for votes waits for no worker.
    waiting_runs = Run.objects.filter(state=RunState.QUEUED).values_list("queue")
    waiting_runs = waiting_runs.exclude(pk__in=lifecycle.people_waits().values("run"))
    found = {
        queue: (count, (timezone.now() - first).total_seconds())
        for queue, count, first in waiting_runs.annotate(Count("pk"), Min("created_at")).order_by()
    }
    for queue in QueueName.values:
        count, age = found.get(queue, (0, 0.0))
        length.add_metric([queue], count)
        oldest.add_metric([queue], max(age, 0.0))
    yield length
    yield oldest


def _votes() -> Iterator[Metric]:
    votes = CounterMetricFamily("tiebreak_votes", "Votes, every revision of each.")
    votes.add_metric([], Vote.objects.count())
    yield votes
    recent = GaugeMetricFamily("tiebreak_votes_last_hour", "Votes of the last hour.")
    recent.add_metric([], Vote.objects.filter(submitted_at__gte=Now() - _HOUR).count())
    yield recent
    held = GaugeMetricFamily("tiebreak_leases", "Pairs that lie before annotators.")
    held.add_metric([], Slot.objects.filter(state=SlotState.LEASED).count())
    yield held
    open_ones = GaugeMetricFamily("tiebreak_campaigns_open", "Campaigns that take votes.")
    open_ones.add_metric([], Campaign.objects.filter(state=CampaignState.OPEN).count())
    yield open_ones


def _workers() -> Metric:
    workers = GaugeMetricFamily("tiebreak_workers", "Workers that are alive.", labels=["queue"])
    alive = waiting.live_workers()
    for queue in QueueName.values:
        workers.add_metric([queue], sum(queue in each.queues for each in alive))
    return workers


def _disks() -> Metric:
    share = GaugeMetricFamily(
        "tiebreak_disk_used_ratio", "Of the disks that hold clips and runs.", labels=["place"]
    )
    for name, folder in {"media": settings.MEDIA_ROOT, "runs": settings.RUNS_ROOT}.items():
        if Path(folder).is_dir():
            usage = shutil.disk_usage(folder)
            share.add_metric([name], usage.used / usage.total)
    return share


def _alerts() -> Metric:
    raised = GaugeMetricFamily(
        "tiebreak_alert", "1 for each alert that holds now.", labels=["alert", "about"]
    )
    for each in alerts.standing():
        raised.add_metric([each.key, each.about], 1)
    return raised
