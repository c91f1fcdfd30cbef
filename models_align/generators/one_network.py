"""What families of one network and no start image share: inherit, and override."""

from collections.abc import Mapping
from typing import Any

import torch

from formats.supervised import BadConfigError
from models_align.generators.conditions import Condition


class OneNetwork:
    """The answers of a `Generator` (see base.py) that follow from having one network."""

    pipeline: Any
    source: str
    needs_image: bool = False
    guides_together: bool = True

    @property
    def transformer(self) -> Any:
        return self.pipeline.transformer

    @property
    def networks(self) -> Mapping[str, torch.nn.Module]:
        return {"transformer": self.pipeline.transformer}

    @property
    def boundary(self) -> float:
        return 0.0

    @property
    def device(self) -> torch.device:
        device: torch.device = self.transformer.device
        return device

    def text_length(self, prompt: str) -> int:
        words = self.pipeline.tokenizer(prompt, truncation=False, verbose=False)
        return len(words.input_ids)

    def encode_start(self, images: torch.Tensor, num_frames: int) -> Condition | None:  # noqa: ARG002
        return None

    def finished(self, latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:  # noqa: ARG002
        return latents

    def trunk(self, blocks: int) -> torch.nn.Module:  # noqa: ARG002
        raise BadConfigError(
            f"the first blocks of a {type(self.pipeline).__name__} are not taken apart, which a "
            f"latent reward model needs; the generator is {self.source!r}"
        )

    def _freeze(self) -> None:
        """Nothing learns before an adapter is put on; an accelerator is used where there is one."""
        for each in (self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.transformer):
            each.eval().requires_grad_(requires_grad=False)
        if torch.cuda.is_available():
            self.pipeline.to("cuda")
