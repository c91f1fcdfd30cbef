"""A media import whose processes are killed goes on; nothing comes twice, nothing is left."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Video
from pipelines import launching
from pipelines.ingests.ingesting import run_journal
from pipelines.models import Run, RunState
from pipelines.starting import start_run
from tests.annotation import hostile_media as hostile
from tests.pipelines.conftest import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.one_engine,
]
CLIPS = 30


@pytest.fixture
def run(settings: Any, short_times: Any) -> Run:
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "batch"
    folder.mkdir(parents=True)
    for number in range(CLIPS):
        # Each has other pictures and has to be encoded, which takes a moment.
        hostile.clip(folder / f"{number}.mp4", codec="mpeg4", side=128 + 2 * number, frames=30)
    return start_run("ingest", {"folder": "batch", "prompt": "p", "processes": 2}, user=None)


def settled(run: Run) -> int:
    file = run_journal(launching.run_dir(run).root)
    return file.read_bytes().count(b"\n") if file.exists() else 0


def state_of(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def performer(run: Run) -> int:
    """The process id of `manage.py perform RUN_DIR`, as soon as it has become that."""
    words = str(launching.run_dir(run).root).encode()
    found: list[int] = []

    def look() -> bool:
        run.refresh_from_db()  # its fence tells which processes are its own
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.extend(
                pid
                for pid in launching.leftovers(run)
                if words in Path(f"/proc/{pid}/cmdline").read_bytes()
            )
        return bool(found)

    wait_until(look, "the run has a process", 20)
    return found[0]


def test_kill_9_again_and_again(
    run: Run, start_worker: Callable[..., subprocess.Popen[bytes]]
) -> None:
    Run.objects.filter(pk=run.pk).update(max_attempts=10)
    start_worker()
    for wanted in (3, 9, 15):
        wait_until(lambda wanted=wanted: settled(run) >= wanted, f"{wanted} clips", 60)
        at_work = performer(run)
        family = launching.leftovers(run)
        os.kill(at_work, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_alive(pid) for pid in family):
            assert time.monotonic() < deadline, "a child outlived its run"
            time.sleep(0.05)
    wait_until(lambda: state_of(run) == RunState.SUCCEEDED, "the run succeeds", 90)
    run.refresh_from_db()
    assert run.message == f"{CLIPS} of {CLIPS} files taken, 0 refused."
    assert Video.objects.count() == CLIPS
    assert launching.leftovers(run) == []


def test_cancel_stops_it_within_the_grace_and_keeps_what_is_taken(
    run: Run, start_worker: Callable[..., subprocess.Popen[bytes]]
) -> None:
    from pipelines.wishes import cancel

    start_worker()
    wait_until(lambda: settled(run) >= 2, "two clips", 60)
    run.refresh_from_db()
    cancel(run, "test")
    wait_until(lambda: state_of(run) == RunState.CANCELLED, "the run is cancelled", 15)
    assert launching.leftovers(run) == []
    assert 2 <= Video.objects.count() <= CLIPS


def _alive(pid: int) -> bool:
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
