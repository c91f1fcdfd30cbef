"""One report: what was asked, what came out, how sure that is, and what to do (`report`).

Everything is read upstream of the report's evaluations, re-tests and benchmarks, so each figure has
a run, and each run its inputs, down to the votes. docs/schemas/report-1.json says what a report
holds; entries are only ever added to it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from formats.vbench_results import VBenchResult, read_result
from pipelines.errors import InvalidRunConfig
from pipelines.evaluation import EVALUATION
from pipelines.models import Artifact, Run, RunInput
from pipelines.registry import Step, lineage, path_of
from pipelines.reports import parts as report_parts
from pipelines.reports.evidence import candidates_of, evidence_of, row_of
from pipelines.reports.failures import failures
from pipelines.reports.motion import with_motion
from pipelines.reports.parts import of_kind
from pipelines.reports.recommending import RULES, recommendation, verdict_on
from pipelines.retests.result import FILE, HumanTest
from pipelines.step_configs import StepConfig, StepConfigError

REPORT: Final = "report/1"
ANSWERS: Final = ("evaluation", "human_test")  # roles: a report needs one of either at least
BENCHMARKS: Final = "vbench"  # role


@dataclass(frozen=True, slots=True)
class ReportConfig(StepConfig):
    """`recipes`: recipes.jsonl of the demo world, where the truth is known; below TIEBREAK_VAR."""

    title: str = ""
    recipes: str = ""

    def __post_init__(self) -> None:
        if self.recipes and not _below_var(self.recipes):
            raise StepConfigError(f"recipes must lie below {settings.VAR}, got {self.recipes!r}")


def _below_var(path: str) -> bool:
    # A config comes from a form: it must not make the site open any file of the machine.
    return (settings.VAR / path).resolve().is_relative_to(Path(settings.VAR).resolve())


def refuse_without_answers(_config: Mapping[str, Any], inputs: Mapping[str, object]) -> None:
    """A report on nothing; found before a row is written."""
    if not any(role.partition(":")[0] in ANSWERS for role in inputs):
        raise InvalidRunConfig(
            "a report needs an input 'evaluation' or 'human_test': nothing was compared"
        )


def perform(run: Supervised) -> Outcome:
    """Gather, judge by the stated rules, write report.json."""
    config = ReportConfig.from_json(run.dir.config())
    row = Run.objects.select_related("group", "created_by").get(pk=int(run.dir.root.name))
    inputs = list(row.inputs.select_related("artifact"))
    steps = [step for step in lineage([row.pk]) if step.run.pk != row.pk]
    run.dir.log_metrics(0, 2, stage="gathering")
    body = {
        "title": config.title or (row.group.name if row.group else "Report"),
        "group": row.group_id,
        **_answers(run, inputs),
        "asked": report_parts.asked(row, steps, inputs),
        "dimensions": report_parts.dimensions(steps),
        "snapshots": [report_parts.snapshot(s.outputs[0]) for s in of_kind(steps, "snapshot")],
        "reward_models": [
            report_parts.reward_model(step, steps, config.recipes)
            for step in of_kind(steps, "reward_model")
        ],
        "pairs": [report_parts.summary(step) for step in of_kind(steps, "pairing")],
        "alignments": [report_parts.alignment(step) for step in of_kind(steps, "alignment")],
        "benchmarks": [
            report_parts.benchmark(_named(each.role), each, _result(run, each))
            for each in _of_kind(inputs, BENCHMARKS)
        ],
        "lineage": [lineage_row(step) for step in steps],
    }
    body["failures"] = failures(row, steps, body["evaluations"])
    run.dir.log_metrics(1, 2, stage="writing")
    sha256 = write_json(run.dir.outputs / "report.json", REPORT, body)
    run.dir.log_metrics(2, 2, stage="done")
    verdicts = {each["candidate"]: each["verdict"] for each in body["candidates"]}
    summary = {"recommendation": body["recommendation"], "verdicts": verdicts}
    output = Output(OutputKind.REPORT, "outputs/report.json", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _answers(run: Supervised, inputs: Sequence[RunInput]) -> dict[str, Any]:
    """Evaluations and re-tests, and what follows from them for each candidate."""
    results = {_named(each.role): _result(run, each) for each in _of_kind(inputs, BENCHMARKS)}
    read = [_evaluation(run, each) for each in _of_kind(inputs, "evaluation")]
    evaluations = _apart([with_motion(each, results) for each in read])
    tests = {each.role: each for each in _of_kind(inputs, "human_test")}
    human = {role: HumanTest.read(_file(run.dir.input(role))) for role in tests}
    return {
        "evaluations": evaluations,
        "human_tests": [_human(tests[role], found) for role, found in human.items()],
        **concluded(evaluations, {_named(role): found for role, found in human.items()}),
    }


def _file(path: Path) -> Path:
    return path / FILE if path.is_dir() else path


def _result(run: Supervised, row: RunInput) -> VBenchResult:
    return read_result(run.dir.input(row.role))


def concluded(
    evaluations: Sequence[Mapping[str, Any]], human: Mapping[str, HumanTest]
) -> dict[str, Any]:
    """The recommendation, the line on each candidate, the rules."""
    found = candidates_of(evaluations, human)
    evidence = [evidence_of(each) for each in found]
    verdicts = [verdict_on(each) for each in evidence]
    return {
        "recommendation": recommendation(verdicts, evidence),
        "candidates": [row_of(*each) for each in zip(found, evidence, verdicts, strict=True)],
        "rules": list(RULES.values()),  # in the order in which they are asked
    }


def _of_kind(inputs: Sequence[RunInput], role: str) -> list[RunInput]:
    return [each for each in inputs if each.role.partition(":")[0] == role]


def _named(role: str) -> str:
    return role.partition(":")[2]


def _evaluation(run: Supervised, row: RunInput) -> dict[str, Any]:
    body = read_json(run.dir.input(row.role), EVALUATION)
    assert row.artifact is not None
    name = body["candidate"] or _named(row.role) or "candidate"
    return {**body, "candidate": name, "run": row.artifact.run_id, "artifact": row.artifact_id}


def _apart(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two evaluations of one name, as on two suites, are told apart by their runs."""
    count = Counter(each["candidate"] for each in evaluations)
    return [
        {**each, "candidate": f"{each['candidate']} (run {each['run']})"}
        if count[each["candidate"]] > 1
        else each
        for each in evaluations
    ]


def _human(row: RunInput, found: HumanTest) -> dict[str, Any]:
    """Without its pairs: the artifact has them."""
    assert row.artifact is not None
    body = {key: value for key, value in found.to_json().items() if key != "pairs"}
    return {
        **body,
        "name": _named(row.role),
        "run": row.artifact.run_id,
        "artifact": row.artifact_id,
    }


# Lineage.


def lineage_row(step: Step) -> dict[str, Any]:
    """One run of a lineage with what it read and left, as plain JSON."""
    return {
        "run": step.run.pk,
        "kind": step.run.kind,
        "name": step.run.name,
        "config_sha": step.run.config_sha,
        "inputs": [_link(row) for row in step.inputs],
        "outputs": [
            {"artifact": each.pk, "kind": each.kind, "sha256": each.sha256} for each in step.outputs
        ],
    }


def _link(row: RunInput) -> dict[str, Any]:
    if row.artifact is not None:
        source = {"artifact": row.artifact_id, "sha256": row.artifact.sha256}
        return {"role": row.role, "from_run": row.artifact.run_id, **source}
    if row.base_model is not None:
        model = row.base_model
        maker = model.artifact.run_id if model.artifact is not None else None
        named = {"base_model": model.name, "revision": model.revision, "sha256": model.sha256}
        return {"role": row.role, "from_run": maker, **named}
    return {"role": row.role, "from_run": None, "file": row.file, "sha256": row.sha256}


def read_report(artifact: Artifact) -> dict[str, Any]:
    """Reports of before have no such entries as were added since: then these are empty."""
    return {**_ADDED, **read_json(path_of(artifact), REPORT)}


_ADDED: Final[Mapping[str, Any]] = {
    "asked": {}, "human_tests": [], "benchmarks": [], "failures": [], "rules": [],
}  # fmt: skip


def newest() -> Artifact:
    found = Artifact.objects.filter(kind=OutputKind.REPORT).order_by("-pk").first()
    if found is None:
        raise FormatError("there is no report yet; a loop leaves one at its end")
    return found
