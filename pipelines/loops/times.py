"""How long a loop took, from the rows of its runs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipelines.models import Artifact, Run, RunInput


def loop_times(report: Artifact) -> dict[str, Any]:
    """Seconds from the first step of the report's loop to the report, and of the pretraining.

    `shared_seconds` is how long the loop ran while its bases were still being pretrained; it is 0
    where they were there before. `attempts` above the number of `steps` means that something was
    started again, so that the times are not those of an undisturbed loop.
    """
    group = report.run.group
    if group is None or report.run.finished_at is None:
        return {}
    steps = list(Run.objects.filter(group=group))
    bases = list(Run.objects.filter(pk__in=_makers_of_bases(steps)))
    begun, ended = _first(steps), report.run.finished_at
    trained = max((base.finished_at for base in bases if base.finished_at), default=begun)
    return {
        "loop_seconds": round((ended - begun).total_seconds(), 1),
        "pretraining_seconds": round((trained - _first(bases)).total_seconds(), 1)
        if bases
        else None,
        "shared_seconds": round(max(0.0, (min(trained, ended) - begun).total_seconds()), 1),
        "steps": len(steps),
        "attempts": sum(step.attempt for step in steps),
    }


def _first(runs: Iterable[Run]) -> datetime:
    return min(run.started_at for run in runs if run.started_at)


def _makers_of_bases(steps: Iterable[Run]) -> set[int]:
    inputs = RunInput.objects.filter(run__in=list(steps)).select_related("base_model__artifact")
    by_model = {
        row.base_model.artifact.run_id
        for row in inputs
        if row.base_model is not None and row.base_model.artifact is not None
    }
    waited_for = inputs.filter(producer__kind="pretrain").values_list("producer_id", flat=True)
    return by_model | set(waited_for)
