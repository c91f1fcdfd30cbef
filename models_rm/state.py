"""What resuming needs, as a folder: weights, moments of the optimiser, random state, progress.

state.safetensors   weights.*, optimizer.<parameter>.*, rng.*
state.json          the step, and what early stopping remembers
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file

from formats.files import read_json, write_json
from models_rm.checkpoints import learned_weights
from models_rm.network import RewardNetwork

SCHEMA: Final = "reward_model_state/1"


@dataclass
class Progress:
    """How far a run is: steps done, the best validation loss, evaluations since it."""

    step: int = 0
    best: float = math.inf
    waited: int = 0

    def judge(self, loss: float) -> None:
        """Take note of a validation loss."""
        if loss < self.best:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1


def write(
    folder: Path, network: RewardNetwork, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    state = {f"weights.{name}": each.detach() for name, each in learned_weights(network).items()}
    moments = optimizer.state_dict()["state"]
    for name, index in _indices(network, optimizer).items():
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
    best = None if math.isinf(progress.best) else progress.best
    write_json(
        folder / "state.json",
        SCHEMA,
        {"step": progress.step, "best": best, "waited": progress.waited},
    )


def read(folder: Path, network: RewardNetwork, optimizer: torch.optim.Optimizer) -> Progress:
    """Put the state into network and optimiser, and back into the random generators."""
    state = load_file(folder / "state.safetensors")
    with torch.no_grad():
        for name, parameter in learned_weights(network).items():
            parameter.copy_(state[f"weights.{name}"])
    moments = {
        index: {key: state[f"optimizer.{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
        for name, index in _indices(network, optimizer).items()
        if f"optimizer.{name}.step" in state
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    torch.set_rng_state(state["rng.cpu"])
    if "rng.cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["rng.cuda"])
    saved = read_json(folder / "state.json", SCHEMA)
    best = math.inf if saved["best"] is None else saved["best"]
    return Progress(step=saved["step"], best=best, waited=saved["waited"])


def _indices(network: RewardNetwork, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Parameter name -> its index in the optimiser's state."""
    names = {id(each): name for name, each in network.named_parameters()}
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    return {names[id(parameter)]: index for index, parameter in enumerate(ordered)}
