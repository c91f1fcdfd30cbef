"""What resuming needs, as a folder: weights, moments of the optimiser, random state, progress.

state.safetensors   weights.<parameter>, optimizer.<parameter>.<moment>, rng.cpu, rng.cuda
state.json          the step, what early stopping remembers, the config

Tensors are whole even where the model was sharded, and the order of the pairs does not depend on
the number of processes: a run may go on with more or fewer of them. Only the random generators
are one per process (rng.cpu.1 and so on): with another number of processes dropout differs.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from formats.files import read_json, write_json
from formats.supervised import BadConfigError
from models_rm.config import RewardModelConfig
from models_rm.errors import CheckpointMismatchError
from models_rm.networks.network import RewardNetwork
from models_rm.reward_models.checkpoints import learned_weights
from models_rm.training.spreading import take_apart
from trainers.world import World, sharded_like, whole

SCHEMA: Final = "reward_model_state/1"
_MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")
# These change how a run works, and not what it comes to.
_FREE: Final = frozenset({
    "accumulation", "batching", "bootstrap", "cache_megabytes", "embed_backbone",
    "gradient_checkpointing", "log_every", "processes", "save_every", "sharding", "threads",
})  # fmt: skip

Tensors = dict[str, torch.Tensor]


@dataclass
class Progress:
    """How far a run is, and what early stopping remembers."""

    step: int = 0
    best: float | None = None  # validation loss
    best_step: int | None = None
    waited: int = 0  # evaluations since the best one
    without_opinion: int = 0  # steps that had nothing to learn from
    validated: int = 0  # the step of the newest evaluation

    def in_words(self) -> dict[str, Any]:
        """For the summary of the run."""
        return {
            "steps": self.step,
            "steps_without_opinion": self.without_opinion,
            "best_step": self.best_step,
            "best_validation_loss": self.best,
        }

    def judge(self, loss: float) -> bool:
        """Take note of a validation loss; True for the best one so far.

        A loss that does not exist, because nobody judged these pairs, says nothing.
        """
        if math.isnan(loss):
            return False
        if self.best is None or loss < self.best:
            self.best, self.best_step, self.waited = loss, self.step, 0
            return True
        self.waited += 1
        return False


def gather(network: RewardNetwork, optimizer: torch.optim.Optimizer, world: World) -> Tensors:
    """Everything that `write` writes, on the CPU. All processes must call it together."""
    take_apart(network)
    found = {f"weights.{name}": each for name, each in learned_weights(network).items()}
    moments = optimizer.state_dict()["state"]
    for name, index in _indices(network, optimizer).items():
        for key, value in moments.get(index, {}).items():
            found[f"optimizer.{name}.{key}"] = value
    state = {name: whole(each.detach()).cpu() for name, each in found.items()}
    for rank, each in enumerate(world.each(torch.get_rng_state())):
        state[_of_rank("rng.cpu", rank)] = each
    if world.device.type == "cuda":
        for rank, each in enumerate(world.each(torch.cuda.get_rng_state(world.device))):
            state[_of_rank("rng.cuda", rank)] = each
    return state


def write(folder: Path, tensors: Tensors, progress: Progress, config: RewardModelConfig) -> None:
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        folder / "state.safetensors",
    )
    said = {"progress": asdict(progress), "config": config.to_json()}
    write_json(folder / "state.json", SCHEMA, {**said, "processes": config.processes})


@dataclass(frozen=True, slots=True)
class Saved:
    """A state as it was read; `path` for what is wrong with it."""

    path: Path
    tensors: Tensors
    progress: Progress
    config: Mapping[str, Any]
    processes: int = 1

    def refuse_other_config(self, config: RewardModelConfig) -> None:
        """BadConfigError that names the first entry that differs from the config of this state."""
        if found := difference(self.config, config):
            raise BadConfigError(
                f"the checkpoint at step {self.progress.step} was made with another config: "
                f"{found}; start a new run instead"
            )

    def restore(
        self, network: RewardNetwork, optimizer: torch.optim.Optimizer, world: World
    ) -> None:
        """Put everything back: weights, moments, and the random generators of this process."""
        self.restore_weights(network)
        parameters = dict(network.named_parameters())
        moments = {
            index: {key: self._moment(name, key, parameters[name]) for key in _MOMENTS}
            for name, index in _indices(network, optimizer).items()
            if f"optimizer.{name}.step" in self.tensors
        }
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        self._restore_generators(world)

    @torch.no_grad()
    def restore_weights(self, network: RewardNetwork) -> None:
        take_apart(network)
        for name, parameter in learned_weights(network).items():
            value = self._tensor(f"weights.{name}")
            if value.shape != parameter.shape:
                raise CheckpointMismatchError(
                    f"{name} has shape {list(value.shape)}, the network wants "
                    f"{list(parameter.shape)}",
                    path=self.path / "state.safetensors",
                )
            parameter.copy_(sharded_like(value, parameter))

    def _moment(self, name: str, key: str, parameter: torch.Tensor) -> torch.Tensor:
        value = self._tensor(f"optimizer.{name}.{key}")
        return value if key == "step" else sharded_like(value, parameter)

    def _restore_generators(self, world: World) -> None:
        """Random states of all processes must be there, whoever goes on. With another number of
        them there is none for each, and all go on from the seed of this step."""
        on_gpus = world.device.type == "cuda"
        kinds = ["rng.cpu", *(["rng.cuda"] if on_gpus else [])]
        names = [[_of_rank(kind, rank) for kind in kinds] for rank in range(self.processes)]
        states = [[self._tensor(name) for name in of_rank] for of_rank in names]
        if self.processes != world.size:
            return
        torch.set_rng_state(states[world.rank][0])
        if on_gpus:
            torch.cuda.set_rng_state(states[world.rank][1], world.device)

    def _tensor(self, name: str) -> torch.Tensor:
        if name not in self.tensors:
            raise CheckpointMismatchError(
                f"{name} is not in this state", path=self.path / "state.safetensors"
            )
        return self.tensors[name]


def read(folder: Path) -> Saved:
    """CheckpointMismatchError for a file that is cut off or made by something else."""
    file = folder / "state.safetensors"
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatchError(f"cannot be read: {error}", path=file) from error
    value = read_json(folder / "state.json", SCHEMA)
    known = {each.name for each in fields(Progress)}
    progress = value.get("progress", {})
    # States of before did not say when they were last examined, nor how many processes they had.
    fits = isinstance(progress, dict) and known - {"validated"} <= set(progress) <= known
    if not fits or "config" not in value:
        raise CheckpointMismatchError(
            f"expected progress ({', '.join(sorted(known))}) and config",
            path=folder / "state.json",
        )
    processes = value.get("processes", value["config"].get("processes", 1))
    progress = {"validated": progress["step"], **progress}
    return Saved(folder, tensors, Progress(**progress), value["config"], processes)


def difference(before: Mapping[str, Any], config: RewardModelConfig) -> str:
    """The first entry that would change what a run comes to, or nothing."""
    now = config.to_json()
    for key in sorted({*now, *before} - _FREE):
        old, new = _plain(before.get(key)), _plain(now.get(key))
        if old != new:
            return f"{key} was {old!r} and is now {new!r}"
    return ""


def _of_rank(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name


def _plain(value: Any) -> Any:
    """As JSON has it: a tuple is a list."""
    return list(value) if isinstance(value, tuple) else value


def _indices(network: RewardNetwork, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Parameter name -> its index in the optimiser's state."""
    names = {id(each): name for name, each in network.named_parameters()}
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    return {names[id(parameter)]: index for index, parameter in enumerate(ordered)}
