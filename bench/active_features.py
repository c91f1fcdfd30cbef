"""What the pretrained tiny base sees in the clips of a demo world: one vector per dimension.

The vectors are the hidden states at the reward tokens of a reward model before its training, so a
linear head on them is its last layer. They are turned into the directions in which the clips to
train on differ most, each stretched to the same width: nothing says beforehand which of them is
quality.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bench.reward_runs import PRESETS
from demo.dct_vae import round_trip
from demo.drawing import render
from demo.recipes import DIMENSIONS
from demo.render import RenderConfig, planned
from demo.world import FPS
from formats.dimensions import VIDEOALIGN
from models_rm.backbones.loading import load_backbone
from models_rm.clips.video import clip_of_array
from models_rm.config import RewardModelConfig
from models_rm.networks.attention import use_for_vision
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork, Rewards
from models_rm.reward_models.checkpoints import build_network
from models_rm.training.materials import frame_rule

Floats = NDArray[np.float64]
DIRECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Clips:
    """`states`: [clips, D, hidden]; `quality`: the true rewards, [clips, D]; `prompt`: [clips]."""

    states: Floats
    quality: Floats
    prompt: NDArray[np.int64]
    generator: tuple[str, ...]

    def directions(self, trained_on: NDArray[np.bool_], count: int = DIRECTIONS) -> Floats:
        """[clips, D, count], fitted on the clips to train on; the mean square of a row is 1."""
        found = [
            _stretched(self.states[:, number], trained_on, count)
            for number in range(self.states.shape[1])
        ]
        return np.stack(found, 1)


def _stretched(states: Floats, trained_on: NDArray[np.bool_], count: int) -> Floats:
    middle = states[trained_on].mean(0)
    values, vectors = np.linalg.eigh(np.cov(states[trained_on].T))
    largest = np.argsort(-values)[:count]
    found: Floats = (states - middle) @ vectors[:, largest] / np.sqrt(values[largest] * count)
    return found


class _States(RewardNetwork):
    """Gives the hidden states in the place of rewards."""

    def rewards_at(self, states: torch.Tensor) -> Rewards:
        return Rewards(states)


@torch.no_grad()
def seen(base: Path, world: RenderConfig) -> Clips:
    """Draw the clips of a world and look at them."""
    torch.set_num_threads(1)
    preset: dict[str, Any] = json.loads((PRESETS / "reward_model.demo.json").read_text())
    config = RewardModelConfig.from_json(preset)
    backbone, tokenizer = load_backbone(str(base), "float32")
    network, template = build_network(backbone, VIDEOALIGN, config)
    use_for_vision(network.backbone.visual)
    network.start_tokens_as(tokenizer(":", add_special_tokens=False)["input_ids"][0])
    network.__class__ = _States
    network.eval()
    collate = Collator(tokenizer, network.family, template)
    rule = frame_rule(network.family, config)
    states, quality, prompt, generator = [], [], [], []
    for number, group in enumerate(planned(world)):
        frames = [round_trip(render(each.recipe)) for each in group]
        clips = [clip_of_array(each, rule, fps=float(FPS)) for each in frames]
        states.append(network(collate(clips, [each.prompt for each in group])).mean.numpy())
        for each in group:
            true = each.recipe.quality()
            quality.append([true[key] for key in DIMENSIONS])
            prompt.append(number)
            generator.append(each.generator)
    return Clips(
        np.concatenate(states).astype(np.float64),
        np.array(quality),
        np.array(prompt),
        tuple(generator),
    )
