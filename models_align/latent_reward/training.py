"""The training run of a latent reward model: `python -m models_align latent_reward RUN_DIR`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_align.checked import ConfigError
from models_align.encoding import ClipEncoder, Size
from models_align.generators.base import Generator
from models_align.latent_reward.adapting import learning, prepare_for_training
from models_align.latent_reward.checkpoints import build_network
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.data import Batch, LatentPairs
from models_align.latent_reward.evaluation import Curve, curve_over_t, mean_over_t, rewards_at
from models_align.latent_reward.judgements import Judgements, judgements_of
from models_align.latents import TensorCache
from models_rm.losses import bt_nll, btt_nll

STATE: Final = "latent-reward-state/1"
Weights = dict[str, torch.Tensor]


@dataclass
class Best:
    """The best validation loss so far, its step and weights, and the examinations since."""

    loss: float = math.inf
    step: int = 0
    waited: int = 0
    weights: Weights | None = None


class Trainer:
    """The moving parts of a run."""

    def __init__(
        self,
        run: Supervised,
        config: LatentRewardConfig,
        splits: dict[str, Judgements],
        generator: Generator,
    ):
        self.run = run
        self.config = config
        self.splits = splits
        self.source = generator.source
        torch.manual_seed(config.seed)
        trunk = generator.trunk(config.blocks)
        device = generator.device  # before it leaves the accelerator
        self.network = build_network(trunk, splits["train"].keys, config).to(device)
        prepare_for_training(self.network, config, generator.lora_targets)
        self.data = LatentPairs(_encoded(run, config, splits, generator), config, device)
        self.theta = theta_of(config, self.network.keys)
        self.learning = learning(self.network)
        self.optimizer = _optimizer(self.learning, config)
        self.step = 0
        self.best = Best()
        self.network.train()

    # One step

    def learn(self) -> dict[str, float]:
        """One step over `pairs_per_step` pairs; nothing is learned where nobody has an opinion."""
        step, config = self.step, self.config
        self.step += 1
        torch.manual_seed(config.seed * 1_000_003 + step)  # the dropout of LoRA
        batch = self.data.batch(self.splits["train"], step)
        weight = float(counted(batch, config).sum())
        if weight == 0:
            return {}
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * pace(step, config)
        self.optimizer.zero_grad()
        total = 0.0
        size = config.pairs_per_step // config.accumulation
        for start in range(0, config.pairs_per_step, size):
            loss = self._losses(batch.part(slice(start, start + size))).sum() / weight
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.learning.values(), config.max_grad_norm).item()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise NonFiniteError(f"step {step}: the loss is {total}, the gradient norm {norm}")
        self.optimizer.step()
        return {"loss": total, "grad_norm": norm}

    def _losses(self, batch: Batch) -> torch.Tensor:  # [B, D], 0 where nothing counts
        """A and B in one forward."""
        noised = torch.cat([batch.noised_a, batch.noised_b])
        t, text = torch.cat([batch.t, batch.t]), torch.cat([batch.text, batch.text])
        half = self.config.dtype == "bfloat16"
        with torch.autocast(noised.device.type, torch.bfloat16, enabled=half):
            reward_a, reward_b = self.network(noised, t, text).chunk(2)
        if self.theta is None:
            values = bt_nll(reward_a, reward_b, batch.preference)
        else:
            theta = torch.tensor(self.theta, device=noised.device)
            values = btt_nll(reward_a, reward_b, batch.preference, theta)
        return torch.where(counted(batch, self.config), values, torch.zeros_like(values))

    # Examining

    def curve(self, split: str, times: tuple[float, ...], *, bootstrap: int) -> Curve:
        pairs = self.splits[split]
        rewards = {t: rewards_at(self.network, self.data, pairs, t, self.check) for t in times}
        seed = self.config.seed
        return curve_over_t(pairs, rewards, self.theta, bootstrap=bootstrap, seed=seed)

    def validate(self) -> dict[str, float]:
        """The mean loss and accuracy over t on held-out prompts; the best weights are kept."""
        times = (0.0,) if self.config.noise == "none" else self.config.evaluate_at
        curve = self.curve("validation_while_training", times, bootstrap=0)
        losses = mean_over_t(curve, "loss").values()
        loss = sum(losses) / len(losses) if losses else math.nan
        if loss < self.best.loss:
            kept = {name: each.detach().clone() for name, each in self.learning.items()}
            self.best = Best(loss, self.step, 0, kept)
        else:
            self.best.waited += 1
        accuracy = mean_over_t(curve, "accuracy_without_ties")
        shown = {f"validation/accuracy/{key}": value for key, value in accuracy.items()}
        return {"validation/loss": loss, **shown}

    @property
    def out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.best.waited

    def take_kept_weights(self) -> int:
        """Put the weights back that are to be kept; give their step."""
        if self.config.keep == "last" or self.best.weights is None:
            return self.step
        _put(self.learning, self.best.weights)
        return self.best.step

    # Saving and resuming

    def check(self) -> None:
        self.run.check(self.save)

    def save(self) -> None:
        checkpoints = self.run.dir.checkpoints
        made_by = self.run.dir.provenance()
        # The weights that validation likes best lie in every state: no checkpoint is kept for it.
        commit_checkpoint(checkpoints, self.step, self.run.fence, self._fill, made_by)

    def _fill(self, folder: Path) -> None:
        """Everything that the next step depends on: chance is a function of seed and step."""
        tensors = {f"weights.{name}": each.detach() for name, each in self.learning.items()}
        for name, each in (self.best.weights or {}).items():
            tensors[f"best.{name}"] = each
        moments = self.optimizer.state_dict()["state"]
        for index, name in enumerate(self._ordered()):
            for key, value in moments.get(index, {}).items():
                tensors[f"optimizer.{name}.{key}"] = value
        save_file(
            {name: torch.as_tensor(each).cpu().contiguous() for name, each in tensors.items()},
            folder / "state.safetensors",
        )
        best = self.best
        loss = best.loss if math.isfinite(best.loss) else None  # JSON has no word for infinity
        state = {"step": self.step, "loss": loss, "best_step": best.step, "waited": best.waited}
        write_json(folder / "state.json", STATE, state)

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        newest = newest_verified(self.run.dir.checkpoints, lambda text: print(text, flush=True))
        if newest is None:
            return
        tensors = load_file(newest.path / "state.safetensors")
        _put(self.learning, {name: tensors[f"weights.{name}"] for name in self.learning})
        moments = {}
        for index, name in enumerate(self._ordered()):
            prefix = f"optimizer.{name}."
            found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if found:
                moments[index] = found
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        saved = read_json(newest.path / "state.json", STATE)
        kept = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
        loss = math.inf if saved["loss"] is None else saved["loss"]
        self.best = Best(loss, saved["best_step"], saved["waited"], kept or None)
        self.step = int(saved["step"])
        print(f"resumed behind step {self.step}", flush=True)

    def _ordered(self) -> list[str]:
        """Names of the parameters, in the order of the optimiser."""
        names = {id(each): name for name, each in self.learning.items()}
        return [names[id(p)] for group in self.optimizer.param_groups for p in group["params"]]


def set_up(run: Supervised, config: LatentRewardConfig, generator: Generator) -> Trainer:
    """Read the labels, encode all clips and prompts, copy the blocks: fixed before step 0."""
    snapshot, pairs = (
        run.dir.input(role) if run.dir.has_input(role) else None for role in ("snapshot", "pairs")
    )
    splits = judgements_of(snapshot, pairs, config.dimensions)
    if config.loss == "bt" and not splits["train"].preference.any():
        raise FormatError(
            "every label of the split 'train' is a tie, from which the loss bt learns nothing; "
            "the loss btt does",
            path=snapshot or pairs,
        )
    splits["validation_while_training"] = splits["validation"].some(config.eval_pairs)
    if config.patience and not len(splits["validation"]):
        raise BadConfigError("patience needs validation prompts, and the labels have none")
    return Trainer(run, config, splits, generator)


def theta_of(config: LatentRewardConfig, keys: tuple[str, ...]) -> list[float] | None:
    """Of BTT per dimension; None for plain Bradley-Terry."""
    if config.loss == "bt":
        return None
    try:
        return config.theta_of(keys)
    except ConfigError as error:
        raise BadConfigError(str(error)) from error


def counted(batch: Batch, config: LatentRewardConfig) -> torch.Tensor:  # bool [B, D]
    """What enters the loss: never an `invalid`; a tie only where the loss knows ties."""
    return batch.valid & (batch.preference != 0) if config.loss == "bt" else batch.valid


def pace(step: int, config: LatentRewardConfig) -> float:
    """Up over the warm-up; then constant, or down to 0 over the second half."""
    rise = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return rise
    return rise * min(1.0, 2 * (config.steps - step) / config.steps)


def _optimizer(
    parameters: dict[str, torch.nn.Parameter], config: LatentRewardConfig
) -> torch.optim.Optimizer:
    rows: list[dict[str, Any]] = []
    for rate, head in ((config.lr, False), (config.head_lr, True)):
        group = [each for name, each in parameters.items() if name.startswith("head.") is head]
        if group:
            rows.append({"params": group, "lr": rate, "initial_lr": rate})
    return torch.optim.Adam(rows)


def _put(parameters: dict[str, torch.nn.Parameter], values: Weights) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def _encoded(
    run: Supervised,
    config: LatentRewardConfig,
    splits: dict[str, Judgements],
    generator: Generator,
) -> ClipEncoder:
    """Everything encoded; then the generator leaves the accelerator, which the trunk needs."""
    cache = TensorCache(run.dir.root / "cache", config.cache_mib * 2**20)
    size = Size(config.num_frames, config.height, config.width)
    encoder = ClipEncoder(generator, cache, run.dir.media_root(), size)

    def progress(done: int, total: int) -> None:
        run.check()
        if done % 50 == 0 or done == total:
            stage = f"encoding: {done} of {total} clips"
            run.dir.log_metrics(0, config.steps, {}, stage=stage)

    rows = [row for pairs in splits.values() for row in pairs.rows]
    encoder.encode((ref for ref, _ in rows), (prompt for _, prompt in rows), progress)
    generator.pipeline.to("cpu")
    return encoder
