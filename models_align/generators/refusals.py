"""What a generator cannot take, said in one sentence before the first step."""

from collections.abc import Iterable

import torch

from models_align.errors import OtherLatentsError, PromptTooLongError
from models_align.generators.base import Generator


def refuse_long_prompts(generator: Generator, prompts: Iterable[str]) -> None:
    """diffusers cuts off what its encoder does not take: people would judge words never read."""
    for prompt in dict.fromkeys(prompts):
        length = generator.text_length(prompt)
        if length > generator.text_tokens:
            raise PromptTooLongError(
                f"the prompt {prompt[:60]!r} has {length} tokens, and the generator "
                f"{generator.source!r} reads {generator.text_tokens}; shorten it"
            )


def refuse_other_latents(latents: torch.Tensor, channels: int, source: str) -> None:
    """`latents`: [..., C, t, h, w]."""
    if latents.ndim < 4 or latents.shape[-4] != channels:
        raise OtherLatentsError(
            f"the generator {source!r} has latents of {channels} channels, time, height and width; "
            f"got the shape {tuple(latents.shape)}, which another autoencoder made"
        )
