"""What earlier runs of a kind took: how long, and how much memory. What a forecast stands on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, Final

from django.db.models import Max, Q

from formats.memory import GPU, RESIDENT
from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.errors import InvalidRunConfig
from pipelines.models import ENDED, Artifact, BaseModel, Metric, Run, RunInput, RunState

_LOOKED_AT: Final = 20  # the newest ones of a kind
# Entries that neither the length of a step nor its memory hangs on.
_WITHOUT_WEIGHT: Final = frozenset(
    {
        "name", "title", "licence", "seed", "steps", "epochs", "lr", "learning_rate",
        "vision_learning_rate", "head_learning_rate", "theta_learning_rate", "weight_decay",
        "warmup", "warmup_steps", "schedule", "max_grad_norm", "log_every", "save_every",
        "eval_every", "patience", "keep", "bootstrap", "theta", "alarms", "stop_on", "chunk",
        "prompts", "temperature", "negative_prompt",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Earlier:
    """One run that has ended, with what it took."""

    run: Run
    base: frozenset[str]  # the base models that it read
    memory: Mapping[str, float]  # megabytes, by the name of the figure

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """With the defaults of today for what did not exist then; None where it is refused now."""
        try:
            return kinds.get(self.run.kind).check(self.run.config)
        except InvalidRunConfig:
            return None

    @cached_property
    def size(self) -> str:
        return size_of(self.run.config if self.config is None else self.config)

    @property
    def seconds(self) -> float | None:
        """From start to end; None of a run that was disturbed: it waited in between."""
        run = self.run
        if run.state != RunState.SUCCEEDED or run.attempt > 1:
            return None
        if run.started_at is None or run.finished_at is None:
            return None
        return (run.finished_at - run.started_at).total_seconds()


def size_of(config: Mapping[str, Any]) -> str:
    """What the size of a step and its memory hang on; equal texts are equal sizes."""
    kept = {key: value for key, value in config.items() if key not in _WITHOUT_WEIGHT}
    return json.dumps(kept, sort_keys=True, default=str)


def earlier(kind: str) -> list[Earlier]:
    """The newest runs of a kind that have ended, or that have told their memory already."""
    done = Q(state__in=ENDED, started_at__isnull=False) | Q(metrics__name=RESIDENT)
    runs = list(Run.objects.filter(done, kind=kind).distinct().order_by("-pk")[:_LOOKED_AT])
    ids = [run.pk for run in runs]
    memory: dict[int, dict[str, float]] = {pk: {} for pk in ids}
    rows = Metric.objects.filter(run__in=ids, name__in=(RESIDENT, GPU)).values("run_id", "name")
    for row in rows.annotate(peak=Max("value")).order_by():
        memory[row["run_id"]][row["name"]] = row["peak"]
    bases: dict[int, set[str]] = {pk: set() for pk in ids}
    for read in RunInput.objects.filter(run__in=ids).select_related("base_model", "artifact"):
        bases[read.run_id] |= base_of([read.base_model, read.artifact])
    return [Earlier(run, frozenset(bases[run.pk]), memory[run.pk]) for run in runs]


def base_of(sources: Iterable[object]) -> frozenset[str]:
    """The base models among these. One that a run has left is that artifact, by either name."""
    names = set()
    for each in sources:
        if isinstance(each, BaseModel):
            names.add(f"artifact {each.artifact_id}" if each.artifact_id else f"model {each.pk}")
        elif isinstance(each, Artifact) and each.kind == OutputKind.BASE_MODEL:
            names.add(f"artifact {each.pk}")
    return frozenset(names)


def alike(
    found: Iterable[Earlier], config: Mapping[str, Any], base: frozenset[str]
) -> list[Earlier]:
    """Those with steps of the same size on the same base."""
    size = size_of(config)
    return [each for each in found if each.size == size and each.base == base]


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds that a run is expected to take, between `low` and `high`, by `runs` earlier ones."""

    seconds: float
    low: float
    high: float
    runs: int


def duration(found: Iterable[Earlier], units: int | None) -> Duration | None:
    """Where it is known how much there is to do, by the time of one unit; else as they took."""
    timed = [each for each in found if each.seconds is not None]
    if units:
        taken = [_per_unit(each) * units for each in timed if each.run.total]
    else:
        taken = [each.seconds or 0.0 for each in timed]
    return Duration(median(taken), min(taken), max(taken), len(taken)) if taken else None


def _per_unit(each: Earlier) -> float:
    return (each.seconds or 0.0) / each.run.total
