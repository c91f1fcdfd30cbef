"""The training run of a reward model, top to bottom: `python -m models_rm train RUN_DIR`."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.snapshot import Snapshot, read_snapshot
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_rm import checkpoints
from models_rm.attention import use_for_vision
from models_rm.calibration import Calibration, calibrate
from models_rm.checkpoints import BackboneRef, ModelCard
from models_rm.collator import Collator
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.data import Clips, PairOrder, Pairs, pairs_of
from models_rm.evaluation import Rewards, evaluate_pairs, rewards_of
from models_rm.model import load_backbone
from models_rm.network import RewardNetwork
from models_rm.objective import (
    entry_losses,
    optimizer_for,
    per_dimension,
    rate_factor,
    valid_entries,
)
from models_rm.prompts import RatingTemplate
from models_rm.video import FrameRule

STATE: Final = "reward_model_state/1"


def train(run: Supervised) -> Outcome:
    """Train on the snapshot, examine on its validation and test prompts, leave a model folder."""
    config = read_config(run)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    trainer = _set_up(run, config)
    trainer.resume()
    while trainer.step < config.steps and not trainer.out_of_patience(config):
        trainer.check()
        trainer.learn()
        step, last = trainer.step, trainer.step == config.steps
        if step % config.log_every == 0 or last:
            run.dir.log_metrics(step, config.steps, trainer.take_report(), stage="training")
        if step % config.eval_every == 0 and len(trainer.splits["validation"]):
            run.dir.log_metrics(step, config.steps, trainer.validate(), stage="training")
        if step % config.save_every == 0 or last:
            trainer.save()
    return _leave(run, trainer)


def read_config(run: Supervised) -> RewardModelConfig:
    try:
        return RewardModelConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error


@dataclass
class _Patience:
    """The best validation loss so far, and how many evaluations went by without a better one."""

    best: float = math.inf
    waited: int = 0


@dataclass(frozen=True, slots=True)
class Materials:
    """What a run works on, all of it fixed before the first step."""

    config: RewardModelConfig
    snapshot: Snapshot
    snapshot_sha256: str
    splits: dict[str, Pairs]
    source: str  # of the backbone
    network: RewardNetwork
    tokenizer: Any
    template: RatingTemplate
    rule: FrameRule


class Trainer:
    """The moving parts of one run: network, optimiser, and what resuming needs."""

    def __init__(self, run: Supervised, materials: Materials):
        config, network = materials.config, materials.network
        self.run = run
        self.step = 0
        self.materials = materials
        self.config = config
        self.network = network
        self.splits = materials.splits
        self.collator = Collator(materials.tokenizer, network.family, materials.template)
        self.clips = Clips(run.dir.media_root(), materials.rule, config.cache_megabytes)
        self.theta = config.theta_of(network.keys)
        self.order = PairOrder(self.splits["train"].prompts, config.seed)
        self.optimizer = optimizer_for(network, config)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._patience = _Patience()
        self._reports: list[dict[str, float]] = []

    # One step

    def check(self) -> None:
        """Save and leave where the run must stop."""
        self.run.check(self.save)

    def learn(self) -> None:
        """One optimiser step over `pairs_per_step` pairs, in `accumulation` parts."""
        step, pairs = self.step, self.splits["train"]
        self.step += 1
        chosen = self.order.step(step, self.config.pairs_per_step)
        weight = float(valid_entries(pairs, chosen, self.config).sum())
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
            rewards = self.network(batch.to(device)).mean
        reward_a, reward_b = rewards[where[: len(part)]], rewards[where[len(part) :]]
        losses = entry_losses(reward_a, reward_b, pairs, part, self.config, self.theta)
        return losses, (reward_a - reward_b).detach().double().cpu().numpy()

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
        if loss < self._patience.best:
            self._patience = _Patience(loss)
        else:
            self._patience.waited += 1
        report = {"validation/loss": loss}
        for key, row in result.items():
            for name in ("accuracy_without_ties", "accuracy_with_ties"):
                if row.get(name) is not None:
                    report[f"validation/{name}/{key}"] = row[name]
        return report

    def out_of_patience(self, config: RewardModelConfig) -> bool:
        return config.patience is not None and self._patience.waited >= config.patience

    # Saving and resuming

    def save(self) -> None:
        commit_checkpoint(self.run.dir.checkpoints, self.step, self.run.fence, self._fill)

    def _fill(self, folder: Path) -> None:
        weights = checkpoints.learned_weights(self.network)
        state = {f"weights.{name}": each.detach() for name, each in weights.items()}
        moments = self.optimizer.state_dict()["state"]
        for name, index in self._optimizer_indices().items():
            for key, value in moments.get(index, {}).items():
                state[f"optimizer.{name}.{key}"] = value
        state["rng.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            state["rng.cuda"] = torch.cuda.get_rng_state()
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in state.items()},
            folder / "state.safetensors",
        )
        # Infinity has no word in JSON.
        best = None if math.isinf(self._patience.best) else self._patience.best
        write_json(
            folder / "state.json",
            STATE,
            {"step": self.step, "best": best, "waited": self._patience.waited},
        )

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        newest = newest_verified(self.run.dir.checkpoints, lambda text: print(text, flush=True))
        if newest is None:
            return
        state = load_file(newest.path / "state.safetensors")
        with torch.no_grad():
            for name, parameter in checkpoints.learned_weights(self.network).items():
                parameter.copy_(state[f"weights.{name}"])
        moments = {
            index: {
                key: state[f"optimizer.{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for name, index in self._optimizer_indices().items()
            if f"optimizer.{name}.step" in state
        }
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        torch.set_rng_state(state["rng.cpu"])
        if "rng.cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["rng.cuda"])
        saved = read_json(newest.path / "state.json", STATE)
        self._patience = _Patience(
            math.inf if saved["best"] is None else saved["best"], saved["waited"]
        )
        self.step = int(saved["step"])

    def _optimizer_indices(self) -> dict[str, int]:
        """Parameter name -> its index in the optimiser's state."""
        names = {id(each): name for name, each in self.network.named_parameters()}
        ordered = [p for group in self.optimizer.param_groups for p in group["params"]]
        return {names[id(parameter)]: index for index, parameter in enumerate(ordered)}


def _set_up(run: Supervised, config: RewardModelConfig) -> Trainer:
    folder = run.dir.input("snapshot")
    snapshot = read_snapshot(folder)
    splits = _splits(snapshot, config)
    if not len(splits["train"]):
        raise FormatError("the snapshot has no pair in its train split", path=folder)
    source = str(run.dir.input("backbone"))
    backbone, tokenizer = load_backbone(source, config.dtype)
    try:
        config.theta_of(snapshot.dimensions.keys)
    except ConfigError as error:
        raise BadConfigError(str(error)) from error
    network, template = checkpoints.build_network(backbone, snapshot.dimensions, config)
    network.start_tokens_as(tokenizer(":", add_special_tokens=False)["input_ids"][0])
    use_for_vision(network.backbone.visual)
    network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu")).train()
    trainer = Trainer(
        run,
        Materials(
            config=config,
            snapshot=snapshot,
            snapshot_sha256=sha256_of(folder / "manifest.json"),
            splits=splits,
            source=source,
            network=network,
            tokenizer=tokenizer,
            template=template,
            rule=frame_rule(network, config),
        ),
    )
    for split in ("train", "validation", "test"):
        trainer.clips.refuse_missing(splits[split].rows)
    return trainer


def frame_rule(network: RewardNetwork, config: RewardModelConfig) -> FrameRule:
    return FrameRule(
        fps=config.fps,
        min_frames=config.min_frames,
        max_frames=config.max_frames,
        min_pixels=config.min_pixels,
        max_pixels=config.max_pixels,
        side_factor=network.family.side_factor,
        name=config.frame_rule,
    )


def _splits(snapshot: Snapshot, config: RewardModelConfig) -> dict[str, Pairs]:
    keys = snapshot.dimensions.keys
    of = {
        split: [record for record in snapshot.records if record.split == split]
        for split in ("train", "validation", "test")
    }
    splits = {split: pairs_of(records, keys) for split, records in of.items()}
    splits["validation_while_training"] = pairs_of(of["validation"][: config.eval_pairs], keys)
    return splits


def _learning(network: RewardNetwork) -> list[torch.nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _leave(run: Supervised, trainer: Trainer) -> Outcome:
    """Calibrate on validation prompts, examine on all splits, write the model folder."""
    step, total = trainer.step, trainer.config.steps
    rewards: dict[str, Rewards] = {}
    for split in ("train", "validation", "test"):
        run.dir.log_metrics(step, total, stage=f"examining the {split} pairs")
        rewards[split] = trainer.rewards(trainer.splits[split])
    # Constants come from validation prompts; a snapshot without any can only offer its own.
    source = "validation" if len(trainer.splits["validation"]) else "train"
    calibration = calibrate(trainer.splits[source], rewards[source], source)
    evaluation = {
        split: evaluate_pairs(
            trainer.splits[split],
            rewards[split],
            trainer.theta,
            thresholds=calibration.threshold,
            bootstrap=trainer.config.bootstrap,
            seed=trainer.config.seed,
        )
        for split in rewards
    }
    run.dir.log_metrics(step, total, _headline(evaluation), stage="examined")
    card = _card(trainer.materials, calibration, evaluation)
    keys = list(trainer.network.keys)
    target = run.dir.outputs / "reward_model"
    sha256 = commit_folder(
        target,
        lambda folder: checkpoints.fill_folder(
            folder, trainer.network, trainer.materials.tokenizer, card
        ),
        {"kind": "reward_model", "dimensions": keys},
    )
    summary = {
        "dimensions": keys,
        "steps": step,
        "pairs": {split: len(trainer.splits[split]) for split in rewards},
        "evaluation": evaluation,
        "calibration": calibration.to_json(),
    }
    meta = {
        "dimensions": keys,
        "theta": card.theta,
        "backbone": asdict(card.backbone),
        "snapshot_sha256": card.snapshot_sha256,
        "fps": card.frame_rule.fps,
        "calibration": calibration.to_json(),
        "evaluation": evaluation,
    }
    output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, meta)
    return Outcome(ExitCode.DONE, "done", f"trained for {step} steps", (output,), summary)


def _card(
    materials: Materials, calibration: Calibration, evaluation: dict[str, Any]
) -> checkpoints.ModelCard:
    keys = materials.snapshot.dimensions.keys
    return ModelCard(
        dimensions=materials.snapshot.dimensions,
        theta=dict(zip(keys, materials.config.theta_of(keys), strict=True)),
        config=materials.config,
        backbone=BackboneRef(
            source=materials.source,
            sha256=checkpoints.backbone_sha256(materials.source),
            model_type=materials.network.family.name,
            embedded=materials.config.embed_backbone,
        ),
        template_sha256=materials.template.sha256(),
        frame_rule=materials.rule,
        calibration=calibration,
        snapshot_sha256=materials.snapshot_sha256,
        evaluation=evaluation,
        libraries=checkpoints.library_versions(),
    )


def _headline(evaluation: dict[str, Any]) -> dict[str, float]:
    names = ("accuracy_without_ties", "accuracy_with_ties")
    return {
        f"{split}/{name}/{key}": row[name]
        for split, rows in evaluation.items()
        for key, row in rows.items()
        for name in names
        if row.get(name) is not None
    }
