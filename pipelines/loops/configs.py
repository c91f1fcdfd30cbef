"""A loop's config to begin with: that of an earlier loop, or the defaults of each step."""

from pathlib import Path
from typing import Any

from django.conf import settings

from formats.records import PromptRecord
from pipelines import kinds
from pipelines.loops.chain import MAP
from pipelines.models import BaseModel, GroupKind, LoopGroup, Run, RunInput
from pipelines.registry import source_of


def first_config() -> dict[str, Any]:
    """The config of the newest loop, or one with every default, for a person to edit."""
    loops = LoopGroup.objects.filter(kind=GroupKind.LOOP, runs__kind="report")
    newest = loops.order_by("-pk").first()
    return config_of(newest) if newest is not None else _defaults()


def config_of(group: LoopGroup) -> dict[str, Any]:
    """What a loop was started with, read back from its runs; votes are not given again."""
    runs = list(group.runs.order_by("pk"))
    by_name = {run.name: run for run in runs}
    made = [run for run in runs if run.kind == "generation" and not run.config.get("chunk")]
    for_map = next((run for run in made if run.name.startswith(f"Clips for {MAP}")), None)
    clips = [run for run in made if run != for_map]
    config = {
        "name": group.name,
        "snapshot": {"split": _one(runs, "snapshot").config["split"]},
        "backbone": _model_of(_one(runs, "reward_model"), "backbone"),
        "generator": _model_of(clips[0], "generator"),
        "reward_model": _one(runs, "reward_model").config,
        "prompts_pairs": _prompts_of(clips[0]),
        "prompts_eval": _prompts_of(clips[1]),
        "generation_pairs": _asked(clips[0]),
        "scoring_pairs": _asked(_one(runs, "scoring")),
        "pairing": _one(runs, "pairing").config,
        "alignments": {run.name: run.config for run in runs if run.kind == "alignment"},
        "generation_eval": _asked(clips[1]),
        "scoring_eval": _asked(_one(runs, "scoring")),
        "evaluation": {**_one(runs, "evaluation").config, "candidate": ""},
        "report": _one(runs, "report").config,
    }
    if "Independent judge" in by_name:
        config["judge"] = by_name["Independent judge"].config
    if for_map is not None:
        config["prompts_map"] = _prompts_of(for_map)
    aligned = _one(runs, "alignment")
    if aligned.inputs.filter(role="watch_prompts").exists():
        # Their settings stand in the configs of the alignments.
        config["watch"] = {"prompts": _prompts_of(aligned, "watch_prompts")}
    truth = next((run for run in runs if run.kind == "truth"), None)
    return config if truth is None else {**config, "truth_eval": truth.config}


def _asked(run: Run) -> dict[str, Any]:
    """What was asked for: all chunks, where this run made one of them."""
    config: dict[str, Any] = run.config
    return {**config, "chunk": None} if "chunk" in config else config


def _one(runs: list[Run], kind: str) -> Run:
    return next(run for run in runs if run.kind == kind)


def _model_of(run: Run, role: str) -> str | dict[str, int]:
    """The base model's name; where a run is still to leave it, that run."""
    row = RunInput.objects.select_related("base_model", "artifact").get(run=run, role=role)
    if row.base_model is not None:
        return row.base_model.name
    model = None
    if row.artifact is not None:
        model = BaseModel.objects.filter(artifact=row.artifact).first()
    if model is not None:
        return model.name
    maker = source_of(row)
    assert maker is not None  # neither a base model nor a file: a run has left it, or will
    return {"run": maker}


def _prompts_of(run: Run, role: str = "prompts") -> dict[str, Any]:
    """Which list these prompts came from: a suite's are named for it, a campaign's by hash."""
    row = run.inputs.get(role=role)
    records = PromptRecord.read(Path(settings.RUNS_ROOT) / str(run.pk) / row.file)
    suite, _, _ = records[0].id.rpartition("/")
    return {"suite": suite, "split": records[0].split, "limit": len(records)}


def _defaults() -> dict[str, Any]:
    def of(kind: str) -> dict[str, Any]:
        return kinds.get(kind).check({})

    return {
        "name": "Loop",
        "snapshot": {},
        "backbone": _name_of(BaseModel.Role.VLM),
        "generator": _name_of(BaseModel.Role.GENERATOR),
        "reward_model": of("reward_model"),
        "prompts_pairs": {"suite": "", "split": "train", "limit": 0},
        "prompts_eval": {"suite": "", "split": "test", "limit": 0},
        "generation_pairs": {**of("generation"), "clips_per_prompt": 4},
        "scoring_pairs": of("scoring"),
        "pairing": of("pairing"),
        "alignments": {"Flow-DPO": of("alignment")},
        "generation_eval": of("generation"),
        "scoring_eval": of("scoring"),
        "evaluation": {},
        "report": {},
    }


def _name_of(role: BaseModel.Role) -> str:
    model = BaseModel.objects.filter(role=role).order_by("-pk").first()
    return model.name if model is not None else ""
