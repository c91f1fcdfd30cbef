"""The alignment run, top to bottom: `python -m models_align train RUN_DIR`."""

import time
from collections.abc import Callable
from typing import Any

import torch

from formats.checkpoints import verify_folder
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from models_align.config import AlignmentConfig
from models_align.data import PairData, training_pairs
from models_align.distributed import World, joined
from models_align.generators.families import load_generator
from models_align.latents import TensorCache
from models_align.reference import ReferenceTable
from models_align.trainer import Trainer

# Likelihood displacement: the winner gets worse too, only the loser faster.
ALARM_AFTER_LOGS = 20


def train(run: Supervised) -> Outcome:
    """Encode, compute the reference where it is wanted once, train, leave an adapter."""
    config = AlignmentConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    started = time.monotonic()
    with joined(config.processes) as world:
        run.agree = world.most
        trainer = prepared(run, config, world)
        values = trained(trainer)
        return leave(trainer, values, time.monotonic() - started)


def prepared(run: Supervised, config: AlignmentConfig, world: World) -> Trainer:
    """Everything that comes before the first step, or before the next one of a run that goes on."""
    pairs = training_pairs(run.dir.input("pairs"))
    dtype = "bfloat16" if config.precision == "bfloat16" else None
    generator = load_generator(run.dir.input("generator"), dtype=dtype)
    cache = TensorCache(run.dir.root / "cache", config.cache_mib * 2**20)
    data = PairData(pairs, run.dir.media_root(), generator, cache, config)
    _encode(run, data, world)
    cached = config.reference == "cached"
    # Its key is of the base as it is, before an adapter or slices change how it looks.
    table = ReferenceTable(data, cache, world) if cached else None
    trainer = Trainer(run, config, generator, data, world)
    if table is not None:
        _fill(trainer, table)
    trainer.resume()
    return trainer


def _encode(run: Supervised, data: PairData, world: World) -> None:
    def progress(done: int, total: int) -> None:
        run.check()
        if world.leads and (done % 50 < world.size or done == total):
            stage = f"encoding: {done} of {total} clips and prompts"
            run.dir.log_metrics(0, data.config.steps, {}, stage=stage)

    data.encode(progress, world)


def _fill(trainer: Trainer, table: ReferenceTable) -> None:
    def progress(done: int, total: int, keep: Callable[[], None]) -> None:
        trainer.run.check(keep)
        trainer.log({}, stage=f"reference: {done} of {total} batches")

    with trainer.autocast():
        trainer.data.references = table.filled(progress)


def trained(trainer: Trainer) -> dict[str, float]:
    """Train to the last step; the figures of that step."""
    config = trainer.config
    values: dict[str, float] = {}
    alarm = 0
    while trainer.step < config.steps:
        trainer.run.check(trainer.save)
        values = trainer.learn()
        step = trainer.step
        if step % config.log_every == 0 or step in {1, config.steps}:
            trainer.log(values)
            alarm = _watch(values, alarm)
        if step % config.save_every == 0 and step < config.steps:
            trainer.save()
    return values


def leave(trainer: Trainer, values: dict[str, float], seconds: float) -> Outcome:
    """Commit the adapter and say what the run came to."""
    run, config = trainer.run, trainer.config
    meta = {
        "method": config.method,
        "name": config.name,
        "steps": trainer.step,
        "pairs": len(trainer.data.pairs),
    }
    card = {**meta, "config": config.to_json(), "base": trainer.generator.source, "last": values}
    target = run.dir.outputs / "adapter"
    if target.exists():
        # An earlier attempt came as far as this and was ended before it could say so: the same
        # weights, because a run that goes on comes to what it would have come to.
        verify_folder(target)
        sha256 = sha256_of(target / "manifest.json")
    else:
        sha256 = trainer.commit(target, card)
    return Outcome(
        ExitCode.DONE,
        outputs=(Output(OutputKind.ADAPTER, "outputs/adapter", sha256, meta),),
        summary={**meta, **values, "seconds": round(seconds, 1)},
    )


def _watch(values: dict[str, Any], alarm: int) -> int:
    """Count the logs in which the winner stood above its reference, and say so once in a while."""
    alarm = alarm + 1 if values["winner_drift"] > 0 else 0
    if alarm and alarm % ALARM_AFTER_LOGS == 0:
        print(
            f"alarm: the error on winners has been above the reference for {alarm} logs; "
            "the model forgets what people like (a larger beta or a lower lr may help)",
            flush=True,
        )
    return alarm
