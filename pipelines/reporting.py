"""One report per loop: what was asked, what came out, how sure that is, and what to do (`report`).

Everything is read upstream of the report's evaluations, so each figure has a run, and each run its
inputs, down to the votes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from pipelines.ceiling import ceilings, read_quality, share_above_chance
from pipelines.evaluation import EVALUATION, OVERALL
from pipelines.models import Artifact, Metric, Run, RunInput
from pipelines.registry import Step, lineage, path_of
from pipelines.splitting import TEST
from pipelines.step_configs import StepConfig, StepConfigError

REPORT: Final = "report/1"
_CURVE_POINTS: Final = 80
TRUTH: Final = "truth"
MOTION: Final = "motion"  # among the measures of clips


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


def perform(run: Supervised) -> Outcome:
    """Gather, judge by the stated rules, write report.json."""
    config = ReportConfig.from_json(run.dir.config())
    row = Run.objects.select_related("group").get(pk=int(run.dir.root.name))
    steps = [step for step in lineage([row.pk]) if step.run.pk != row.pk]
    if not steps:
        raise StepConfigError("a report needs an evaluation at least")
    run.dir.log_metrics(0, 2, stage="gathering")
    evaluations = [_evaluation(run, each) for each in _evaluation_inputs(row)]
    snapshots = [_snapshot(step.outputs[0]) for step in _of(steps, "snapshot")]
    candidates = [verdict(each) for each in evaluations]
    body = {
        "title": config.title or (row.group.name if row.group else "Report"),
        "group": row.group_id,
        "recommendation": recommend(candidates),
        "dimensions": _dimensions(steps),
        "candidates": candidates,
        "snapshots": snapshots,
        "reward_models": [
            _reward_model(step, steps, config) for step in _of(steps, "reward_model")
        ],
        "pairs": [_summary(step) for step in _of(steps, "pairing")],
        "alignments": [_alignment(step) for step in _of(steps, "alignment")],
        "evaluations": evaluations,
        "lineage": [lineage_row(step) for step in steps],
    }
    run.dir.log_metrics(1, 2, stage="writing")
    sha256 = write_json(run.dir.outputs / "report.json", REPORT, body)
    run.dir.log_metrics(2, 2, stage="done")
    summary = {"recommendation": body["recommendation"]}
    output = Output(OutputKind.REPORT, "outputs/report.json", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _dimensions(steps: Iterable[Step]) -> list[str]:
    """In the order of their set: a JSON object has none that could be relied on."""
    for step in _of(steps, "snapshot"):
        return [row["key"] for row in step.outputs[0].meta["dimension_set"]["dimensions"]]
    return []


def in_order(names: Iterable[str], report: Mapping[str, Any]) -> list[str]:
    """Overall first: it answers the question. Then the dimensions, which say why."""
    wanted = [OVERALL, *report["dimensions"]]
    known = {name: place for place, name in enumerate(wanted)}
    return sorted(names, key=lambda name: (known.get(name, len(wanted)), name))


def _of(steps: Iterable[Step], kind: str) -> list[Step]:
    return [step for step in steps if step.run.kind == kind and step.outputs]


def _evaluation_inputs(row: Run) -> list[RunInput]:
    return list(row.inputs.filter(artifact__kind=OutputKind.EVALUATION).select_related("artifact"))


def _evaluation(run: Supervised, row: RunInput) -> dict[str, Any]:
    body = read_json(run.dir.input(row.role), EVALUATION)
    assert row.artifact is not None
    return {**body, "run": row.artifact.run_id, "artifact": row.artifact_id}


def _snapshot(artifact: Artifact) -> dict[str, Any]:
    kept = ("campaign", "campaign_name", "watermark", "counts", "agreement", "split")
    return {
        "artifact": artifact.pk,
        "run": artifact.run_id,
        "sha256": artifact.sha256,
        **{key: artifact.meta[key] for key in kept if key in artifact.meta},
    }


def _summary(step: Step) -> dict[str, Any]:
    return {
        "run": step.run.pk,
        "name": step.run.name,
        "artifact": step.outputs[0].pk,
        "summary": step.run.summary,
    }


# The reward model, against what can be known at all.


def _reward_model(step: Step, steps: Sequence[Step], config: ReportConfig) -> dict[str, Any]:
    test = step.run.summary.get("evaluation", {}).get(TEST, {})
    known = _ceilings(step, config)
    dimensions = {}
    for key, figures in test.items():
        accuracy, ceiling = figures.get("accuracy_without_ties"), known.get(key)
        share = (
            share_above_chance(accuracy, ceiling["accuracy"])
            if accuracy is not None and ceiling is not None
            else None
        )
        dimensions[key] = {**figures, "ceiling": ceiling, "share_of_ceiling": share}
    used = any(
        row.artifact_id == step.outputs[0].pk
        for other in _of(steps, "scoring")
        for row in other.inputs
        if row.role == "reward_model"
    )
    return {
        **_summary(step),
        "summary": {},
        "dimensions": dimensions,
        "used": used,
        "alarms": step.run.summary.get("alarms", []),  # of the probes
    }


def _ceilings(step: Step, config: ReportConfig) -> dict[str, dict[str, Any]]:
    """The ceiling on the test pairs of the snapshot that this model learned from."""
    snapshot = next((row.artifact for row in step.inputs if row.role == "snapshot"), None)
    if not config.recipes or snapshot is None:
        return {}
    found = read_snapshot(path_of(snapshot))
    held_out = [record for record in found.records if record.split == TEST]
    quality = read_quality(settings.VAR / config.recipes)
    known = ceilings(held_out, quality, found.dimensions.keys)
    return {key: ceiling.to_json() for key, ceiling in known.items()}


# Alignments.


def _alignment(step: Step) -> dict[str, Any]:
    curve = list(
        Metric.objects.filter(run=step.run, name="loss")
        .order_by("step")
        .values_list("step", "value")
    )
    return {
        **_summary(step),
        "method": step.run.config.get("method", ""),
        "first_loss": curve[0][1] if curve else None,
        "first_step": curve[0][0] if curve else None,
        "last_loss": curve[-1][1] if curve else None,
        "curve": [list(point) for point in _thin(curve)],
    }


def _thin(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    stride = max(1, -(-len(curve) // _CURVE_POINTS))
    return curve[::stride]


# What follows from the figures: stated rules, no taste.

BETTER: Final = "better"
WORSE: Final = "worse"
UNDECIDED: Final = "undecided"


def verdict(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Of one candidate, by the judge that is furthest from its training, overall.

    Better: the lower end of the 95 % interval is above one half. Worse: the upper end is below.
    """
    judge = most_independent(evaluation["judges"])
    overall = judge["dimensions"][OVERALL]
    word = BETTER if overall["low"] > 0.5 else WORSE if overall["high"] < 0.5 else UNDECIDED
    return {
        "candidate": evaluation["candidate"],
        "verdict": word,
        "judge": judge["judge"],
        "was_training_reward": judge["was_training_reward"],
        "overall": overall,
        "lost": [
            key
            for key, rate in judge["dimensions"].items()
            if key != OVERALL and rate["high"] < 0.5
        ],
        # By pixels alone: a candidate may win on all that is judged and stand stiller.
        "motion": evaluation.get("measures", {}).get(MOTION),
    }


def most_independent(judges: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The truth before a judge that nobody trained on, that before the training reward."""
    return min(judges, key=lambda j: (j["judge"] != TRUTH, j["was_training_reward"], j["judge"]))


def recommend(candidates: Sequence[Mapping[str, Any]]) -> str:
    """One sentence for the person who has to decide."""
    better = [each for each in candidates if each["verdict"] == BETTER]
    if not better:
        words = {each["verdict"] for each in candidates}
        if words == {WORSE}:
            return "Keep the base: every candidate is worse than it."
        return (
            "Keep the base for now: no candidate is better beyond doubt; "
            "more test prompts would narrow the intervals."
        )
    best = max(better, key=lambda each: (each["overall"]["low"], each["candidate"]))
    low, high = best["overall"]["low"], best["overall"]["high"]
    figures = f"win rate {best['overall']['rate']:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    if best["was_training_reward"]:
        return (
            f"Do not take {best['candidate']} on this evidence alone: it beats the base "
            f"({figures}), but by the very reward it was trained on. Ask another judge, or people."
        )
    but = f" It lost on {', '.join(best['lost'])}." if best["lost"] else ""
    how = f"it beats the base by the judge {best['judge']} ({figures})"
    return f"Take {best['candidate']}: {how}.{but}{_stiller(best)}"


def _stiller(candidate: Mapping[str, Any]) -> str:
    """A sentence where its clips move less beyond doubt."""
    motion = candidate.get("motion")
    if not motion or motion["high"] is None or motion["high"] >= 0:
        return ""
    return (
        f" Its clips move less: motion amount {motion['candidate']:.2f} instead of "
        f"{motion['base']:.2f}."
    )


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
    return read_json(path_of(artifact), REPORT)


def newest() -> Artifact:
    found = Artifact.objects.filter(kind=OutputKind.REPORT).order_by("-pk").first()
    if found is None:
        raise FormatError("there is no report yet; a loop leaves one at its end")
    return found


# As text, for the terminal.


def as_text(report: Mapping[str, Any]) -> str:
    """The figures of a report in plain columns."""
    lines = [report["title"], "", report["recommendation"], ""]
    for model in report["reward_models"]:
        lines += [
            f"{model['name']} (run {model['run']}), test prompts:",
            *_accuracy_lines(model, report),
            "",
        ]
    for each in report["alignments"]:
        first = each["first_loss"]
        lines.append(
            f"{each['name']} ({each['method']}, run {each['run']}): first loss "
            f"{'–' if first is None else format(first, '.7f')}"
        )
    lines.append("")
    for evaluation in report["evaluations"]:
        lines += [f"{evaluation['candidate']} against base:", *_win_lines(evaluation, report)]
        lines += [*_measure_lines(evaluation), ""]
    return "\n".join(lines).rstrip() + "\n"


def _accuracy_lines(model: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'':12} {'accuracy':>9} {'ceiling':>9} {'share':>7} {'pairs':>6}"]
    for key in in_order(model["dimensions"], report):
        row = model["dimensions"][key]
        ceiling = row["ceiling"]["accuracy"] if row["ceiling"] else None
        lines.append(
            f"  {key:12} {_number(row.get('accuracy_without_ties')):>9} {_number(ceiling):>9} "
            f"{_number(row['share_of_ceiling']):>7} {row.get('decisive', 0):>6}"
        )
    return lines


def _win_lines(evaluation: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    header = f"  {'judge':10} {'dimension':12} {'win rate':>9} {'95 % interval':>16} {'W/T/L':>12}"
    lines = [f"{header} {'score by':>24}"]
    for judge in evaluation["judges"]:
        note = "  (its training reward)" if judge["was_training_reward"] else ""
        for key in in_order(judge["dimensions"], report):
            rate = judge["dimensions"][key]
            interval = f"{rate['low']:.3f}–{rate['high']:.3f}"
            counts = f"{rate['wins']}/{rate['ties']}/{rate['losses']}"
            moved = change_words(judge.get("changes", {}).get(key))
            figures = f"{rate['rate']:>9.3f} {interval:>16} {counts:>12} {moved:>24}"
            lines.append(f"  {judge['judge']:10} {key:12} {figures}{note}")
    return lines


def _measure_lines(evaluation: Mapping[str, Any]) -> list[str]:
    return [
        f"  {name} amount {each['base']:.2f} before, {each['candidate']:.2f} after: "
        f"{change_words(each)}"
        for name, each in evaluation.get("measures", {}).items()
    ]


def change_words(change: Mapping[str, Any] | None) -> str:
    """ "+0.31 (+0.20 to +0.42)"; a report of before has none."""
    if change is None:
        return ""
    if change["low"] is None:
        return _signed(change["change"])
    return f"{_signed(change['change'])} ({_signed(change['low'])} to {_signed(change['high'])})"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no minus before a zero


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
