"""Any evaluations side by side: named themselves, or by their runs, adapters and reports.

Win rates against the same clips of the base stand in one table. Against other clips, or on other
prompts, they are figures of another table: that is said, not averaged away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from formats.vbench_results import read_result
from pipelines.changes import Change
from pipelines.comparisons.figures import judgements_of
from pipelines.errors import PipelineError
from pipelines.evaluation import EVALUATION, OVERALL
from pipelines.models import Artifact, Run, RunInput
from pipelines.registry import path_of
from pipelines.reports.evidence import PEOPLE, TRUTH, kind_of
from pipelines.reports.people import share_ends
from pipelines.reports.text import in_order
from pipelines.retests.result import FILE, HumanTest

MOST: Final = 24  # in one table that a person can still read
WORDS: Final = ("evaluation", "adapter", "run", "report", "human_test")  # what can be named


class NothingToCompare(PipelineError):
    """What was named cannot stand in a table; one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A win rate against the base with its interval. `counts`: wins, ties, losses."""

    rate: float
    low: float
    high: float
    counts: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Contender:
    """One candidate on one set of prompts and seeds. `rates`: judge -> dimension -> rate."""

    name: str
    run: int  # of the evaluation, or of the count of a re-test
    base: str  # the clips that it was compared with: their content
    rates: Mapping[str, Mapping[str, Rate]]
    standing: Mapping[str, str]  # judge -> how far from the training
    measures: Mapping[str, Change] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)  # of benchmarks, by title

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "run": self.run,
            "base": self.base,
            "win_rates": {
                judge: {
                    key: {"rate": r.rate, "low": r.low, "high": r.high, "counts": list(r.counts)}
                    for key, r in rates.items()
                }
                for judge, rates in self.rates.items()
            },
            "standing": dict(self.standing),
            "measures": {name: each.to_json() for name, each in self.measures.items()},
            "totals": dict(self.totals),
        }


@dataclass(frozen=True, slots=True)
class Field:
    """Contenders against the same clips of one base. `judges`: to dimensions, overall first."""

    base: str
    base_name: str
    contenders: Sequence[Contender]
    judges: Mapping[str, Sequence[str]]

    def to_json(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "base_name": self.base_name,
            "judges": {judge: list(keys) for judge, keys in self.judges.items()},
            "contenders": [each.to_json() for each in self.contenders],
        }


def fields_of(named: Mapping[str, Iterable[int]]) -> list[Field]:
    """Tables of what is named: {"evaluation": [ids of artifacts], "run": [ids of runs], …}.

    NothingToCompare where a name leads to nothing, or to more than a table holds.
    """
    artifacts = _unique(each for word, ids in named.items() for each in _resolved(word, ids))
    if not artifacts:
        raise NothingToCompare(
            "choose evaluations, adapters, runs or reports: nothing is named that was judged"
        )
    if len(artifacts) > MOST:
        raise NothingToCompare(f"at most {MOST} fit into one table; {len(artifacts)} are named")
    bases = _bases(artifacts)
    tables: dict[str, list[Contender]] = {}
    names: dict[str, str] = {}
    for artifact in artifacts:
        base, names_base = bases.get(artifact.run_id, ("", "unknown"))
        tables.setdefault(base, []).append(_contender(artifact, base))
        names.setdefault(base, names_base)
    return [_field(base, names[base], found) for base, found in tables.items()]


# From names to artifacts that hold results.


def _resolved(word: str, ids: Iterable[int]) -> Iterable[Artifact]:
    for pk in ids:
        found = list(_FINDERS[word](pk))
        if not found:
            raise NothingToCompare(f"{word.replace('_', ' ')} {pk} has led to no result to compare")
        yield from found


def _of_kind(kind: OutputKind, pk: int) -> list[Artifact]:
    return list(Artifact.objects.filter(pk=pk, kind=kind).select_related("run"))


def _of_adapter(pk: int) -> list[Artifact]:
    return [
        found
        for adapter in _of_kind(OutputKind.ADAPTER, pk)
        for found in _of_alignment(adapter.run)
    ]


def _of_alignment(run: Run) -> list[Artifact]:
    judged = [each.run.pk for each in judgements_of(run)]
    found = Artifact.objects.filter(run__in=judged, kind=OutputKind.EVALUATION)
    return list(found.select_related("run").order_by("pk"))


def _of_report(pk: int) -> list[Artifact]:
    return [found for each in _of_kind(OutputKind.REPORT, pk) for found in _read_by(each.run)]


def _read_by(run: Run) -> list[Artifact]:
    kinds = (OutputKind.EVALUATION, OutputKind.HUMAN_TEST)
    rows = RunInput.objects.filter(run=run, artifact__kind__in=kinds).order_by("pk")
    return [row.artifact for row in rows.select_related("artifact__run") if row.artifact]


def _of_run(pk: int) -> list[Artifact]:
    """What it left, what it read, or what was found of what it trained."""
    run = Run.objects.filter(pk=pk).first()
    if run is None:
        return []
    if run.kind == "alignment":
        return _of_alignment(run)
    if run.kind == "report":
        return _read_by(run)
    kinds = (OutputKind.EVALUATION, OutputKind.HUMAN_TEST)
    return list(run.artifacts.filter(kind__in=kinds).select_related("run"))


_FINDERS: Final = {
    "evaluation": lambda pk: _of_kind(OutputKind.EVALUATION, pk),
    "human_test": lambda pk: _of_kind(OutputKind.HUMAN_TEST, pk),
    "adapter": _of_adapter,
    "run": _of_run,
    "report": _of_report,
}


def _unique(artifacts: Iterable[Artifact]) -> list[Artifact]:
    return list({each.pk: each for each in artifacts}.values())


def _bases(artifacts: Iterable[Artifact]) -> dict[int, tuple[str, str]]:
    """By run, the content of the base's clips, and what they are called."""
    rows = RunInput.objects.filter(run__in=[each.run_id for each in artifacts])
    rows = rows.filter(role__in=("base", "retest")).select_related("artifact__run")
    found: dict[int, tuple[str, str]] = {}
    for row in rows:
        if row.artifact is not None and row.role == "base":
            found[row.run_id] = (row.artifact.sha256, str(row.artifact.run))
        elif row.artifact is not None:
            # The count of a re-test reads the campaign that another run has opened.
            found[row.run_id] = _bases([row.artifact]).get(row.artifact.run_id, ("", "unknown"))
    return found


# From artifacts to figures.


def _contender(artifact: Artifact, base: str) -> Contender:
    if artifact.kind == OutputKind.HUMAN_TEST:
        return _by_people(artifact, base)
    try:
        body = read_json(path_of(artifact), EVALUATION)
    except FormatError as error:
        raise NothingToCompare(f"evaluation {artifact.pk} cannot be read: {error}") from error
    return Contender(
        name=body["candidate"] or f"run {artifact.run_id}",
        run=artifact.run_id,
        base=base,
        rates={each["judge"]: _rates(each["dimensions"]) for each in body["judges"]},
        standing={each["judge"]: str(kind_of(each)) for each in body["judges"]},
        measures={name: Change(**each) for name, each in body.get("measures", {}).items()},
        totals=_totals(artifact),
    )


def _rates(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Rate]:
    return {
        key: Rate(row["rate"], row["low"], row["high"], (row["wins"], row["ties"], row["losses"]))
        for key, row in dimensions.items()
    }


def _by_people(artifact: Artifact, base: str) -> Contender:
    path = path_of(artifact)
    try:
        found = HumanTest.read(path / FILE if path.is_dir() else path)
    except FormatError as error:
        raise NothingToCompare(f"re-test {artifact.pk} cannot be read: {error}") from error
    rates = {}
    for row in found.dimensions:
        low, high = share_ends(row.ties_half)
        if row.ties_half.value is not None and low is not None and high is not None:
            counts = (row.wins, row.ties, row.losses)
            rates[row.key] = Rate(row.ties_half.value, low, high, counts)
    return Contender(found.candidate, artifact.run_id, base, {PEOPLE: rates}, {PEOPLE: PEOPLE})


def _totals(evaluation: Artifact) -> dict[str, float]:
    """Totals of benchmarks that measured the same clips as the candidate's."""
    clips = RunInput.objects.filter(run=evaluation.run_id, role="candidate").first()
    if clips is None or clips.artifact_id is None:
        return {}
    readers = RunInput.objects.filter(artifact=clips.artifact_id, run__kind__startswith="vbench")
    runs = readers.values_list("run", flat=True)
    totals = {}
    for each in Artifact.objects.filter(run__in=runs, kind=OutputKind.VBENCH).order_by("pk"):
        try:
            found = read_result(path_of(each))
        except FormatError:
            continue  # its own page says what is wrong with it
        if (total := found.totals().total) is not None:
            totals[found.benchmark.title] = total
    return totals


def _apart(found: Sequence[Contender]) -> list[Contender]:
    """Two of one name are told apart by their runs."""
    count = Counter(each.name for each in found)
    return [
        replace(each, name=f"{each.name} (run {each.run})") if count[each.name] > 1 else each
        for each in found
    ]


def _field(base: str, base_name: str, found: Sequence[Contender]) -> Field:
    keys: dict[str, dict[str, None]] = {}
    for each in found:
        for judge, rates in each.rates.items():
            keys.setdefault(judge, {}).update(dict.fromkeys(rates))
    trained = {j for each in found for j, kind in each.standing.items() if "training" in kind}
    order = sorted(keys, key=lambda name: (name != PEOPLE, name != TRUTH, name in trained, name))
    known = {"dimensions": [key for rates in keys.values() for key in rates if key != OVERALL]}
    return Field(
        base, base_name, _apart(found), {judge: in_order(keys[judge], known) for judge in order}
    )
