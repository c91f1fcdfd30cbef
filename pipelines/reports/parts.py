"""The parts of a report that come from upstream: data, reward models, alignments, failures."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.conf import settings

from formats.snapshot import read_snapshot
from formats.vbench_results import VBenchResult
from pipelines.comparisons.curves import DRAWN
from pipelines.loops.ceiling import ceilings, read_quality, share_above_chance
from pipelines.models import Artifact, Metric, Run, RunInput
from pipelines.registry import Step, path_of
from pipelines.splitting import TEST

_CURVE_POINTS: Final = 80
# Of the config of an alignment: what tells one from another.
_TOLD: Final = ("method", "settings", "lr", "steps", "pairs_per_step", "lora", "seed")


def of_kind(steps: Iterable[Step], kind: str) -> list[Step]:
    return [step for step in steps if step.run.kind == kind and step.outputs]


def dimensions(steps: Iterable[Step]) -> list[str]:
    """In the order of their set: a JSON object has none that could be relied on."""
    for step in of_kind(steps, "snapshot"):
        return [row["key"] for row in step.outputs[0].meta["dimension_set"]["dimensions"]]
    return []


def snapshot(artifact: Artifact) -> dict[str, Any]:
    kept = ("campaign", "campaign_name", "watermark", "counts", "agreement", "split")
    return {
        "artifact": artifact.pk,
        "run": artifact.run_id,
        "sha256": artifact.sha256,
        **{key: artifact.meta[key] for key in kept if key in artifact.meta},
    }


def summary(step: Step) -> dict[str, Any]:
    return {
        "run": step.run.pk,
        "name": step.run.name,
        "artifact": step.outputs[0].pk,
        "summary": step.run.summary,
    }


# What was asked.


def asked(row: Run, steps: Sequence[Step], inputs: Sequence[RunInput]) -> dict[str, Any]:
    """Who wanted to know what, of which clips, by whom."""
    made = [step for step in steps if step.run.pk in _makers(steps, inputs)]
    return {
        "by": row.created_by.get_username() if row.created_by else "",
        "at": row.created_at.isoformat(),
        "group": row.group.name if row.group else "",
        "clips": [_clips(step) for step in made],
        "judges": sorted(
            {
                each.role.partition(":")[2]
                for step in of_kind(steps, "evaluation")
                for each in step.inputs
                if each.role.startswith("candidate_scores:")
            }
        ),
        "settings": [
            {
                "name": step.run.name,
                "run": step.run.pk,
                "config": {key: step.run.config[key] for key in _TOLD if key in step.run.config},
            }
            for step in of_kind(steps, "alignment")
        ],
    }


def _makers(steps: Sequence[Step], inputs: Sequence[RunInput]) -> set[int]:
    """The runs that left the clips which the evaluations read."""
    evaluations = {row.artifact.run_id for row in inputs if row.artifact is not None}
    return {
        each.artifact.run_id
        for step in steps
        if step.run.pk in evaluations
        for each in step.inputs
        if each.role in ("base", "candidate") and each.artifact is not None
    }


def _clips(step: Step) -> dict[str, Any]:
    config = step.run.config
    told = ("generator", "clips_per_prompt", "seed", "steps", "guidance_scale", "num_frames", "fps")
    return {
        "run": step.run.pk,
        "name": step.run.name or step.run.kind,
        "clips": step.run.summary.get("clips"),
        "config": {key: config[key] for key in told if key in config},
    }


# The reward model, against what can be known at all.


def reward_model(step: Step, steps: Sequence[Step], recipes: str) -> dict[str, Any]:
    test = step.run.summary.get("evaluation", {}).get(TEST, {})
    known = _ceilings(step, recipes)
    figures = {}
    for key, row in test.items():
        accuracy, ceiling = row.get("accuracy_without_ties"), known.get(key)
        share = (
            share_above_chance(accuracy, ceiling["accuracy"])
            if accuracy is not None and ceiling is not None
            else None
        )
        figures[key] = {**row, "ceiling": ceiling, "share_of_ceiling": share}
    used = any(
        row.artifact_id == step.outputs[0].pk
        for other in of_kind(steps, "scoring")
        for row in other.inputs
        if row.role == "reward_model"
    )
    return {
        **summary(step),
        "summary": {},
        "dimensions": figures,
        "used": used,
        "alarms": step.run.summary.get("alarms", []),  # of the probes
    }


def _ceilings(step: Step, recipes: str) -> dict[str, dict[str, Any]]:
    """The ceiling on the test pairs of the snapshot that this model learned from."""
    learned = next((row.artifact for row in step.inputs if row.role == "snapshot"), None)
    if not recipes or learned is None:
        return {}
    found = read_snapshot(path_of(learned))
    held_out = [record for record in found.records if record.split == TEST]
    quality = read_quality(settings.VAR / recipes)
    known = ceilings(held_out, quality, found.dimensions.keys)
    return {key: ceiling.to_json() for key, ceiling in known.items()}


# Alignments.


def alignment(step: Step) -> dict[str, Any]:
    curves = _curves(step.run)
    loss = curves.get("loss", [])
    return {
        **summary(step),
        "method": step.run.config.get("method", ""),
        "first_loss": loss[0][1] if loss else None,
        "first_step": loss[0][0] if loss else None,
        "last_loss": loss[-1][1] if loss else None,
        "curve": [list(point) for point in _thin(loss)],
        "curves": {
            name: [list(point) for point in _thin(points)] for name, points in curves.items()
        },
        "alarms": step.run.summary.get("alarms", []),
    }


def _curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    rows = Metric.objects.filter(run=run, name__in=DRAWN).order_by("step")
    for name, step, value in rows.values_list("name", "step", "value"):
        found.setdefault(name, []).append((step, value))
    return found


def _thin(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    stride = max(1, -(-len(curve) // _CURVE_POINTS))
    return curve[::stride]


# Benchmarks.


def benchmark(name: str, row: RunInput, result: VBenchResult) -> dict[str, Any]:
    """The dimensions of VBench of one side, and the total or why there is none."""
    assert row.artifact is not None
    found = result.totals()
    return {
        "name": name,
        "artifact": row.artifact_id,
        "run": row.artifact.run_id,
        "protocol": result.protocol,
        "title": result.benchmark.title,
        "dimensions": {
            key: {"raw": each.raw, "source": each.source, "normalised": found.normalised.get(key)}
            for key, each in result.values.items()
        },
        "groups": found.groups,
        "total": found.total,
        "refusal": found.refusal,
        "proxies": result.proxies,
        "unreadable": result.unreadable,
    }
