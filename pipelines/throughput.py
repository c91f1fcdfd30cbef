"""How fast runs work through clips and when they will be done; of chunks also all together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import OuterRef, Subquery

from pipelines.chunking import GATHERS, is_chunk
from pipelines.models import ACTIVE, Metric, Run, RunInput, RunState

RATE: Final = "clips_per_second"


@dataclass(frozen=True, slots=True)
class Throughput:
    """`done` of `total` clips; `rate` in clips per second, 0 where nobody works."""

    done: int
    total: int
    rate: float

    @property
    def left(self) -> timedelta | None:
        """Time to finish at this rate; None where it cannot be said."""
        if self.rate <= 0 or not 0 < self.done < self.total:
            return None
        return timedelta(seconds=(self.total - self.done) / self.rate)

    @property
    def words(self) -> str:
        """The rate for people."""
        if self.rate <= 0:
            return ""
        return f"{self.rate:.2g} clips/s" if self.rate < 10 else f"{self.rate:,.0f} clips/s"


def throughputs(runs: Iterable[Run]) -> dict[int, Throughput]:
    """Of the runs that count clips, by id; three queries at most, however many runs."""
    rows = list(runs)
    chunks = _chunks([run for run in rows if _gathers(run)])
    working = [run for run in rows if run.state in ACTIVE]
    working += [chunk for found in chunks.values() for chunk in found if chunk.state in ACTIVE]
    rates = _rates([run.pk for run in working])
    found = {run.pk: _of(run, rates) for run in working if run.pk in rates}
    found |= {pk: together(each, rates) for pk, each in chunks.items()}
    return found


def together(chunks: Sequence[Run], rates: Mapping[int, float]) -> Throughput:
    """The whole of some chunks. One that has not begun counts as the mean of those that have."""
    known = [chunk.total for chunk in chunks if chunk.total]
    mean = sum(known) / len(known) if known else 0
    total = sum(known) + mean * (len(chunks) - len(known))
    working = sum(rates.get(chunk.pk, 0.0) for chunk in chunks if chunk.state in ACTIVE)
    return Throughput(sum(chunk.step for chunk in chunks), round(total), working)


def _gathers(run: Run) -> bool:
    return run.kind in GATHERS and run.state == RunState.QUEUED


def _of(run: Run, rates: Mapping[int, float]) -> Throughput:
    return Throughput(run.step, run.total, rates[run.pk])


def _chunks(gathering: Sequence[Run]) -> dict[int, list[Run]]:
    found: dict[int, list[Run]] = defaultdict(list)
    if gathering:
        rows = RunInput.objects.filter(run__in=gathering, producer__isnull=False).select_related(
            "producer", "run"
        )
        for row in rows:
            if row.producer is not None and is_chunk(row):
                found[row.run_id].append(row.producer)
    return found


def _rates(run_ids: Sequence[int]) -> dict[int, float]:
    """The newest rate that each of these runs has logged."""
    if not run_ids:
        return {}
    newest = Metric.objects.filter(run=OuterRef("pk"), name=RATE).order_by("-step")
    rows = Run.objects.filter(pk__in=run_ids).annotate(rate=Subquery(newest.values("value")[:1]))
    return {pk: rate for pk, rate in rows.values_list("pk", "rate") if rate is not None}
