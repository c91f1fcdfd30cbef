"""One request as several runs on whatever workers there are, and one that gathers what they leave.

Every chunk is a run like any other: claimed, resumed, tried again, cancelled by itself. A hash
decides what belongs to which chunk (`formats.chunks`), so the runs never talk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from formats.errors import FormatError
from formats.outcome import Outcome
from pipelines.models import Run, RunInput

if TYPE_CHECKING:
    from pipelines.kinds import KindSpec


# What gathers chunks, and the role of each chunk in it without its number.
GATHERS: Final = {
    "scores_gathered": "scores:",
    "generations_gathered": "generations:",
    "ingests_gathered": "ingest:",
    "vbench_gathered": "vbench:",
}


def is_whole(spec: KindSpec, config: Mapping[str, Any]) -> bool:
    """Whether this config asks for all chunks, and not for one of them."""
    return bool(spec.gathered_by) and config["chunks"] > 1 and config["chunk"] is None


def parts(
    spec: KindSpec, config: Mapping[str, Any], name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and config of the run of each chunk."""
    for number in range(config["chunks"]):
        title = f"{name or spec.title}: chunk {number + 1} of {config['chunks']}"
        yield title[:200], {**config, "chunk": number}


def chunks_of(run: Run) -> list[Run]:
    """The runs whose work a run gathers, in the order of their chunks; none for any other."""
    if run.kind not in GATHERS:
        return []
    rows = run.inputs.filter(role__startswith=GATHERS[run.kind], producer__isnull=False)
    found = [row.producer for row in rows.select_related("producer") if row.producer is not None]
    return sorted(found, key=lambda chunk: chunk.config.get("chunk") or 0)


def is_chunk(row: RunInput) -> bool:
    """Whether what plays this role is a chunk that its run gathers."""
    return row.role.startswith(GATHERS.get(row.run.kind, "\0"))


def gathering_of(chunk: Run) -> Run | None:
    """The run that gathers what this one leaves."""
    rows = RunInput.objects.filter(producer=chunk, run__kind__in=GATHERS).select_related("run")
    return next((row.run for row in rows if is_chunk(row)), None)


def refuse_other_judges(run: Run, _outcome: Outcome) -> None:
    """Scores of different reward models are no one score set, whoever put them together."""
    rows = run.inputs.select_related("artifact")
    judge = next(row.artifact for row in rows if row.role == "reward_model")
    for row in rows:
        if row.artifact is None or judge is None or not row.role.startswith("scores:"):
            continue
        if row.artifact.meta.get("reward_model") != judge.sha256:
            raise FormatError(
                f"the scores of run {row.artifact.run_id} are not those of reward model {judge.pk}"
            )
