"""One of several processes that claim or reap at the same moment.

    python racers.py {claim|naive_claim|reap|naive_reap|sweep} FOLDER [TICKS]

Says in FOLDER that it is ready, begins when `go` appears there, and prints the ids of the runs that
it got. The naive ones show that the test can fail.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[3])
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup()

from django.db.models import F  # noqa: E402
from django.utils import timezone  # noqa: E402

from pipelines import lifecycle, tasks  # noqa: E402
from pipelines.models import Run  # noqa: E402


def claim() -> list[int]:
    got = []
    while (run := lifecycle.claim(["default"], f"racer-{os.getpid()}")) is not None:
        got.append(run.pk)
    return got


def naive_claim() -> list[int]:
    """Look, then write, without a condition."""
    got = []
    while (run := Run.objects.filter(state="queued").order_by("pk").first()) is not None:
        time.sleep(0.002)
        later = timezone.now() + timedelta(minutes=1)
        Run.objects.filter(pk=run.pk).update(
            state="starting", fence=F("fence") + 1, lease_until=later
        )
        got.append(run.pk)
    return got


def naive_reap() -> list[int]:
    """Read all, then write all, without a condition."""
    expired = list(Run.objects.filter(state="running", lease_until__lt=timezone.now()))
    time.sleep(0.3)
    for run in expired:
        Run.objects.filter(pk=run.pk).update(state="queued", lease_until=None)
    return [run.pk for run in expired]


def sweep() -> list[int]:
    """What the schedule of a Celery beat does, as often as asked."""
    for _ in range(int(sys.argv[3])):
        tasks.sweep()
        time.sleep(0.05)
    return []


RACES = {
    "sweep": sweep,
    "claim": claim,
    "naive_claim": naive_claim,
    "reap": lifecycle.reap,
    "naive_reap": naive_reap,
}

if __name__ == "__main__":
    Run.objects.first()  # The connection is open before the start.
    folder = Path(sys.argv[2])
    (folder / f"ready-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)
    print(*RACES[sys.argv[1]]())
