"""What a method needs from a generator, whatever its family."""

from typing import Any, Protocol

import torch


class Generator(Protocol):
    """A flow-matching video generator in the convention of `models_align.flow`.

    Frames are uint8 [B, T, H, W, 3]; latents are normalised, float32 [B, C, t, h, w]; text is
    [B, L, D] as the network reads it. `condition` is None, or what an image-to-video generator
    sees of the start image, [B, K, t, h, w].
    """

    source: str
    pipeline: Any  # of diffusers: loads adapters
    transformer: torch.nn.Module
    native_shift: float
    lora_targets: tuple[str, ...]
    needs_image: bool

    @property
    def device(self) -> torch.device: ...

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """[C, t, h, w] of a clip; a size that the generator cannot make is an error."""
        ...

    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor: ...

    def encode_start(self, frames: torch.Tensor) -> torch.Tensor | None:
        """The condition that the first frames of these clips give."""
        ...

    def encode_prompts(self, prompts: list[str]) -> torch.Tensor: ...

    def velocity(
        self,
        latents: torch.Tensor,  # [B, C, t, h, w], x_t
        t: torch.Tensor,  # [B] in (0, 1]
        text: torch.Tensor,  # [B, L, D]
        condition: torch.Tensor | None = None,
    ) -> torch.Tensor:  # [B, C, t, h, w]
        ...

    def trunk(self, blocks: int) -> torch.nn.Module:
        """A copy of the first blocks of the transformer, float32: x_t, t, text -> [B, N, width].

        It has `width`, `blocks` and `describe()`, see trunk.py. 0 takes the first quarter.
        """
        ...

    def decode(self, latents: torch.Tensor) -> torch.Tensor: ...

    def scheduler(self, shift: float = 0.0) -> Any:
        """A fresh noise schedule of diffusers; a shift above 0 replaces its own."""
        ...

    def fingerprint(self) -> str:
        """Changes with whatever changes latents or text embeddings: the key of their caches."""
        ...
