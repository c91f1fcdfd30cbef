"""The loop's moving parts: one step over the pairs of all processes, the newest state."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.errors import FormatError
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_align import state
from models_align.adapters import add_adapter, commit_adapter, trainable_parameters
from models_align.chance import seed_of
from models_align.config import AlignmentConfig
from models_align.data import PairData, Plan
from models_align.generators.base import Generator
from models_align.generators.families import load_generator
from models_align.latents import Tensors, errors_of_the_system
from models_align.lean import make_lean
from models_align.objective import Errors, pair_losses, readings
from models_align.policy import Policy, both_errors
from models_align.reference import forward_size
from models_align.spreading import part_of_step, spread, take_apart
from trainers.world import World, whole


class Trainer:
    """A generator with an adapter that learns, its optimiser, and what resuming needs.

    With several processes each has one, and all call the same methods in the same order.
    """

    def __init__(
        self,
        run: Supervised,
        config: AlignmentConfig,
        generator: Generator,
        data: PairData,
        world: World,
    ):
        self.run, self.config, self.world, self.data = run, config, world, data
        self.generator = generator
        self.step = 0  # optimiser steps that are done
        self.lora = add_adapter(generator, config)
        self.networks = dict(generator.networks)
        make_lean(self.networks.values())
        if config.gradient_checkpointing:
            _checkpoint_activations(self.networks)
        self.model = spread(Policy(generator), self.networks, world, config.sharding)
        # Not before: sharding puts other parameters in their place.
        self.parameters = trainable_parameters(generator)
        learning = list(self.parameters.values())
        self.optimizer = torch.optim.Adam(learning, lr=config.lr, fused=True)
        for network in self.networks.values():
            network.train()

    # One step

    def learn(self) -> dict[str, float]:
        """One optimiser step over `pairs_per_step` pairs of all processes together.

        The figures of the step, computed before it was taken.
        """
        config, step = self.config, self.step
        torch.manual_seed(seed_of(config.seed, "dropout", step, self.world.rank))
        plan = self.data.plan(step)
        self.optimizer.zero_grad()
        errors = self._backward(plan)
        if self._sharded and len(self.networks) > 1:
            self._leave_idle_networks_alone()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), config.max_grad_norm)
        loss = pair_losses(config, plan.facts, errors).mean().item()
        grad_norm = float(whole(norm))
        _refuse_non_finite(step, loss, grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        self.optimizer.step()
        self.step += 1
        return {"loss": loss, "grad_norm": grad_norm, **readings(config, plan.facts, errors)}

    def _backward(self, plan: Plan) -> Errors:
        """Gradients of the mean loss, forward by forward; gives the errors of the whole step."""
        found, parts = [], self._parts()
        for number, rows in enumerate(parts, start=1):
            batch = self.data.batch(plan, rows)
            with part_of_step(self.model, self.networks, last=number == len(parts)):
                with self.autocast():
                    errors = both_errors(self.generator, batch, self.model)
                losses = pair_losses(self.config, batch, errors)
                # Processes average their gradients; the loss is the mean over the pairs of all.
                (losses.sum() * (self.world.size / self.config.pairs_per_step)).backward()
            found.append(_stacked(errors))
        everybody = self.world.each(torch.cat(found, dim=1))
        return Errors(*torch.cat(everybody, dim=1))

    def _leave_idle_networks_alone(self) -> None:
        """A network that no pair of the step asked has no gradient, as where nothing is sliced.

        Zeros would let Adam move it by what it remembers of earlier steps.
        """
        for network in self.networks:
            own = [p for name, p in self.parameters.items() if name.startswith(f"{network}.")]
            gradients = [each.grad for each in own if each.grad is not None]
            if gradients and float(whole(torch.nn.utils.get_total_norm(gradients))) == 0:
                for each in own:
                    each.grad = None

    def _parts(self) -> list[slice]:
        """The rows of a step that are this process's, by forward."""
        config, world = self.config, self.world
        mine = config.pairs_per_step // world.size
        size = forward_size(config.pairs_per_step, config.micro_pairs, world.size)
        first, behind = world.rank * mine, (world.rank + 1) * mine
        return [slice(at, min(at + size, behind)) for at in range(first, behind, size)]

    def autocast(self) -> torch.autocast:
        wanted = self.config.precision == "bfloat16"
        return torch.autocast(self.generator.device.type, torch.bfloat16, enabled=wanted)

    # Saving and resuming

    def save(self, protect: Sequence[Path] = (), metric: float | None = None) -> None:
        """Commit a checkpoint. `metric` of held-out prompts at this step: the lower, the better."""
        take_apart(self.networks)
        tensors = state.gather(self.parameters, self.optimizer)
        if self.world.leads:
            commit_checkpoint(
                self.run.dir.checkpoints,
                self.step,
                self.run.fence,
                lambda folder: state.write(folder, tensors, self.step, self.config),
                {**self.run.dir.provenance(), "processes": self.world.size},
                protect=protect,
                metric=metric,
            )
        self.world.wait()  # Nobody looks for it before it is there.

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        newest = newest_verified(self.run.dir.checkpoints, self.say)
        step = -1 if newest is None else newest.step
        if self.world.most(step) != step or self.world.most(-step) != -step:
            raise FormatError(
                "the processes of this run do not see the same checkpoints",
                path=self.run.dir.checkpoints,
            )
        if newest is not None:
            self.restore(newest.path)
            self.say(f"resumed behind step {self.step}")

    def restore(self, folder: Path) -> None:
        """Be where a verified checkpoint was."""
        take_apart(self.networks)
        saved = state.read(folder)
        saved.refuse_other_config(self.config)
        saved.restore(self.parameters, self.optimizer)
        self.step = saved.step

    def say(self, text: str) -> None:
        if self.world.leads:
            print(text, flush=True)

    def log(self, values: dict[str, float], stage: str = "training") -> None:
        if self.world.leads:
            self.run.dir.log_metrics(self.step, self.config.steps, values, stage=stage)

    # The end

    def commit(self, target: Path, card: dict[str, Any]) -> str:
        """Write the adapter folder; the sha256 of its manifest, or nothing beside the leader."""
        weights = None
        if self._sharded:
            take_apart(self.networks)
            weights = state.gather(self.parameters, self.optimizer)
        if not self.world.leads:
            return ""
        generator = self.generator if weights is None else self._rebuilt(weights)
        with errors_of_the_system():
            return commit_adapter(target, generator, self.lora, card)

    @property
    def _sharded(self) -> bool:
        return self.world.size > 1 and self.config.sharding == "fsdp"

    @torch.no_grad()
    def _rebuilt(self, weights: Tensors) -> Generator:
        """The whole generator with these weights: slices cannot be saved as they lie."""
        generator = load_generator(self.generator.source)
        add_adapter(generator, self.config)
        for name, parameter in trainable_parameters(generator).items():
            parameter.copy_(weights[f"weights.{name}"])
        return generator


def _stacked(errors: Errors) -> torch.Tensor:  # [5, B], on the CPU
    return torch.stack([each.detach() for each in errors if each is not None]).cpu()


def _checkpoint_activations(networks: dict[str, torch.nn.Module]) -> None:
    for network in networks.values():
        enable: Callable[[], None] | None = getattr(network, "enable_gradient_checkpointing", None)
        if enable is None or not getattr(network, "_supports_gradient_checkpointing", False):
            raise BadConfigError(
                f"gradient_checkpointing: a {type(network).__name__} cannot do it; switch it off"
            )
        enable()


def learning_rate(config: AlignmentConfig, step: int) -> float:
    """Of the step that comes after `step` others."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return rate
    return rate * min(1.0, 2 * (config.steps - step) / config.steps)


def _refuse_non_finite(step: int, loss: float, grad_norm: float) -> None:
    """Before the optimizer steps: afterwards the weights would be lost as well."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise NonFiniteError(
            f"step {step}: the loss is {loss} and the gradient norm {grad_norm}; "
            "a lower lr or beta may help"
        )
