"""A video autoencoder without weights: a truncated DCT behind the interface of AutoencoderKLWan.

A convolutional autoencoder that was trained for minutes looks like nothing; this one is exact on
what it keeps. Colours are rotated to brightness and two differences, and a block of 8 x 8 pixels
and 4 frames becomes its strongest `z_dim` DCT-II coefficients of 768; the rest is cut off. Like
Wan, the first frame stands alone: it is repeated so that 1 + 4 k frames make 1 + k latent frames.

On clips of the demo world 32 coefficients give 31.5 dB; 48 shared equally by red, green and blue
give 31.1. Fewer channels matter: a transformer must carry the noise of all of them, patch by patch.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Final

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Latents:
    """What diffusers calls a latent distribution; this one has no variance."""

    mean: torch.Tensor  # [B, z, t, h, w]

    def mode(self) -> torch.Tensor:
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:  # noqa: ARG002
        return self.mean


@dataclass(frozen=True, slots=True)
class Encoded:
    latent_dist: Latents


@dataclass(frozen=True, slots=True)
class Decoded:
    sample: torch.Tensor  # [B, 3, T, H, W] in about -1..1


def dct_matrix(
    size: int,
) -> torch.Tensor:  # [size, size], row k is the basis function of frequency k
    """The orthonormal DCT-II: `matrix @ matrix.T` is the identity."""
    frequency = torch.arange(size, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64)[None]
    matrix = torch.cos(math.pi * (place + 0.5) * frequency / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


# Brightness, and two differences of colour: orthonormal rows.
_COLOUR: Final = torch.tensor(
    [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]], dtype=torch.float64
)


def _coefficients(count: int, frames: int, pixels: int) -> list[tuple[int, int, int, int]]:
    """The `count` strongest (colour, t, y, x) of an ordinary clip: a hyperbolic cross.

    The energy of natural and drawn pictures falls with the product of the frequencies, not with
    their sum. Time falls slower than space, because clips move about three pixels per frame; the
    weights of time and colour were fitted on clips of the demo world.
    """

    def cost(index: tuple[int, int, int, int]) -> tuple[float, int, tuple[int, int, int, int]]:
        colour, t, y, x = index
        weight = (1 + 0.75 * t) * (1 + y) * (1 + x) * (1.0, 1.2, 1.4)[colour]
        return weight, t**2 + y**2 + x**2, index

    sizes = (range(CHANNELS), range(frames), range(pixels), range(pixels))
    return sorted(itertools.product(*sizes), key=cost)[:count]


def _basis(
    count: int, frames: int, pixels: int
) -> torch.Tensor:  # [count, 3, frames, pixels, pixels]
    """Orthonormal over the last four axes."""
    colour = (_COLOUR / _COLOUR.norm(dim=1, keepdim=True)).float()
    time, space = dct_matrix(frames), dct_matrix(pixels)
    rows = [
        torch.einsum("k,a,b,c->kabc", colour[c], time[t], space[y], space[x])
        for c, t, y, x in _coefficients(count, frames, pixels)
    ]
    return torch.stack(rows)


class DctVideoVAE(ModelMixin, ConfigMixin):
    """Pixels in -1..1, [B, 3, 1 + 4k, 8h, 8w] <-> latents [B, z, 1 + k, h, w].

    `latents_mean` and `latents_std` normalise what the diffusion sees, as in Wan; the pipeline and
    the trainer apply them, `encode` and `decode` do not. A shared std for all channels is what made
    a tiny transformer learn: whitened high frequencies would be mostly noise.
    """

    @register_to_config
    def __init__(
        self,
        z_dim: int = 32,
        scale_factor_spatial: int = 8,
        scale_factor_temporal: int = 4,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        if latents_mean is None:
            self.register_to_config(latents_mean=[0.0] * z_dim)
        if latents_std is None:
            self.register_to_config(latents_std=[4.0] * z_dim)
        # Not saved: it follows from the config.
        self.register_buffer(
            "basis",  # [z, 3, 4, 8, 8]
            _basis(z_dim, scale_factor_temporal, scale_factor_spatial),
            persistent=False,
        )
        # Wan's pipelines read the compression from this list, and a model without any parameter has
        # neither a dtype nor a file to save.
        self.temperal_downsample = [False, True, True]
        self.anchor = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def encode(self, x: torch.Tensor, return_dict: bool = True) -> Encoded | tuple[Latents]:  # noqa: FBT001, FBT002
        frames, pixels = self.config.scale_factor_temporal, self.config.scale_factor_spatial
        if (x.shape[2] - 1) % frames or x.shape[3] % pixels or x.shape[4] % pixels:
            raise ValueError(
                f"expected 1 + {frames}k frames and sides that {pixels} divides, "
                f"got {x.shape[2]} frames of {x.shape[3]} x {x.shape[4]}"
            )
        x = torch.cat([x[:, :, :1].expand(-1, -1, frames - 1, -1, -1), x], dim=2)
        blocks = x.unflatten(4, (-1, pixels)).unflatten(3, (-1, pixels)).unflatten(2, (-1, frames))
        z = torch.einsum("bctqhiwj,ncqij->bnthw", blocks, self.basis.to(x))
        return Encoded(Latents(z)) if return_dict else (Latents(z),)

    def decode(self, z: torch.Tensor, return_dict: bool = True) -> Decoded | tuple[torch.Tensor]:  # noqa: FBT001, FBT002
        blocks = torch.einsum("bnthw,ncqij->bctqhiwj", z, self.basis.to(z))
        x = blocks.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        x = x[:, :, self.config.scale_factor_temporal - 1 :]
        return Decoded(x) if return_dict else (x,)
