"""What VBench results are of, and which there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from formats.outcome import OutputKind
from formats.vbench import PROTOCOLS
from formats.vbench_results import VBenchResult
from pipelines.models import Artifact, RunInput

_OTHERS: Final = 50


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured, as far as it is here."""

    words: str
    sources: tuple[RunInput, ...]


def subject_of(artifact: Artifact, result: VBenchResult) -> Subject:
    """Clips, adapter and generator among the inputs, or those that made the clips."""
    rows = list(_inputs(artifact.run_id))
    made = [row.artifact.run_id for row in rows if row.role == "generations" and row.artifact]
    if made:
        rows += [row for row in _inputs(made[0]) if row.role in ("adapter", "generator")]
    words = result.measured.get("generator", "")
    return Subject(words or "a generator that nobody named", tuple(rows))


def _inputs(run_id: int) -> Sequence[RunInput]:
    found = RunInput.objects.filter(run=run_id).select_related("artifact__run", "base_model")
    wanted = ("generations", "adapter", "generator", "result")
    return [row for row in found if row.role.partition(":")[0] in wanted]


def line_of(artifact: Artifact) -> str:
    """One line of the list, from what the run said of itself."""
    meta = artifact.meta
    title = PROTOCOLS[meta["protocol"]].title if meta.get("protocol") in PROTOCOLS else "VBench"
    if "total" in meta:
        return f"{title}: total {meta['total']:.4f}"
    if meta.get("missing"):
        return f"{title}: no total, {meta['missing']} dimensions missing"
    return title


def others_of(artifact: Artifact, result: VBenchResult) -> list[Artifact]:
    """The latest other results of this benchmark, to be put beside it."""
    rows = Artifact.objects.filter(kind=OutputKind.VBENCH, meta__protocol=result.protocol)
    return list(rows.exclude(pk=artifact.pk).select_related("run").order_by("-pk")[:_OTHERS])
