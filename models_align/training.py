"""The alignment run, top to bottom: `python -m models_align train RUN_DIR`."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from formats.checkpoints import verify_folder
from formats.files import sha256_of
from formats.halving import smaller
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from models_align.cards import facts_of
from models_align.config import AlignmentConfig
from models_align.data import PairData, training_pairs
from models_align.generators.base import Generator
from models_align.generators.families import load_generator
from models_align.latents import TensorCache
from models_align.reference import ReferenceTable, forward_size
from models_align.trainer import Trainer
from models_align.watching.watch import Watch
from models_align.watching.wishes import refuse_what_cannot_be
from trainers.world import World, joined


def train(run: Supervised) -> Outcome:
    """Encode, compute the reference where it is wanted once, train, leave an adapter."""
    config = _within_memory(run, AlignmentConfig.from_json(run.dir.config()))
    refuse_what_cannot_be(run, config)
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Filling memory that is about to be written helps to find faults only, and costs a twentieth.
    torch.utils.deterministic.fill_uninitialized_memory = False
    started = time.monotonic()
    with joined(config.processes) as world:
        run.agree = world.most
        trainer = prepared(run, config, world)
        watch = Watch.of(run, trainer.generator, config, world=world, step=trainer.step)
        values = trained(trainer, watch)
        return leave(trainer, watch, values, time.monotonic() - started)


def _within_memory(run: Supervised, config: AlignmentConfig) -> AlignmentConfig:
    """Fewer pairs in a forward, after an attempt that ran out of memory."""
    split = run.dir.split()
    if split == 1:
        return config
    pairs = forward_size(config.pairs_per_step, config.micro_pairs, config.processes)
    run.tell_split("micro_pairs", pairs, smaller(pairs, split))
    return replace(config, micro_pairs=smaller(pairs, split))


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
    if not run.dir.has_input("watch_prompts") and not data.encodes_each_step:
        _forget_encoders(generator)
    trainer = Trainer(run, config, generator, data, world)
    if table is not None:
        _fill(trainer, table)
    trainer.resume()
    return trainer


def _forget_encoders(generator: Generator) -> None:
    """Give back the memory of what is not asked any more: a text encoder may be the largest part.

    Configs stay, weights are gone.
    """
    networks = {id(each) for each in generator.networks.values()}
    for part in generator.pipeline.components.values():
        if isinstance(part, torch.nn.Module) and id(part) not in networks:
            part.to("meta")


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


def trained(trainer: Trainer, watch: Watch) -> dict[str, float]:
    """Train to the last step, or to an alarm that ends the run; the figures of that step."""
    config = trainer.config
    values = _last_figures(trainer)

    def save() -> None:
        trainer.save(watch.protected(), watch.metric(trainer.step))

    _first_look(trainer, watch, save)
    while trainer.step < config.steps and not watch.stopped:
        trainer.run.check(save)
        values = trainer.learn()
        step = trainer.step
        if step % config.log_every == 0 or step in {1, config.steps}:
            trainer.log(values)
            watch.fed(step, values)
        if watch.due(step):
            watch.look(step, save)
        if step % config.save_every == 0 and step < config.steps and not watch.stopped:
            save()
    return values


def _last_figures(trainer: Trainer) -> dict[str, float]:
    """Of the step that an earlier attempt ended with: it may have been the last one."""
    lines, _ = trainer.run.dir.metrics_from(0)
    found = [each.values for each in lines if each.stage == "training" and each.values]
    return dict(found[-1]) if found else {}


def _first_look(trainer: Trainer, watch: Watch, save: Callable[[], None]) -> None:
    """The base, before the first step; and a checkpoint of it, where an alarm may end the run."""
    if watch.due(trainer.step):
        watch.look(trainer.step, save)
    if trainer.config.stop_on and trainer.step == 0:
        save()


def leave(trainer: Trainer, watch: Watch, values: dict[str, float], seconds: float) -> Outcome:
    """Commit the adapter, of the last good checkpoint where an alarm ended the run."""
    run, config = trainer.run, trainer.config
    if watch.stopped:
        trainer.restore(watch.good_checkpoint().path)
    meta = {
        "method": config.method,
        "name": config.name,
        "steps": trainer.step,
        "pairs": len(trainer.data.pairs),
        **watch.end(),
    }
    generator, alarms = trainer.generator, watch.summary().get("alarms", [])
    card = {
        **meta,
        "config": config.to_json(),
        "base": generator.source,
        "last": values,
        **facts_of(generator, trainer.data.pairs, alarms, seconds),
    }
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
        outputs=(
            Output(OutputKind.ADAPTER, "outputs/adapter", sha256, meta),
            *watch.outputs(),
        ),
        summary={**meta, **values, "seconds": round(seconds, 1), **watch.summary()},
    )
