"""One network with all that it needs to judge clips. A reward model has one, or several."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from models_rm.clips.video import Clip
from models_rm.networks.collator import Batch, Collator
from models_rm.networks.network import RewardNetwork
from models_rm.reward_models.checkpoints import ModelCard


class Judged(NamedTuple):
    """Raw rewards [N, D], and their calibrated standard deviations [N, D] where the model has some.

    In a composed model a column of `std` is NaN where its member has no uncertainty.
    """

    reward: np.ndarray
    std: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model looks at of one clip: its frames, once per frame rule of the members."""

    clips: tuple[Clip, ...]

    @property
    def nbytes(self) -> int:
        return sum(clip.frames.nbytes for clip in self.clips)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Clips under their prompts, ready for the networks: one batch per member."""

    prompts: tuple[str, ...]
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A network, its card, its collator, and the dimensions that are taken from it."""

    name: str
    network: RewardNetwork
    collator: Collator
    card: ModelCard
    keys: tuple[str, ...]

    @property
    def columns(self) -> list[int]:
        return [self.network.keys.index(key) for key in self.keys]

    @torch.inference_mode()
    def judge(self, batch: Batch) -> Judged:
        """What the network says of a batch that `collator` made."""
        rewards = self.network(batch.to(self.network.tokens.device))
        mean: np.ndarray = rewards.mean.double().cpu().numpy()[:, self.columns]
        if rewards.log_variance is None:
            return Judged(mean, None)
        deviation = torch.exp(rewards.log_variance.double() / 2).cpu().numpy()
        calibrated = self.card.calibration.deviations(self.network.keys, deviation)
        return Judged(mean, calibrated[:, self.columns])

    def tokens(self, clip: Clip) -> int:
        """How many visual tokens the network sees of a clip."""
        frames, _, height, width = clip.frames.shape
        family = self.network.family
        grids = -(-frames // family.temporal_patch)
        return int(grids * height * width // family.side_factor**2)
