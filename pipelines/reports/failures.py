"""What went wrong on the way to a report, or is missing from it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.models import Run, RunState
from pipelines.registry import Step


def failures(
    row: Run, steps: Sequence[Step], evaluations: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each with a word for machines, the run, and a sentence."""
    from pipelines.tracing import gaps  # it knows starting, which knows all kinds

    return [
        *_left_out(evaluations),
        *_unfinished(row),
        *_tried_again(steps),
        *_alarms(steps),
        *(
            {"what": "gap", "run": None, "text": f"{each[0].upper()}{each[1:]}."}
            for each in gaps(steps)
        ),
    ]


def _left_out(evaluations: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    words = {
        "unmatched": "{count} clips have no partner of the same prompt and seed",
        "unreadable": "{count} clips could not be read",
    }
    for each in evaluations:
        for judge in each["judges"]:
            for key, sentence in words.items():
                if judge[key]:
                    text = sentence.format(count=judge[key])
                    text = f"{each['candidate']}, judge {judge['judge']}: {text} and are left out."
                    yield {"what": key, "run": each["run"], "text": text}


def _unfinished(row: Run) -> Iterable[dict[str, Any]]:
    """Runs of the same group that came to no end, though the report does not read them."""
    if row.group is None:
        return
    lost = row.group.runs.filter(state__in=(RunState.FAILED, RunState.CANCELLED)).order_by("pk")
    for run in lost:
        why = f": {run.message}" if run.message else "."
        yield {"what": run.state, "run": run.pk, "text": f"{run} has {run.state}{why}"}


def _tried_again(steps: Iterable[Step]) -> Iterable[dict[str, Any]]:
    for step in steps:
        failed = step.run.attempt - 1
        if failed > 0:
            times = "once" if failed == 1 else f"{failed} times"
            text = f"{step.run} failed {times} before it succeeded."
            yield {"what": "tried again", "run": step.run.pk, "text": text}


def _alarms(steps: Iterable[Step]) -> Iterable[dict[str, Any]]:
    for step in steps:
        for alarm in step.run.summary.get("alarms", []):
            yield {"what": "alarm", "run": step.run.pk, "text": f"{step.run}: {alarm}"}
