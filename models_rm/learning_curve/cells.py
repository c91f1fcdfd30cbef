"""The cells of a learning curve: one training per share of the prompts and seed, kept when done.

RUN_DIR/cells/<share>-<seed>/checkpoints   while it trains
RUN_DIR/cells/<share>-<seed>/result.json   learning_cell/1, when it is done
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from formats.files import read_json, write_json
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised
from models_rm.config import RewardModelConfig
from models_rm.learning_curve.config import LearningCurveConfig
from models_rm.preferences.data import Pairs
from models_rm.reward_models.calibration import calibrate
from models_rm.training.run import trained
from models_rm.training.state import difference
from models_rm.training.trainer import Trainer
from trainers.world import World

SCHEMA: Final = "learning_cell/1"
_UNITS: Final = 1000  # of progress, for a cell of average length


@dataclass(frozen=True, slots=True)
class CellResult:
    """What a training came to: how much it learned from, and its gaps on the test pairs."""

    fraction: float
    seed: int
    prompts: int
    pairs: int
    votes: int  # 0 where labels were imported
    steps: int
    best_step: int | None
    config: dict[str, Any]
    keys: tuple[str, ...]
    clusters: tuple[str, ...]  # [N], the prompt of each test pair
    said: tuple[tuple[int | None, ...], ...]  # [N][D]: +1, 0, -1; None where nobody said
    gaps: tuple[tuple[float, ...], ...]  # [N][D]: reward of A - reward of B
    thresholds: dict[str, float | None]  # of ties, found on validation prompts

    @classmethod
    def read(cls, file: Path) -> "CellResult":
        value = read_json(file, SCHEMA)
        for name in ("keys", "clusters"):
            value[name] = tuple(value[name])
        for name in ("said", "gaps"):
            value[name] = tuple(map(tuple, value[name]))
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Plan:
    """All cells in their order, and how far the whole is when one of them is at a share of it."""

    config: LearningCurveConfig

    @property
    def cells(self) -> list[tuple[float, int]]:
        """Seed by seed, so that a whole curve is there early."""
        return [(share, seed) for seed in self.config.seeds for share in self.config.fractions]

    @property
    def total(self) -> int:
        return _UNITS * len(self.cells)

    def at(self, index: int, share: float) -> int:
        """Progress with `index` cells done and the next one at a share of its steps."""
        # With epochs a small share of the prompts is a short training.
        by_data = self.config.model.get("epochs") is not None
        lengths = [fraction if by_data else 1.0 for fraction, _ in self.cells]
        done = sum(lengths[:index]) + (share * lengths[index] if index < len(lengths) else 0.0)
        return round(self.total * done / sum(lengths))


class CellDir(RunDir):
    """A folder for the checkpoints of a cell; inputs and metrics are those of the whole run."""

    def __init__(self, parent: RunDir, name: str, report: Callable[..., None]):
        super().__init__(parent.root / "cells" / name)
        self.parent = parent
        self._report = report

    def input(self, role: str) -> Path:
        return self.parent.input(role)

    def media_root(self) -> Path:
        return self.parent.media_root()

    def log_metrics(
        self, step: int, total: int, values: Mapping[str, float] | None = None, *, stage: str = ""
    ) -> None:
        self._report(step / max(total, 1), values, stage)


class Cell(Supervised):
    """One training inside a run: it obeys what the run obeys."""

    def __init__(self, parent: Supervised, folder: CellDir):
        self.parent = parent
        self.dir = folder
        self.fence = parent.fence

    def check(self, save: Callable[[], None] | None = None) -> None:
        self.parent.check(save)


def results(run: Supervised, config: LearningCurveConfig, world: World) -> list[CellResult]:
    """Train every cell that is not done yet; give all of them."""
    plan = Plan(config)
    return [_result(run, plan, index, world) for index, _cell in enumerate(plan.cells)]


def _result(run: Supervised, plan: Plan, index: int, world: World) -> CellResult:
    share, seed = plan.cells[index]
    config = plan.config.of_cell(share, seed)

    def report(done: float, values: Mapping[str, float] | None, stage: str) -> None:
        text = f"{share:g} of the prompts, seed {seed}: {stage}"
        run.dir.log_metrics(plan.at(index, done), plan.total, values, stage=text[:100])

    folder = CellDir(run.dir, f"{share:g}-{seed}", report)
    file = folder.root / "result.json"
    if not file.exists():
        trainer = trained(Cell(run, folder), config, world, frames=run.dir.root)
        result = _examined(trainer, config, share, seed)
        if world.leads:
            write_json(file, SCHEMA, asdict(result))
            shutil.rmtree(folder.checkpoints, ignore_errors=True)
            run.dir.log_metrics(plan.at(index + 1, 0.0), plan.total)
        world.most(0)  # Nobody goes on before it is written.
    return _of_this_config(CellResult.read(file), config, file)


def _of_this_config(result: CellResult, config: RewardModelConfig, file: Path) -> CellResult:
    if found := difference(result.config, config):
        raise BadConfigError(
            f"the cell {file.parent.name} was trained with another config: {found}; "
            "start a new run instead"
        )
    return result


def _examined(trainer: Trainer, config: RewardModelConfig, share: float, seed: int) -> CellResult:
    splits = trainer.splits
    test = splits["test"]
    rewards = trainer.outputs(test).mean
    source = "validation" if len(splits["validation"]) else "train"
    found = calibrate(splits[source], trainer.outputs(splits[source]).mean, source)
    train = [each for each in trainer.materials.snapshot.records if each.split == "train"]
    return CellResult(
        fraction=share,
        seed=seed,
        prompts=len({each.prompt for each in train}),
        pairs=len(train),
        votes=sum(each.votes for each in train) if all(each.votes for each in train) else 0,
        steps=trainer.step,
        best_step=trainer.progress.best_step,
        config=config.to_json(),
        keys=test.keys,
        clusters=test.prompts,
        said=_said(test),
        gaps=tuple(map(tuple, (rewards[test.a] - rewards[test.b]).tolist())),
        thresholds=dict(found.threshold),
    )


def _said(pairs: Pairs) -> tuple[tuple[int | None, ...], ...]:
    return tuple(
        tuple(label if valid else None for label, valid in zip(*row, strict=True))
        for row in zip(pairs.preference.tolist(), pairs.valid.tolist(), strict=True)
    )
