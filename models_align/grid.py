"""A grid of reward guidance: the same prompts, seeds and noise in every cell, one generation set.

The generator and the latent reward model are loaded once. Each record names its cell as its
generator, so whoever scores the set scores all cells and tells them apart.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord
from formats.supervised import BadConfigError, Supervised
from models_align.generators.base import Generator
from models_align.grid_config import Cell, GridConfig
from models_align.latent_reward.scoring import LatentRewardModel
from models_align.sampling import FOLDER, Clips, guide_of, prepared


def sample_grid(run: Supervised) -> Outcome:
    """The body of `python -m models_align grid RUN_DIR`."""
    grid = GridConfig.from_json(run.dir.config())
    torch.set_num_threads(grid.generation.threads)
    if not run.dir.has_input("latent_reward_model"):
        raise BadConfigError("a grid of guidance needs an input latent_reward_model, and has none")
    model = LatentRewardModel.load(run.dir.input("latent_reward_model"))
    generator, config, prompts = prepared(run, grid.generation)
    model.refuse_other_generator(generator)
    cells = list(grid.cells())
    # All of them before the first clip: a dimension that nobody judges is known at once.
    guides = [guide_of(model, each.settings, generator, seed=config.seed) for each in cells]
    clips = Clips.of(run, generator, config, prompts, folders=len(cells))
    folder = run.dir.outputs / FOLDER
    records: list[GenerationRecord] = []
    for number, (cell, guide) in enumerate(zip(cells, guides, strict=True)):
        place = f"cell-{number}"
        named = replace(config, generator=clips_of(config.generator, cell))
        made = clips.made_in(folder / place, named, guide)
        records += [_below(place, each) for each in made]
    file = folder / "generations.jsonl"
    sha256 = GenerationRecord.write(file, records)
    meta = _meta(cells, generator, config.generator)
    output = Output(OutputKind.GENERATIONS, f"outputs/{FOLDER}/generations.jsonl", sha256, meta)
    summary = {"clips": len(records), "prompts": len(prompts), "cells": len(cells)}
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def clips_of(generator: str, cell: Cell) -> str:
    """The name that the clips of a cell carry."""
    return f"{generator} ({cell.name})".strip()


def _below(place: str, record: GenerationRecord) -> GenerationRecord:
    path = (Path(place) / record.video.path).as_posix()
    return replace(record, video=replace(record.video, path=path))


def _meta(cells: list[Cell], generator: Generator, name: str) -> dict[str, Any]:
    told = [
        {
            "name": each.name,
            "generator": clips_of(name, each),
            "strength": each.settings.weight,
            "weights": each.settings.dimensions,
            "untrained": each.settings.untrained,
        }
        for each in cells
    ]
    return {"generator": name, "process": generator.process.name, "cells": told}
