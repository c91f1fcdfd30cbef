"""The network of a latent reward model: early blocks of a generator, pooling, one head each.

VideoAlign (arXiv 2501.13918, section 4.4): a reward that sees the noised latent x_t, its timestep
and the prompt can guide sampling, because the gradient needs no decoding and knows the noise.
"""

from collections.abc import Sequence

import torch

from models_align.generators.trunks import Trunk


class RewardHead(torch.nn.Module):
    """Tokens -> one reward per dimension, in float32 whatever the tokens are in.

    `attention`: each dimension looks with a query of its own; the queries start at zero, which is
    the mean. `mean`: all dimensions see the mean of the tokens. Without a bias, because rewards of
    Bradley-Terry have no zero of their own.
    """

    def __init__(self, width: int, dimensions: int, pooling: str):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.weight = torch.nn.Parameter(torch.randn(dimensions, width) / width)
        self.queries: torch.nn.Parameter | None = None
        if pooling == "attention":
            self.queries = torch.nn.Parameter(torch.zeros(dimensions, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:  # [B, N, W] -> [B, D]
        tokens = self.norm(tokens)
        if self.queries is None:
            return tokens.mean(1) @ self.weight.T
        looks = torch.einsum("bnw,dw->bdn", tokens, self.queries) / tokens.shape[-1] ** 0.5
        pooled = torch.einsum("bdn,bnw->bdw", looks.softmax(-1), tokens)
        return (pooled * self.weight).sum(-1)


class LatentRewardNetwork(torch.nn.Module):
    """x_t, t, text -> rewards [B, D], differentiable in x_t.

    With `noise` "none" the network was trained on clean latents alone: it knows no other time, so
    it is told t = 0 whatever it is asked.
    """

    def __init__(self, trunk: Trunk, keys: Sequence[str], *, pooling: str, noise: str):
        super().__init__()
        self.trunk = trunk
        self.keys = tuple(keys)
        self.noise = noise
        self.head = RewardHead(trunk.width, len(self.keys), pooling)

    def forward(
        self,
        x_t: torch.Tensor,  # [B, C, t, h, w]
        t: torch.Tensor,  # [B] in [0, 1]
        text: torch.Tensor,  # [B, L, W]
    ) -> torch.Tensor:  # float32 [B, D]
        told = torch.zeros_like(t) if self.noise == "none" else t
        dtype = next(self.trunk.blocks.parameters()).dtype
        tokens = self.trunk(x_t.to(dtype), told, text.to(dtype))
        with torch.autocast(tokens.device.type, enabled=False):
            return self.head(tokens.to(self.head.weight.dtype))
