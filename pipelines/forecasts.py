"""Before a run starts: is there a worker for it, its place in the queue, memory, and time.

Each is one sentence for a person and a word for machines: `good`, `bad`, or `unknown`, said plainly
where nothing is known. Nothing is written.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from formats.memory import GPU, RESIDENT
from formats.outcome import OutputKind
from pipelines import launching, lifecycle
from pipelines.earlier_runs import Duration, Earlier, alike, base_of, duration, earlier
from pipelines.kinds import KindSpec
from pipelines.memory_estimates import Estimate, Inputs, corrected, estimate
from pipelines.models import ACTIVE, Artifact, LoopGroup, QueueName, Run, WorkerHeartbeat
from pipelines.run_cards import duration as in_words
from pipelines.waiting import fitting, live_workers
from pipelines.worker_labels import PROCESSES, Labels
from pipelines.worker_labels import in_words as needs_in_words

if TYPE_CHECKING:
    from pipelines.forms import StartRunForm

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"
# What the libraries of a trainer take on a CPU before a weight is loaded; bytes.
_LIBRARIES: Final = 600_000_000
_ROOM: Final = 0.9  # of a machine's memory that one run may take


@dataclass(frozen=True, slots=True)
class Said:
    """One of the four answers."""

    about: str
    verdict: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that has not been started."""

    spec: KindSpec
    config: Mapping[str, Any]
    inputs: Inputs
    needs: Labels
    given: Mapping[str, int]  # how many records play a role

    @property
    def base(self) -> frozenset[str]:
        return base_of(self.inputs.values())


def forecast(
    spec: KindSpec,
    config: Mapping[str, Any],
    inputs: Inputs,
    *,
    needs: Labels | None = None,
    given: Mapping[str, int] | None = None,
) -> list[Said]:
    processes = launching.processes_in(spec, config)
    own = {PROCESSES: processes} if processes > 1 else {}
    asked = Asked(spec, config, inputs, {**own, **(needs or {})}, given or {})
    alive = live_workers()
    workers = fitting(spec.queue, asked.needs, alive)
    found = earlier(spec.name)
    return [
        _worker(asked, alive, workers),
        _place(asked, workers),
        _memory(asked, workers, found),
        _time(asked, found),
    ]


def of_form(form: "StartRunForm") -> list[Said]:
    """Of a form as far as it is filled in. InvalidRunConfig where its config could not work."""
    form.is_valid()
    values = form.cleaned_data
    config = form.spec.check(values.get("config", {}))
    given = {role: len(records) for role, records in form.given().items()}
    needs = values.get("needs")
    return forecast(form.spec, config, form.inputs(), needs=needs, given=given)


def to_json(said: list[Said]) -> list[dict[str, str]]:
    return [asdict(each) for each in said]


# Workers and the queue.


def _worker(asked: Asked, alive: list[WorkerHeartbeat], workers: list[WorkerHeartbeat]) -> Said:
    queue = asked.spec.queue
    if workers:
        slots = sum(each.slots for each in workers)
        named = _counted(len(workers), "worker")
        return Said("worker", GOOD, f"{named} for it, with {_counted(slots, 'slot')} in all.")
    if not alive:
        text = "No worker is connected; start one with: python manage.py worker"
    elif not any(queue in each.queues for each in alive):
        text = f"No connected worker serves the queue {queue}."
    else:
        text = f"No connected worker of the queue {queue} has {needs_in_words(asked.needs)}."
    return Said("worker", BAD, f"{text} The run would wait for one.")


def _place(asked: Asked, workers: list[WorkerHeartbeat]) -> Said:
    ahead = lifecycle.claimable([asked.spec.queue]).filter(priority__gte=0).count()
    awaited = [each for each in asked.inputs.values() if isinstance(each, Run)]
    if awaited:
        names = ", ".join(f"run {each.pk}" for each in awaited)
        return Said("place", UNKNOWN, f"It joins the queue when {names} has left what it reads.")
    owners = [each.owner for each in workers]
    busy = Run.objects.filter(owner__in=owners, state__in=ACTIVE).count()
    free = sum(each.slots for each in workers) - busy
    if free > ahead:
        return Said("place", GOOD, "A slot is free: it would start at once.")
    before = f"{_counted(ahead, 'run')} before it" if ahead else "Nothing before it"
    slots = f"; {_counted(busy, 'run')} at work on the workers for it" if workers else ""
    return Said("place", UNKNOWN, f"{before} in the queue {asked.spec.queue}{slots}.")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# Memory.


def _memory(asked: Asked, workers: list[WorkerHeartbeat], found: list[Earlier]) -> Said:
    on_gpu = any("gpu_memory" in each.labels for each in workers)
    label, figure = ("gpu_memory", GPU) if on_gpu else ("memory", RESIDENT)
    needed, why = _needed(asked, found, figure)
    if needed is None:
        return Said("memory", UNKNOWN, why)
    processes = 1 if on_gpu else launching.processes_in(asked.spec, asked.config)
    total = needed * processes
    sizes = [float(each.labels[label]) for each in workers if label in each.labels]
    where = "of a GPU" if on_gpu else "of the machine"
    if not sizes:
        return Said("memory", UNKNOWN, f"{why} No worker is connected to compare it with.")
    room = max(sizes) * 1e9
    if total <= _ROOM * room:
        return Said("memory", GOOD, f"{why} It fits: {_gb(room)} {where}.")
    return Said(
        "memory", BAD, f"{why} It does not fit: the largest worker for it has {_gb(room)} {where}."
    )


def _needed(asked: Asked, found: list[Earlier], figure: str) -> tuple[float | None, str]:
    """Bytes of one process, and how they are known."""
    told = [each for each in found if figure in each.memory]
    twins = alike(told, asked.config, asked.base)
    if twins:
        most = max(twins, key=lambda each: each.memory[figure])
        bytes_ = most.memory[figure] * 1e6
        return (
            bytes_,
            f"{_gb(bytes_)}: so much took run {most.run.pk}, with steps of the same size.",
        )
    counted = estimate(asked.spec.name, asked.config, asked.inputs)
    if counted is None:
        return _by_others(told, figure)
    return _counted_memory(counted, told, figure)


def _by_others(told: list[Earlier], figure: str) -> tuple[float | None, str]:
    if not told:
        return None, "Not known: no run of this kind has told yet what it took."
    most = max(each.memory[figure] for each in told) * 1e6
    return most, f"At most {_gb(most)} in {_counted(len(told), 'earlier run')} of this kind."


def _counted_memory(
    counted: Estimate, told: list[Earlier], figure: str
) -> tuple[float | None, str]:
    libraries = _LIBRARIES if figure == RESIDENT else 0
    factors = [each for each in (_factor(one, figure, libraries) for one in told) if each]
    if counted.activations is None:
        least = counted.fixed + libraries
        return None, (
            f"At least {_gb(least)} for weights and what learns. What clips of this size take on "
            "top is not known before a run with such steps has ended."
        )
    factor = median(factors) if factors else 1.0
    counted = corrected(counted, factor)
    assert counted.activations is not None
    total = counted.fixed + counted.activations + libraries
    parts = (
        f"weights {_gb(counted.weights)}, gradients and moments {_gb(counted.learning)}, "
        f"activations {_gb(counted.activations)}"
    )
    by = (
        f", corrected by {_counted(len(factors), 'earlier run')}" if factors else ", never measured"
    )
    return total, f"About {_gb(total)} by a count ({parts}{by})."


def _factor(one: Earlier, figure: str, libraries: int) -> float | None:
    """How much more than counted the activations of an earlier run took."""
    if one.config is None:
        return None
    counted = estimate(one.run.kind, one.config, _inputs_of(one.run))
    if counted is None or not counted.activations:
        return None
    left = one.memory[figure] * 1e6 - counted.fixed - libraries
    return left / counted.activations if left > 0 else None


def _inputs_of(run: Run) -> Inputs:
    rows = run.inputs.select_related("artifact", "base_model__artifact")
    found = {row.role: row.base_model or row.artifact for row in rows}
    return {role: source for role, source in found.items() if source is not None}


def _gb(bytes_: float) -> str:
    if bytes_ < 1e8:
        return f"{bytes_ / 1e6:.0f} MB"
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ < 99.5e9 else f"{bytes_ / 1e9:.0f} GB"


# Time.


def _time(asked: Asked, found: list[Earlier]) -> Said:
    units = units_of(asked)
    same = duration(alike(found, asked.config, asked.base), units)
    if same is not None:
        return Said("time", GOOD, f"{_span(same)}, by {_by(same)} with steps of the same size.")
    any_ = duration(found, units)
    if any_ is not None:
        said = f"{_span(any_)}, by {_by(any_)} of this kind with other settings: a rough guess."
        return Said("time", UNKNOWN, said)
    return Said("time", UNKNOWN, "Not known: no run of this kind has ended here yet.")


def units_of(asked: Asked) -> int | None:
    """How much there is to do, as the run will count it; None where only the run itself knows."""
    config = asked.config
    if asked.spec.name in ("generation", "guidance_cells"):
        prompts = asked.given.get("prompts")
        return prompts * config["clips_per_prompt"] if prompts else None
    if asked.spec.name in ("scoring", "truth"):
        clips = _clips(asked.inputs.get("generations"))
        return None if clips is None else -(-clips // int(config.get("chunks") or 1))
    steps = config.get("steps")
    return steps if isinstance(steps, int) and config.get("epochs") is None else None


def _clips(source: object) -> int | None:
    if not isinstance(source, Artifact) or source.kind != OutputKind.GENERATIONS:
        return None
    found = source.meta.get("clips")
    return found if isinstance(found, int) else None


def _span(found: Duration) -> str:
    about = in_words(timedelta(seconds=found.seconds))
    low, high = (in_words(timedelta(seconds=each)) for each in (found.low, found.high))
    return f"About {about}" if low == high else f"About {about} ({low} to {high})"


def _by(found: Duration) -> str:
    return _counted(found.runs, "earlier run")


# A whole loop.


def of_loop() -> list[Said]:
    """What can be said before all runs of a loop are started together."""
    return [*of_group(), _loop_time()]


def of_group() -> list[Said]:
    """Of runs of several kinds that are started together."""
    alive = live_workers()
    missing = [queue for queue in QueueName.values if not fitting(queue, {}, alive)]
    if missing:
        text = f"No connected worker serves: {', '.join(missing)}. Their runs would wait for one."
        worker = Said("worker", BAD, text)
    else:
        worker = Said("worker", GOOD, f"{_counted(len(alive), 'worker')}; every queue is served.")
    ahead = lifecycle.claimable(QueueName.values).count()
    place = Said("place", GOOD if not ahead else UNKNOWN, f"{_counted(ahead, 'run')} before it.")
    return [worker, place]


def _loop_time() -> Said:
    taken = [each for group in _ended_loops() if (each := _seconds(group)) is not None]
    if not taken:
        return Said("time", UNKNOWN, "Not known: no loop has come to its report here yet.")
    found = Duration(median(taken), min(taken), max(taken), len(taken))
    loops = _counted(len(taken), "earlier loop")
    return Said("time", UNKNOWN, f"{_span(found)}, by {loops}, whatever their settings were.")


def _ended_loops() -> list[LoopGroup]:
    reported = LoopGroup.objects.filter(runs__kind="report", runs__state="succeeded").distinct()
    return list(reported.order_by("-pk").prefetch_related("runs")[:5])


def _seconds(group: LoopGroup) -> float | None:
    begun = [run.started_at for run in group.runs.all() if run.started_at]
    ended = [run.finished_at for run in group.runs.all() if run.finished_at]
    return (max(ended) - min(begun)).total_seconds() if begun and ended else None
