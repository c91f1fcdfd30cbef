"""Preference pairs as batches of latents and text embeddings, with chance of (seed, step) alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from formats.errors import FormatError
from formats.records import PairRecord
from models_align.chance import indices_of_step, stream
from models_align.config import AlignmentConfig, RwrSettings
from models_align.encoding import ClipEncoder
from models_align.generators.base import Generator, draw_times
from models_align.generators.conditions import Condition, stacked
from models_align.latents import TensorCache
from models_align.methods.rwr import rwr_weights


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of one step, on the generator's device. Winner and loser share t and the noise."""

    winners: torch.Tensor  # [B, C, t, h, w]
    losers: torch.Tensor  # [B, C, t, h, w]
    text: torch.Tensor  # [B, L, D]
    condition: Condition | None  # of the start image, or else of the winner's first frame
    t: torch.Tensor  # [B]
    noise: torch.Tensor  # [B, C, t, h, w]
    reward_w: torch.Tensor  # [B] in [0, 1]
    reward_l: torch.Tensor  # [B]
    weight_w: torch.Tensor  # [B], of Flow-RWR
    weight_l: torch.Tensor  # [B]


def training_pairs(file: Path) -> list[PairRecord]:
    """The pairs of the split `train`; none is an error, because the others are never trained on."""
    records = PairRecord.read(file)
    pairs = [each for each in records if each.split == "train"]
    if not pairs:
        raise FormatError(
            f"no pair of the split 'train' among {len(records)} pairs",
            path=file,
        )
    return pairs


class PairData:
    """The pairs of a run, encoded once."""

    def __init__(
        self,
        pairs: Sequence[PairRecord],
        media_root: Path,
        generator: Generator,
        cache: TensorCache,
        config: AlignmentConfig,
    ):
        self.pairs = list(pairs)
        self.generator = generator
        self.encoder = ClipEncoder(generator, cache, media_root)
        self.config = config
        self.weights = _rwr_weights(self.pairs, config)

    def encode(self, progress: Callable[[int, int], None]) -> None:
        """Encode every clip and prompt, so that a broken one is found before the first step."""
        refs = [ref for each in self.pairs for ref in (each.chosen, each.rejected)]
        self.encoder.encode(refs, ["", *(each.prompt for each in self.pairs)], progress)

    def batch(self, step: int) -> Batch:
        indices = indices_of_step(
            len(self.pairs), self.config.pairs_per_step, step, self.config.seed
        )
        pairs = [self.pairs[index] for index in indices]
        chosen = [self.encoder.clip(each.chosen) for each in pairs]
        rejected = [self.encoder.clip(each.rejected) for each in pairs]
        device = self.generator.device
        chance = stream(self.config.seed, "step", step)
        settings, count = self.config.timesteps, len(pairs)
        t = draw_times(self.generator, count, settings, chance)
        winners = torch.stack([each["latents"] for each in chosen])
        noise = torch.randn(winners.shape, generator=chance)
        dropped = torch.rand(count, generator=chance) < self.config.caption_dropout
        prompts = ["" if drop else each.prompt for each, drop in zip(pairs, dropped, strict=True)]
        starts = [self.encoder.start(each.chosen, each.image) for each in pairs]
        return Batch(
            winners=winners.to(device),
            losers=torch.stack([each["latents"] for each in rejected]).to(device),
            text=torch.stack([self.encoder.text(each) for each in prompts]).to(device),
            condition=stacked(starts, device),
            t=t.to(device),
            noise=noise.to(device),
            reward_w=torch.tensor([each.reward_w for each in pairs], device=device),
            reward_l=torch.tensor([each.reward_l for each in pairs], device=device),
            weight_w=self.weights[indices, 0].to(device),
            weight_l=self.weights[indices, 1].to(device),
        )


def _rwr_weights(pairs: Sequence[PairRecord], config: AlignmentConfig) -> torch.Tensor:  # [N, 2]
    """Of winner and loser of each pair, normalised within a prompt; ones for the other methods."""
    settings = config.settings
    if not isinstance(settings, RwrSettings):
        return torch.ones(len(pairs), 2)
    rewards = [reward for each in pairs for reward in (each.reward_w, each.reward_l)]
    prompts = {each.prompt_id: number for number, each in enumerate(pairs)}
    groups = [prompts[each.prompt_id] for each in pairs for _ in range(2)]
    return rwr_weights(rewards, groups, settings.temperature, settings.max_weight).view(-1, 2)
