"""The table of a grid of reward guidance: every cell against the plain one, by every judge."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from formats.errors import FormatError
from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import Supervised
from pipelines.comparisons.guidance_grids import SCORES, GridConfig
from pipelines.evaluation import compare, judged, key_of, measured, shown_keys
from pipelines.generations import read_generations
from pipelines.models import RunInput
from pipelines.registry import stands_on
from pipelines.scoring import read_scores
from pipelines.step_configs import StepConfigError

GRID: Final = "guidance_grid/1"
Clips = dict[str, list[GenerationRecord]]  # by cell, the plain one first


def perform(run: Supervised) -> Outcome:
    """Win rates and motion of each cell against the plain one, by each judge; clips to look at."""
    config = GridConfig.from_json(run.dir.config())
    inputs = _inputs(int(run.dir.root.name))
    cells = _cells(inputs["generations"])
    clips = _by_cell(cells, read_generations(run.dir.input("generations")))
    judges = sorted(role.removeprefix(SCORES) for role in inputs if role.startswith(SCORES))
    found: dict[str, dict[str, Any]] = {each["name"]: {} for each in cells}
    for step, judge in enumerate(judges, start=1):
        run.check()
        scores = read_scores(run.dir.input(f"{SCORES}{judge}"))
        for name, said in _by_judge(clips, scores, config).items():
            found[name][judge] = said
        run.dir.log_metrics(step, len(judges), stage=f"judge {judge}")
    body = {
        "cells": [{**each, **_told(each["name"], clips, found, config)} for each in cells],
        "judges": {judge: _of_the_guide(inputs, judge) for judge in judges},
        "dimensions": _order(inputs),
        "samples": _samples(clips),
    }
    sha256 = write_json(run.dir.outputs / "guidance_grid.json", GRID, body)
    meta = {"cells": len(cells), "judges": judges}
    output = Output(OutputKind.GUIDANCE_GRID, "outputs/guidance_grid.json", sha256, meta)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=meta)


def _by_judge(
    clips: Clips, scores: list[ScoreRecord], config: GridConfig
) -> dict[str, dict[str, Any]]:
    """By cell, its win rates and changes of score against the plain one."""
    plain, *others = clips
    base = judged(clips[plain], scores)
    found = {}
    for name in others:
        compared = compare(
            base, judged(clips[name], scores), weights=config.overall, seed=config.seed
        )
        found[name] = {
            "dimensions": {key: rate.to_json() for key, rate in compared.by_dimension.items()},
            "changes": {key: change.to_json() for key, change in compared.changes.items()},
            "unreadable": compared.unreadable,
        }
    return found


def _inputs(run_id: int) -> dict[str, RunInput]:
    rows = RunInput.objects.filter(run=run_id).select_related("artifact")
    return {row.role: row for row in rows}


def _cells(row: RunInput) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = row.artifact.meta.get("cells", []) if row.artifact else []
    if len(cells) < 2:
        raise StepConfigError("these clips are not those of a grid of guidance: they name no cells")
    return cells


def _by_cell(cells: Sequence[Mapping[str, Any]], records: Iterable[GenerationRecord]) -> Clips:
    names = {each["generator"]: each["name"] for each in cells}
    found: dict[str, list[GenerationRecord]] = {each["name"]: [] for each in cells}
    for record in records:
        if record.video.generator not in names:
            raise FormatError(f"a clip names the generator {record.video.generator!r}, no cell")
        found[names[record.video.generator]].append(record)
    return found


def _told(name: str, clips: Clips, found: Mapping[str, Any], config: GridConfig) -> dict[str, Any]:
    measures = measured(clips[next(iter(clips))], clips[name], seed=config.seed)
    return {
        "clips": len(clips[name]),
        "judged": found[name],
        "measures": {key: each.to_json() for key, each in measures.items()},
    }


def _order(inputs: Mapping[str, RunInput]) -> list[str]:
    """The dimensions as scores name them: a JSON object has no order that could be relied on."""
    for role, row in sorted(inputs.items()):
        if role.startswith(SCORES) and row.artifact is not None:
            return list(row.artifact.meta.get("dimensions", []))
    return []


def _of_the_guide(inputs: Mapping[str, RunInput], judge: str) -> bool:
    """Whether the guide stands, by whatever way, on this judge: then its word is worth less."""
    clips, scores = inputs["generations"].artifact, inputs[f"{SCORES}{judge}"].artifact
    if clips is None or scores is None:
        return False
    model = RunInput.objects.filter(run=scores.run_id, role="reward_model").first()
    return model is not None and model.artifact_id in stands_on(clips)


def _samples(clips: Clips) -> list[dict[str, Any]]:
    """A few prompts and seeds, picked by their hash, with the clip of every cell."""
    by_cell = {name: {key_of(clip): clip for clip in rows} for name, rows in clips.items()}
    shared = set.intersection(*(set(rows) for rows in by_cell.values()))
    plain = by_cell[next(iter(by_cell))]
    return [
        {
            "prompt": plain[key].prompt,
            "seed": key[1],
            "clips": {name: rows[key].video.sha256 for name, rows in by_cell.items()},
        }
        for key in shown_keys(shared)
    ]
