"""What resuming needs, as a folder: the trained weights, the moments of the optimiser, the step.

state.safetensors   weights.<parameter>, optimizer.<parameter>.<moment>
state.json          the step and the config

Chance is a function of (seed, step), so no random state is kept. Tensors are whole even where the
generator was sharded: a run may go on with more or fewer processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.supervised import BadConfigError
from models_align.config import AlignmentConfig
from models_align.latents import Tensors, write_tensors
from trainers.world import sharded_like, whole

SCHEMA: Final = "alignment-state/2"
FILE: Final = "state.safetensors"
_MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")
# These change how a run works, and not what it comes to.
_FREE: Final = frozenset({
    "alarms", "cache_mib", "gradient_checkpointing", "licence", "log_every", "micro_pairs", "name",
    "processes", "save_every", "sharding", "stop_on", "threads", "watch",
})  # fmt: skip

Parameters = Mapping[str, torch.nn.Parameter]


def gather(parameters: Parameters, optimizer: torch.optim.Optimizer) -> Tensors:
    """Everything that `write` writes, on the CPU. All processes must call it together."""
    found = {f"weights.{name}": each.detach() for name, each in parameters.items()}
    moments = optimizer.state_dict()["state"]
    for index, name in enumerate(parameters):
        for key, value in moments.get(index, {}).items():
            found[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    return {name: whole(each).cpu() for name, each in found.items()}


def write(folder: Path, tensors: Tensors, step: int, config: AlignmentConfig) -> None:
    """Fill a checkpoint."""
    write_tensors(folder / FILE, tensors)
    write_json(folder / "state.json", SCHEMA, {"done_steps": step, "config": config.to_json()})


@dataclass(frozen=True, slots=True)
class Saved:
    """A state as it was read; `path` for what is wrong with it."""

    path: Path
    tensors: Tensors
    step: int
    config: Mapping[str, Any]

    def refuse_other_config(self, config: AlignmentConfig) -> None:
        """BadConfigError that names the first entry that differs from the config of this state."""
        if found := difference(self.config, config):
            raise BadConfigError(
                f"the checkpoint at step {self.step} was made with another config: {found}; "
                "start a new run instead"
            )

    @torch.no_grad()
    def restore(self, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
        """Put weights and moments back where they were."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for index, (name, parameter) in enumerate(parameters.items()):
            parameter.copy_(self._tensor(f"weights.{name}", parameter))
            if f"optimizer.{name}.step" in self.tensors:
                moments = {key: f"optimizer.{name}.{key}" for key in _MOMENTS}
                state[index] = {key: self._moment(n, parameter) for key, n in moments.items()}
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _moment(self, name: str, parameter: torch.nn.Parameter) -> torch.Tensor:
        return self.tensors[name] if name.endswith(".step") else self._tensor(name, parameter)

    def _tensor(self, name: str, like: torch.nn.Parameter) -> torch.Tensor:
        value = self.tensors.get(name)
        if value is None or value.shape != like.shape:
            found = "not there" if value is None else f"of shape {list(value.shape)}"
            raise FormatError(
                f"{name} is {found}, and the adapter wants {list(like.shape)}",
                path=self.path / FILE,
            )
        return sharded_like(value, like)


def read(folder: Path) -> Saved:
    """FormatError for a file that is cut off or made by something else."""
    file = folder / FILE
    value = read_json(folder / "state.json", SCHEMA)
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise FormatError(f"the state cannot be read: {error}", path=file) from error
    return Saved(folder, tensors, int(value["done_steps"]), value["config"])


def difference(before: Mapping[str, Any], config: AlignmentConfig) -> str:
    """The first entry that would change what a run comes to, or nothing.

    An entry that there was not yet had its default.
    """
    now, defaults = config.to_json(), AlignmentConfig(config.method, config.settings).to_json()
    for key in sorted({*now, *before} - _FREE):
        old, new = _plain(before.get(key, defaults.get(key))), _plain(now.get(key))
        if old != new:
            return f"{key} was {old!r} and is now {new!r}"
    return ""


def _plain(value: Any) -> Any:
    """As JSON has it: a tuple is a list."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
