"""Preference pairs as batches of latents and text embeddings; chance is a function of (seed, step).

Because no random state is carried along, a run that was stopped and resumed takes exactly the
batches, timesteps and noise that an uninterrupted one takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import PairRecord, VideoRef
from models_align.config import AlignmentConfig, RwrSettings
from models_align.flow import draw_timesteps
from models_align.generators.base import Generator
from models_align.latents import TensorCache, content_key
from models_align.methods.rwr import rwr_weights
from models_align.video import read_clip


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of one step, on the generator's device. Winner and loser share t and the noise."""

    winners: torch.Tensor  # [B, C, t, h, w]
    losers: torch.Tensor  # [B, C, t, h, w]
    text: torch.Tensor  # [B, L, D]
    condition: torch.Tensor | None  # [B, K, t, h, w], of the winner's first frame
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
        self.media_root = media_root
        self.generator = generator
        self.cache = cache
        self.config = config
        self.weights = _rwr_weights(self.pairs, config)

    def encode(self, progress: Callable[[int, int], None]) -> None:
        """Encode every clip and prompt, so that a broken one is found before the first step."""
        shapes: dict[tuple[int, ...], PairRecord] = {}
        for number, pair in enumerate(self.pairs, start=1):
            self._text(pair.prompt)
            for ref in (pair.chosen, pair.rejected):
                shapes.setdefault(tuple(self._clip(ref)["latents"].shape), pair)
            progress(number, len(self.pairs))
        self._text("")
        if len(shapes) > 1:
            found = ", ".join(f"{each.pair_id} {shape}" for shape, each in shapes.items())
            raise FormatError(f"all clips must have one size and length, found latents of {found}")

    def batch(self, step: int) -> Batch:
        indices = self._indices(step)
        pairs = [self.pairs[index] for index in indices]
        chosen = [self._clip(each.chosen) for each in pairs]
        rejected = [self._clip(each.rejected) for each in pairs]
        device = self.generator.device
        chance = _generator(self.config.seed, "step", step)
        settings, count = self.config.timesteps, len(pairs)
        t = draw_timesteps(count, settings, chance, native_shift=self.generator.native_shift)
        winners = torch.stack([each["latents"] for each in chosen])
        noise = torch.randn(winners.shape, generator=chance)
        dropped = torch.rand(count, generator=chance) < self.config.caption_dropout
        prompts = ["" if drop else each.prompt for each, drop in zip(pairs, dropped, strict=True)]
        starts = [each["start"] for each in chosen if "start" in each]
        return Batch(
            winners=winners.to(device),
            losers=torch.stack([each["latents"] for each in rejected]).to(device),
            text=torch.stack([self._text(each) for each in prompts]).to(device),
            condition=torch.stack(starts).to(device) if starts else None,
            t=t.to(device),
            noise=noise.to(device),
            reward_w=torch.tensor([each.reward_w for each in pairs], device=device),
            reward_l=torch.tensor([each.reward_l for each in pairs], device=device),
            weight_w=self.weights[indices, 0].to(device),
            weight_l=self.weights[indices, 1].to(device),
        )

    def _indices(self, step: int) -> list[int]:
        """Every pair once per epoch, each epoch in an order of its own."""
        count, size = len(self.pairs), self.config.pairs_per_step
        found: list[int] = []
        for place in range(step * size, (step + 1) * size):
            epoch, offset = divmod(place, count)
            found.append(self._order(epoch)[offset])
        return found

    def _order(self, epoch: int) -> list[int]:
        chance = _generator(self.config.seed, "order", epoch)
        return torch.randperm(len(self.pairs), generator=chance).tolist()

    def _clip(self, ref: VideoRef) -> dict[str, torch.Tensor]:
        key = content_key("clip", ref.sha256, self.generator.fingerprint())
        return self.cache.get(key, lambda: self._encoded_clip(ref))

    def _encoded_clip(self, ref: VideoRef) -> dict[str, torch.Tensor]:
        path = self.media_root / ref.path
        frames = read_clip(path)
        if sha256_of(path) != ref.sha256:
            raise FormatError(f"the clip {ref.id} has changed since the pair was made", path=path)
        self.generator.latent_shape(*frames.shape[:3])
        latents = self.generator.encode_clips(frames[None])[0]
        start = self.generator.encode_start(frames[None])
        return {"latents": latents} if start is None else {"latents": latents, "start": start[0]}

    def _text(self, prompt: str) -> torch.Tensor:
        key = content_key("text", prompt, self.generator.fingerprint())
        made = self.cache.get(key, lambda: {"text": self.generator.encode_prompts([prompt])[0]})
        return made["text"]


def _generator(seed: int, stream: str, number: int) -> torch.Generator:
    """A stream of chance of its own for each use."""
    mixed = int(content_key(str(seed), stream, str(number))[:14], 16)
    return torch.Generator().manual_seed(mixed)


def _rwr_weights(pairs: Sequence[PairRecord], config: AlignmentConfig) -> torch.Tensor:  # [N, 2]
    """Of winner and loser of each pair, normalised within a prompt; ones for the other methods."""
    settings = config.settings
    if not isinstance(settings, RwrSettings):
        return torch.ones(len(pairs), 2)
    rewards = [reward for each in pairs for reward in (each.reward_w, each.reward_l)]
    prompts = {each.prompt_id: number for number, each in enumerate(pairs)}
    groups = [prompts[each.prompt_id] for each in pairs for _ in range(2)]
    return rwr_weights(rewards, groups, settings.temperature, settings.max_weight).view(-1, 2)
