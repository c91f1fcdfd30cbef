"""Figures of alignment runs, read from rows and files: curves, and what judges found."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from django.db.models import Avg, Q

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.evaluation import EVALUATION
from pipelines.models import Artifact, Metric, Run, RunInput, RunState
from pipelines.registry import path_of, source_of

# Curves of an alignment run, as its trainer logs them.
CURVES: Final = ("loss", "implicit_accuracy", "winner_drift", "loser_drift", "grad_norm")
_TAIL: Final = 0.9  # figures of training are means over the last tenth of the steps


def training_figures(runs: Iterable[Run]) -> dict[int, dict[str, float]]:
    """By run and curve, the mean over the last tenth of what is logged so far. One query."""
    tails = Q(pk__in=[])
    for run in runs:
        tails |= Q(run=run, step__gt=_TAIL * run.step)
    rows = Metric.objects.filter(tails, name__in=CURVES).values("run", "name")
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for row in rows.annotate(mean=Avg("value")).order_by():
        found[row["run"]][row["name"]] = row["mean"]
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What an evaluation run found of one member."""

    run: Run
    body: Mapping[str, Any]


def judged_alike(runs: Sequence[Run]) -> tuple[dict[int, Judged], str]:
    """By member its newest evaluation, all against the same clips of the base; what is left out.

    Win rates against other clips, or on other prompts, are no figures of one table.
    """
    found = _evaluations_of(runs)
    bases = _bases({each.pk for of_run in found.values() for each in of_run})
    members: dict[int, set[int]] = defaultdict(set)
    for pk, of_run in found.items():
        for each in of_run:
            members[bases[each.pk]].add(pk)
    if not members:
        return {}, ""
    base = max(members, key=lambda each: (len(members[each]), each))
    chosen = {
        pk: max((each for each in found[pk] if bases[each.pk] == base), key=lambda each: each.pk)
        for pk in members[base]
    }
    left_out = len(found) - len(chosen)
    words = f"{left_out} of {len(found)} are judged against other clips of the base: left out."
    return _read(chosen), words if left_out else ""


def judgements_of(run: Run) -> list[Judged]:
    """All finished evaluations of clips that this alignment's adapter made, oldest first."""
    found = _evaluations_of([run]).get(run.pk, [])
    read = _read({each.pk: each for each in found})
    return [read[pk] for pk in sorted(read)]


def _evaluations_of(runs: Iterable[Run]) -> dict[int, list[Run]]:
    """By alignment run, the finished evaluations of clips that its adapter made."""
    made_with = _consumers({run.pk for run in runs}, "adapter", "generation")
    # Clips that were made in chunks are judged as the set that was gathered of them.
    gathered = _consumers(set(made_with), "generations:0", "generations_gathered")
    made_with |= {pk: made_with[chunk] for pk, chunk in gathered.items()}
    judged = _consumers(set(made_with), "candidate", "evaluation")
    found: dict[int, list[Run]] = defaultdict(list)
    for run in Run.objects.filter(pk__in=judged, state=RunState.SUCCEEDED):
        found[made_with[judged[run.pk]]].append(run)
    return found


def _consumers(producers: set[int], role: str, kind: str) -> dict[int, int]:
    """Runs of a kind that read, in this role, what these runs left: consumer -> producer."""
    left_by = Q(artifact__run__in=producers) | Q(producer__in=producers)
    rows = RunInput.objects.filter(left_by, role=role, run__kind=kind).select_related("artifact")
    return {row.run_id: source for row in rows if (source := source_of(row)) in producers}


def _bases(evaluations: set[int]) -> dict[int, int]:
    """The run that made the base's clips of each evaluation."""
    rows = RunInput.objects.filter(run__in=evaluations, role="base").select_related("artifact")
    return {row.run_id: source_of(row) or 0 for row in rows}


def _read(chosen: Mapping[int, Run]) -> dict[int, Judged]:
    ids = [each.pk for each in chosen.values()]
    artifacts = Artifact.objects.filter(run__in=ids, kind=OutputKind.EVALUATION)
    bodies = {each.run_id: _body(path_of(each), each.sha256) for each in artifacts}
    return {pk: Judged(run, bodies.get(run.pk, {})) for pk, run in chosen.items()}


@lru_cache(maxsize=256)
def _body(path: Path, _sha256: str) -> Mapping[str, Any]:
    """evaluation.json, which never changes; empty where it is damaged or gone."""
    try:
        return read_json(path, EVALUATION)
    except FormatError:
        return {}


def dimensions_in_order(judged: Iterable[Judged]) -> list[str]:
    """As the scores name them: a JSON object has no order that could be relied on."""
    runs = [each.run.pk for each in judged]
    rows = RunInput.objects.filter(run__in=runs, role__startswith="candidate_scores:")
    for row in rows.select_related("artifact").order_by("role"):
        if row.artifact is not None and row.artifact.meta.get("dimensions"):
            return list(row.artifact.meta["dimensions"])
    return []
