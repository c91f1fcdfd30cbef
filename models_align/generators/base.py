"""What a method needs from a generator, whatever its family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from models_align.config import TimestepSettings
from models_align.generators.conditions import Condition
from models_align.processes import Process


@dataclass(frozen=True, slots=True)
class NativeSize:
    """The clips that a generator was trained on."""

    num_frames: int
    height: int
    width: int
    fps: int


class Path(Protocol):
    """The way from noise to a clip that a sampler goes."""

    times: torch.Tensor  # float64 [S], falling; as the network is told them

    def moved(self, x: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        """The latents behind step number `step`."""
        ...


class Generator(Protocol):
    """A video generator whose network says how a clip and noise are mixed (`process`).

    Frames are uint8 [B, T, H, W, 3]; latents are normalised, float32 [B, C, t, h, w]; text is
    [B, L, D] as the network reads it. `condition` is None, or what an image-to-video generator
    sees of the start image: named tensors, batch axis first.
    """

    source: str
    pipeline: Any  # of diffusers: loads adapters
    native_timesteps: TimestepSettings  # what it was trained with
    native_shift: float
    native_size: NativeSize
    lora_targets: tuple[str, ...]
    needs_image: bool
    latent_channels: int
    text_tokens: int  # of a prompt, the end included
    guides_together: bool  # with and without the prompt in one forward, as its pipeline does

    @property
    def process(self) -> Process: ...

    @property
    def networks(self) -> Mapping[str, torch.nn.Module]:
        """What is trained, by the name of the part: `transformer`, perhaps `transformer_2`."""
        ...

    @property
    def boundary(self) -> float:
        """From this t on `transformer` predicts, below it `transformer_2`; 0 with one network."""
        ...

    @property
    def device(self) -> torch.device: ...

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """[C, t, h, w] of a clip; a size that the generator cannot make is an error."""
        ...

    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor: ...

    def encode_start(self, images: torch.Tensor, num_frames: int) -> Condition | None:
        """The condition that start images give, uint8 [B, H, W, 3]; None for text-to-video."""
        ...

    def encode_prompts(self, prompts: list[str]) -> torch.Tensor: ...

    def text_length(self, prompt: str) -> int:
        """Tokens of a prompt, the end included; more than `text_tokens` would be cut off."""
        ...

    def velocity(
        self,
        latents: torch.Tensor,  # [B, C, t, h, w], x_t
        t: torch.Tensor,  # [B] in (0, 1]
        text: torch.Tensor,  # [B, L, D]
        condition: Condition | None = None,
    ) -> torch.Tensor:  # [B, C, t, h, w]
        """The prediction, of v in either process. What the start image fixes is predicted right."""
        ...

    def trunk(self, blocks: int) -> torch.nn.Module:
        """A copy of the first blocks of the transformer, float32: x_t, t, text -> [B, N, width].

        It has `width`, `blocks` and `describe()`, see trunk.py. 0 takes the first quarter.
        """
        ...

    def decode(self, latents: torch.Tensor) -> torch.Tensor: ...

    def finished(self, latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:
        """The latents of a sample as they are decoded: what the start image fixes is put in."""
        ...

    def scheduler(self, shift: float = 0.0) -> Any:
        """A fresh noise schedule of diffusers; a shift above 0 replaces its own."""
        ...

    def path(self, steps: int, shift: float, chances: Sequence[torch.Generator]) -> Path:
        """A sampler's way; `chances`, one for each clip, are for samplers that add noise."""
        ...

    def fingerprint(self) -> str:
        """Changes with whatever changes latents or text embeddings: the key of their caches."""
        ...


def draw_times(
    generator: Generator, count: int, settings: TimestepSettings, chance: torch.Generator
) -> torch.Tensor:  # [count]
    """Times to train on; `native` are those of the generator's own training."""
    asked = generator.native_timesteps if settings.distribution == "native" else settings
    return generator.process.draw(count, asked, chance, native_shift=generator.native_shift)
