"""The loop's moving parts: one step over the global batch, validation, the newest state."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributed.fsdp import FSDPModule

from formats.checkpoints import (
    Checkpoint,
    checkpoints,
    commit_checkpoint,
    newest_verified,
    verify_folder,
)
from formats.supervised import NonFiniteError, Supervised
from models_rm.errors import CheckpointMismatchError
from models_rm.examination.evaluation import (
    RowRewards,
    evaluate_pairs,
    outputs_of,
    refuse_not_finite,
)
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork, Rewards
from models_rm.preferences.data import PairOrder, Pairs, sharing
from models_rm.preferences.targets import entry_weights
from models_rm.reward_models.checkpoints import learned_weights
from models_rm.training import state
from models_rm.training.materials import Materials, rebuilt
from models_rm.training.objective import entry_losses, mean_loss, optimizer_for, rate_factor
from models_rm.training.spreading import part_of_step, spread, take_apart
from models_rm.training.state import Progress
from models_rm.training.step_report import StepSums
from trainers.world import World, whole

Raw = NDArray[np.float64]


class Trainer:
    """The moving parts of one run: network, optimiser, and what resuming needs.

    With several processes each has one, and all call the same methods in the same order.
    """

    def __init__(self, run: Supervised, materials: Materials, world: World):
        config, network = materials.config, materials.network
        self.run = run
        self.world = world
        self.progress = Progress()
        self.materials = materials
        self.config = config
        self.network = network
        self.splits = materials.splits
        self.collator = Collator(materials.tokenizer, network.family, materials.template)
        self.clips = materials.clips
        self.order = PairOrder(sharing(self.splits["train"]), config.seed)
        self.model = spread(network, world, config.sharding)
        self.optimizer = optimizer_for(network, config)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._reports: list[dict[str, float]] = []
        self._validated: tuple[int, float] | None = None  # the newest: its step and its loss
        self.finished = False

    @property
    def step(self) -> int:
        """Optimiser steps that are done."""
        return self.progress.step

    @property
    def theta(self) -> list[float]:
        """Per dimension, as it is now."""
        thetas = self.network.thetas
        if not thetas.learned:  # as it was given, not as float32 has it
            return list(thetas.by_key(self.network.keys).values())
        values: list[float] = whole(thetas.values().detach()).double().tolist()
        return values

    # One step

    def check(self) -> None:
        """Leave where the run must stop; save first, unless the training is over and saved."""
        self.run.check(None if self.finished else self.save)

    def learn(self) -> None:
        """One optimiser step over `pairs_per_step` pairs of all processes together."""
        step = self.step
        self.progress.step += 1
        # The divisor belongs to the whole step, and the labels of all of it are known here.
        weight = self._weight(self.order.step(step, self.config.pairs_per_step))
        if weight == 0:
            self.progress.without_opinion += 1
            return  # Nobody has an opinion on any of these: there is no mean of nothing.
        factor = self._set_rates(step)
        report = self._backward(step, weight).over(self.world).report()
        norm = self._clipped_norm()
        if not (math.isfinite(report["loss"]) and math.isfinite(norm)):
            raise NonFiniteError(
                f"the loss or the gradient of step {step + 1} is not a finite number"
            )
        self.optimizer.step()
        rates = {"grad_norm": norm, "learning_rate": self._rates[0] * factor}
        self._reports.append({**report, **rates, **self._moving_thetas()})

    def _moving_thetas(self) -> dict[str, float]:
        if not self.network.thetas.learned:
            return {}
        pairs = zip(self.network.keys, self.theta, strict=True)
        return {f"theta/{key}": value for key, value in pairs}

    def _backward(self, step: int, weight: float) -> StepSums:
        """Gradients of the loss over `weight`, part by part; gives this process's sums."""
        pairs, config, world = self.splits["train"], self.config, self.world
        mine = self.order.step(step, config.pairs_per_step, rank=world.rank, world=world.size)
        sums = StepSums.nothing(pairs.keys)
        for number, part in enumerate(np.split(mine, config.accumulation), start=1):
            with part_of_step(self.model, last=number == config.accumulation):
                losses, weights, gaps = self._losses(pairs, part)
                # Both ways of sharing average the gradients of the processes; we want their sum.
                (losses.sum() * (world.size / weight)).backward()
            sums = sums.plus(pairs, part, losses, weights, gaps)
        return sums

    def _weight(self, chosen: NDArray[np.int64]) -> float:
        return float(entry_weights(self.splits["train"], chosen, self.config).sum(dtype=np.float64))

    def _set_rates(self, step: int) -> float:
        factor = rate_factor(step, self.config)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        return factor

    def _clipped_norm(self) -> float:
        norm = torch.nn.utils.clip_grad_norm_(_learning(self.network), self.config.max_grad_norm)
        return float(whole(norm))

    def _losses(
        self, pairs: Pairs, part: NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor, Raw]:
        """Weighted losses and weights of each entry, and the reward differences, all [n, D].

        A and B go through the network in one forward, and a clip that several pairs share once.
        """
        rows, where = np.unique(np.concatenate([pairs.a[part], pairs.b[part]]), return_inverse=True)
        chosen = [pairs.rows[row] for row in rows]
        batch = self.collator([self.clips.read(r) for r in chosen], [r.prompt for r in chosen])
        with self._autocast():
            rewards = self.model(batch.to(self.world.device))
        refuse_not_finite(chosen, pairs.keys, rewards.mean.detach().double().cpu().numpy())
        first, second = rewards.at(where[: len(part)]), rewards.at(where[len(part) :])
        losses, weights = entry_losses(first, second, pairs, part, self.config, self.network.thetas)
        return losses, weights, (first.mean - second.mean).detach().double().cpu().numpy()

    def take_report(self) -> dict[str, float]:
        """Means since the last report."""
        names = {name for report in self._reports for name in report}
        means = {
            name: float(np.mean([report[name] for report in self._reports if name in report]))
            for name in sorted(names)
        }
        self._reports.clear()
        return means

    def log(self, values: Mapping[str, float] | None = None, *, stage: str) -> None:
        if self.world.leads:
            self.run.dir.log_metrics(self.step, self.config.steps, values, stage=stage)

    # Examining

    @property
    def batch_of_clips(self) -> int:
        """As many clips as a part of a step looks at."""
        config = self.config
        return 2 * config.pairs_per_step // (config.accumulation * config.processes)

    def outputs(self, pairs: Pairs) -> RowRewards:
        """Rewards of all rows, each computed by one of the processes."""
        rows, world = pairs.rows, self.world
        with self._autocast():
            mine = outputs_of(
                self.network,
                self.collator,
                self.clips,
                [rows[index] for index in world.my_rows(len(rows))],
                batch_size=self.batch_of_clips,
                check=self.check,
            )
        spread_of = mine.log_variance
        return RowRewards(
            world.all_rows(mine.mean, len(rows)),
            None if spread_of is None else world.all_rows(spread_of, len(rows)),
        )

    def _autocast(self) -> torch.autocast:
        wanted = self.config.dtype == "bfloat16"
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=wanted)

    def validate(self) -> dict[str, float]:
        """Examine the validation prompts; keep the state where it is the best so far."""
        pairs = self.splits["validation_while_training"]
        found = self.outputs(pairs)
        self.progress.validated = self.step
        result = evaluate_pairs(
            pairs, found.mean, self.theta, log_variance=found.log_variance, bootstrap=0
        )
        loss = self._validation_loss(pairs, found, result)
        self._validated = None if math.isnan(loss) else (self.step, loss)
        if self.progress.judge(loss) and self.config.keep == "best":
            self.save()
        report = {"validation/loss": loss}
        for key, row in result.items():
            for name in ("accuracy_without_ties", "accuracy_with_ties"):
                if row.get(name) is not None:
                    report[f"validation/{name}/{key}"] = row[name]
        return report

    def _validation_loss(
        self, pairs: Pairs, found: RowRewards, result: Mapping[str, Mapping[str, Any]]
    ) -> float:
        """Of the labels under the model of ties where all dimensions learn that, equally; else of
        what is learned: a model of another loss is not chosen by a likelihood that it never saw."""
        plain = {"btt"} == set(self.config.loss_of(pairs.keys))
        if plain and len(set(self.config.weights_of(pairs.keys))) == 1:
            judged = [row["nll"] for row in result.values() if row["pairs"]]
            return float(np.mean(judged)) if judged else math.nan
        columns = [
            None if each is None else torch.as_tensor(each, dtype=torch.float32)
            for each in (found.mean, found.log_variance)
        ]
        mean, spread = (each if each is None else each.to(self.world.device) for each in columns)
        assert mean is not None
        loss = mean_loss(Rewards(mean, spread), pairs, self.config, self.network.thetas)
        return math.nan if loss is None else loss

    @property
    def owes_validation(self) -> bool:
        """Was the evaluation of this step due, and has not come to its end?"""
        config, step = self.config, self.step
        due = step % config.eval_every == 0 or (step == config.steps and config.keep == "best")
        return due and self.progress.validated != step

    @property
    def out_of_patience(self) -> bool:
        return self.config.patience is not None and self.progress.waited >= self.config.patience

    # Saving and resuming

    def save(self) -> None:
        """Commit a checkpoint. The one of the best step stays as long as it may be wanted."""
        tensors = state.gather(self.network, self.optimizer, self.world)
        if self.world.leads:
            self._commit(tensors)
        self.world.most(0)  # Nobody looks for it before it is there.

    def _commit(self, tensors: state.Tensors) -> None:
        kept = self._best() if self.config.keep == "best" else []
        at, loss = self._validated or (None, None)
        commit_checkpoint(
            self.run.dir.checkpoints,
            self.step,
            self.run.fence,
            lambda folder: state.write(folder, tensors, self.progress, self.config),
            {**self.run.dir.provenance(), "processes": self.world.size},
            protect=[each.path for each in kept],
            metric=loss if at == self.step else None,
        )

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        newest = newest_verified(self.run.dir.checkpoints, self._say)
        step = -1 if newest is None else newest.step
        if self.world.most(step) != step or self.world.most(-step) != -step:
            raise CheckpointMismatchError(
                "the processes of this run do not see the same checkpoints",
                path=self.run.dir.checkpoints,
            )
        if newest is None:
            return
        saved = state.read(newest.path)
        saved.refuse_other_config(self.config)
        saved.restore(self.network, self.optimizer, self.world)
        self.progress = saved.progress

    def _say(self, text: str) -> None:
        if self.world.leads:
            print(text, flush=True)

    def finish(self) -> None:
        """After the last step: the weights that are kept, whole in every process."""
        self.finished = True
        best = self.progress.best_step
        if self.config.keep == "best" and best not in (None, self.step):
            self._restore_best()
        if isinstance(self.network, FSDPModule):
            take_apart(self.network)
            # Examining is quicker without putting each block together again and again.
            learned = {name: whole(each) for name, each in learned_weights(self.network).items()}
            self.network = rebuilt(self.materials, self.world)
            self.network.load_state_dict(learned, strict=False)
            self.materials = replace(self.materials, network=self.network)

    def _restore_best(self) -> None:
        """Put back the weights with the best validation loss. Nothing is put in their place."""
        found = self._best()
        if not found:
            raise CheckpointMismatchError(
                f"the checkpoint of step {self.progress.best_step}, which has the best validation "
                "loss, is gone",
                path=self.run.dir.checkpoints,
            )
        verify_folder(found[0].path)
        state.read(found[0].path).restore_weights(self.network)

    def ending(self) -> str:
        """What the run came to, in a sentence."""
        progress, text = self.progress, f"trained for {self.step} steps"
        if self.config.keep == "best" and progress.best_step is not None:
            text += f"; the weights of step {progress.best_step} are kept, the best on validation"
        if progress.without_opinion:
            text += f"; {progress.without_opinion} of them had nothing to learn from"
        return text

    def _best(self) -> list[Checkpoint]:
        found = checkpoints(self.run.dir.checkpoints)
        return [each for each in found if each.step == self.progress.best_step]


def _learning(network: RewardNetwork) -> list[torch.nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
