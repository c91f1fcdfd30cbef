"""The loop's moving parts: one step over the global batch, validation, the newest state."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.supervised import NonFiniteError, Supervised
from models_rm import state
from models_rm.collator import Collator
from models_rm.data import PairOrder, Pairs
from models_rm.evaluation import Rewards, evaluate_pairs, rewards_of
from models_rm.materials import Materials
from models_rm.network import RewardNetwork
from models_rm.objective import (
    entry_losses,
    entry_weights,
    optimizer_for,
    per_dimension,
    rate_factor,
)
from models_rm.state import Progress


class Trainer:
    """The moving parts of one run: network, optimiser, and what resuming needs."""

    def __init__(self, run: Supervised, materials: Materials):
        config, network = materials.config, materials.network
        self.run = run
        self.materials = materials
        self.config = config
        self.network = network
        self.splits = materials.splits
        self.collator = Collator(materials.tokenizer, network.family, materials.template)
        self.clips = materials.clips
        self.order = PairOrder(self.splits["train"].prompts, config.seed)
        self.optimizer = optimizer_for(network, config)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self.progress = Progress()
        self._reports: list[dict[str, float]] = []

    @property
    def theta(self) -> list[float]:
        """Of each dimension as it stands now; a learned one moves."""
        return list(self.network.thetas.by_key(self.network.keys).values())

    @property
    def step(self) -> int:
        """Optimiser steps that are done."""
        return self.progress.step

    # One step

    def check(self) -> None:
        """Save and leave where the run must stop."""
        self.run.check(self.save)

    def learn(self) -> None:
        """One optimiser step over `pairs_per_step` pairs, in `accumulation` parts."""
        step, pairs = self.step, self.splits["train"]
        self.progress.step += 1
        chosen = self.order.step(step, self.config.pairs_per_step)
        weight = float(entry_weights(pairs, chosen, self.config).sum())
        if weight == 0:
            return  # Nobody has an opinion on any of these: there is no mean of nothing.
        factor = rate_factor(step, self.config)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        report: dict[str, float] = {"loss": 0.0}
        for part in np.split(chosen, self.config.accumulation):
            losses, gaps = self._losses(pairs, part)
            loss = losses.sum() / weight
            loss.backward()
            report["loss"] += loss.item()
            report.update(per_dimension(pairs, part, losses.detach(), gaps, self.config))
        norm = torch.nn.utils.clip_grad_norm_(_learning(self.network), self.config.max_grad_norm)
        if not (math.isfinite(report["loss"]) and bool(torch.isfinite(norm))):
            raise NonFiniteError(
                f"the loss or the gradient of step {step + 1} is not a finite number"
            )
        self.optimizer.step()
        self._reports.append(
            {**report, "grad_norm": float(norm), "learning_rate": self._rates[0] * factor}
        )

    def _losses(self, pairs: Pairs, part: NDArray[np.int64]) -> tuple[torch.Tensor, Rewards]:
        """Loss per entry [n, D], 0 where it is not valid, and the reward differences [n, D].

        A and B go through the network in one forward, and a clip that several pairs share once.
        """
        rows, where = np.unique(np.concatenate([pairs.a[part], pairs.b[part]]), return_inverse=True)
        chosen = [pairs.rows[row] for row in rows]
        batch = self.collator([self.clips.read(r) for r in chosen], [r.prompt for r in chosen])
        device = self.network.tokens.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.dtype == "bfloat16"):
            rewards = self.network(batch.to(device))
        a, b = rewards.at(where[: len(part)]), rewards.at(where[len(part) :])
        losses, _ = entry_losses(a, b, pairs, part, self.config, self.network.thetas)
        return losses, (a.mean - b.mean).detach().double().cpu().numpy()

    def take_report(self) -> dict[str, float]:
        """Means since the last report."""
        names = {name for report in self._reports for name in report}
        means = {
            name: float(np.mean([report[name] for report in self._reports if name in report]))
            for name in sorted(names)
        }
        self._reports.clear()
        return means

    # Examining

    def rewards(self, pairs: Pairs) -> Rewards:
        return rewards_of(
            self.network,
            self.collator,
            self.clips,
            pairs.rows,
            batch_size=2 * self.config.pairs_per_step // self.config.accumulation,
            check=self.check,
        )

    def validate(self) -> dict[str, float]:
        pairs = self.splits["validation_while_training"]
        result = evaluate_pairs(pairs, self.rewards(pairs), self.theta, bootstrap=0)
        judged = [row for row in result.values() if row["pairs"]]
        loss = float(np.mean([row["nll"] for row in judged])) if judged else math.nan
        self.progress.judge(loss)
        report = {"validation/loss": loss}
        for key, row in result.items():
            for name in ("accuracy_without_ties", "accuracy_with_ties"):
                if row.get(name) is not None:
                    report[f"validation/{name}/{key}"] = row[name]
        return report

    @property
    def out_of_patience(self) -> bool:
        return self.config.patience is not None and self.progress.waited >= self.config.patience

    # Saving and resuming

    def save(self) -> None:
        commit_checkpoint(
            self.run.dir.checkpoints,
            self.step,
            self.run.fence,
            lambda folder: state.write(folder, self.network, self.optimizer, self.progress),
        )

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        newest = newest_verified(self.run.dir.checkpoints, lambda text: print(text, flush=True))
        if newest is not None:
            self.progress = state.read(newest.path, self.network, self.optimizer)


def _learning(network: RewardNetwork) -> list[torch.nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
