"""What the soak does to the database, each in a process of its own.

    python -m bench.soak_jobs JOB < orders.json      one JSON object in, one out

DATABASE_URL and RUNS_ROOT name the site.
"""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

# So many steps that a run of the micro loop takes a minute: long enough to be hit, and hit again.
LANES: Final[dict[str, dict[str, Any]]] = {
    "pretrain": {"steps": 400, "save_every": 40},
    "reward_model": {"steps": 150, "save_every": 10, "eval_every": 50},
    "alignment": {"steps": 150, "save_every": 10},
}


def fill(orders: Mapping[str, Any]) -> dict[str, Any]:
    """The micro loop, queued: its runs are what the soak starts again and again."""
    from django.contrib.auth import get_user_model

    from annotation.accounts.tokens import make_token
    from pipelines.loops import demo_site

    values = demo_site.preset("micro")
    demo_site.prepare(values)
    group = demo_site.fill(values, orders["url"], lambda _: None)
    engineer = get_user_model().objects.get(username="engineer")
    return {"group": group.pk, "token": make_token(engineer, "soak")[1]}


def progress(_orders: Mapping[str, Any]) -> dict[str, Any]:
    """How many runs have not ended, and what failed."""
    from pipelines.models import ENDED, Run

    failed = Run.objects.filter(state="failed").values_list("pk", "kind", "message")
    return {
        "open": Run.objects.exclude(state__in=ENDED).count(),
        "failed": [list(each) for each in failed],
    }


def lanes(_orders: Mapping[str, Any]) -> dict[str, Any]:
    """One request per lane, from the runs of the loop: longer, with the same inputs."""
    from pipelines.models import Run

    found = {}
    for kind, longer in LANES.items():
        of_kind = Run.objects.filter(kind=kind, state="succeeded").order_by("-pk")
        run = of_kind.filter(config__has_key="clips_per_step").first() or of_kind.first()
        assert run is not None, f"the loop has no {kind} run"
        # What was written beside the config (prompts) and what is only watched is left out.
        kept = run.inputs.filter(file="").exclude(role__in=("watch_prompts", "judge"))
        inputs = {
            row.role: {"artifact": row.artifact_id}
            if row.artifact_id
            else {"base_model": row.base_model_id}
            for row in kept
        }
        config = {**run.config, **longer}
        found[kind] = {"kind": kind, "config": config, "inputs": inputs}
    return {"lanes": found}


def audit(orders: Mapping[str, Any]) -> dict[str, Any]:
    """Runs against the ledger of what was acknowledged; artifacts against their bytes."""
    from pipelines.models import Artifact, Run

    acknowledged = set(orders["runs"])
    runs = Run.objects.in_bulk(acknowledged)
    succeeded = [run for run in runs.values() if run.state == "succeeded"]
    return {
        "runs_acknowledged": len(acknowledged),
        "runs_lost": len(acknowledged - set(runs)),
        "runs_succeeded": len(succeeded),
        "runs_left": {run.pk: run.state for run in runs.values() if run.state != "succeeded"},
        "ended_twice": sum(_endings(run) != 1 for run in succeeded),
        "without_artifact": sum(not run.artifacts.exists() for run in succeeded),
        "artifacts": Artifact.objects.count(),
        "artifacts_lost": sum(not _is_whole(each) for each in Artifact.objects.all()),
        "attempts_lost": sum(run.events.filter(note="lost").count() for run in runs.values()),
        "recovery_s": _recoveries(orders["struck"]),
    }


def _endings(run: Any) -> int:
    return int(run.events.filter(after="succeeded").count())


def _is_whole(artifact: Any) -> bool:
    from formats.errors import FormatError
    from formats.outcome import Output
    from formats.run_dir import RunDir
    from pipelines import launching, registering

    inside = str(Path(artifact.path).relative_to(str(artifact.run_id)))
    folder: RunDir = launching.run_dir(artifact.run)
    try:
        registering.verify(folder, Output(artifact.kind, inside, artifact.sha256))
    except FormatError:
        return False
    return True


def _recoveries(struck: list[Any]) -> list[float]:
    """For each killed run: seconds until it was back in the queue, or had ended all the same."""
    from pipelines.models import RunEvent

    times = []
    for run_id, fence, at in struck:
        moment = datetime.fromisoformat(at)
        event = (
            RunEvent.objects.filter(run_id=run_id, at__gte=moment, fence=fence)
            .exclude(after__in=("running", "committing"))
            .order_by("id")
            .first()
        )
        times.append((event.at - moment).total_seconds() if event else float("inf"))
    return times


JOBS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "fill": fill,
    "progress": progress,
    "lanes": lanes,
    "audit": audit,
}


def main() -> None:
    import django

    django.setup()
    print(json.dumps(JOBS[sys.argv[1]](json.load(sys.stdin))))


if __name__ == "__main__":
    main()
