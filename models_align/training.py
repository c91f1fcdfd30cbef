"""The alignment run, top to bottom."""

import math
import time
from typing import Any

import torch

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import NonFiniteError, Supervised
from models_align.adapters import (
    add_adapter,
    commit_adapter,
    trainable_parameters,
    without_adapter,
)
from models_align.checkpoints import load_state, save_state
from models_align.config import AlignmentConfig
from models_align.data import Batch, PairData, training_pairs
from models_align.flow import velocity_error
from models_align.generators.base import Generator
from models_align.generators.conditions import repeated
from models_align.generators.families import load_generator
from models_align.latents import TensorCache
from models_align.objective import Errors, pair_losses, readings

# Likelihood displacement: the winner gets worse too, only the loser faster.
ALARM_AFTER_LOGS = 20


def train(run: Supervised) -> Outcome:
    """The body of `python -m models_align train RUN_DIR`."""
    config = AlignmentConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    pairs = training_pairs(run.dir.input("pairs"))
    generator = load_generator(run.dir.input("generator"))
    cache = TensorCache(run.dir.root / "cache", config.cache_mib * 2**20)
    data = PairData(pairs, run.dir.media_root(), generator, cache, config)
    data.encode(lambda done, total: _encoded(run, config, done, total))

    lora = add_adapter(generator, config)
    trainable = list(trainable_parameters(generator).values())
    optimizer = torch.optim.Adam(trainable, lr=config.lr)
    step = 0
    found = newest_verified(run.dir.checkpoints, report=print)
    if found is not None:
        step = load_state(found.path, generator, optimizer)
        print(f"resumed behind step {step}", flush=True)

    def save() -> None:
        commit_checkpoint(
            run.dir.checkpoints,
            step,
            run.fence,
            lambda folder: save_state(folder, generator, optimizer, step),
        )

    for network in generator.networks.values():
        network.train()
    started, alarm = time.monotonic(), 0
    values: dict[str, float] = {}
    while step < config.steps:
        run.check(save)
        torch.manual_seed(config.seed * 1_000_003 + step)  # the dropout of LoRA
        batch = data.batch(step)
        errors = both_errors(generator, batch)
        loss = pair_losses(config, batch, errors).mean()
        optimizer.zero_grad()
        loss.backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(trainable, config.max_grad_norm)
        _refuse_non_finite(step, loss.item(), grad_norm.item())
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1.0, (step + 1) / max(1, config.warmup_steps))
        optimizer.step()
        values = {"loss": loss.item(), "grad_norm": grad_norm.item()}
        values |= readings(config, batch, errors)
        step += 1
        if step % config.log_every == 0 or step in {1, config.steps}:
            run.dir.log_metrics(step, config.steps, values, stage="training")
            alarm = _watch(values, alarm)
        if step % config.save_every == 0 and step < config.steps:
            save()

    meta = {"method": config.method, "name": config.name, "steps": step, "pairs": len(pairs)}
    card = {**meta, "config": config.to_json(), "base": generator.source, "last": values}
    sha256 = commit_adapter(run.dir.outputs / "adapter", generator, lora, card)
    seconds = round(time.monotonic() - started, 1)
    return Outcome(
        ExitCode.DONE,
        outputs=(Output(OutputKind.ADAPTER, "outputs/adapter", sha256, meta),),
        summary={**meta, **values, "seconds": seconds},
    )


def _encoded(run: Supervised, config: AlignmentConfig, done: int, total: int) -> None:
    run.check()
    if done % 50 == 0 or done == total:
        stage = f"encoding: {done} of {total} clips"
        run.dir.log_metrics(0, config.steps, {}, stage=stage)


def _refuse_non_finite(step: int, loss: float, grad_norm: float) -> None:
    """Before the optimizer steps: afterwards the weights would be lost as well."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise NonFiniteError(
            f"step {step}: the loss is {loss} and the gradient norm {grad_norm}; "
            "a lower lr or beta may help"
        )


def both_errors(generator: Generator, batch: Batch) -> Errors:
    """Winners and losers in one forward, with the adapter and without: no second model."""
    data = torch.cat([batch.winners, batch.losers])
    noise = torch.cat([batch.noise, batch.noise])
    t = torch.cat([batch.t, batch.t])
    text = torch.cat([batch.text, batch.text])
    condition = repeated(batch.condition, 2)
    process = generator.process
    x_t, target = process.noised(data, noise, t), process.target(data, noise, t)
    policy = velocity_error(generator.velocity(x_t, t, text, condition), target)
    with torch.no_grad(), without_adapter(generator):
        reference = velocity_error(generator.velocity(x_t, t, text, condition), target)
    return Errors(*policy.chunk(2), *reference.chunk(2))


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
