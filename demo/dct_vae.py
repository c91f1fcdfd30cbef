"""The weight-free video autoencoder of the tiny generator, and what it does to a clip.

The class lives beside the generators, because a saved pipeline names the module of each of its
parts and models_align must be able to load that pipeline without the demo.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from models_align.generators.dct_vae import DctVideoVAE, Decoded, Encoded, dct_matrix

__all__ = ["DctVideoVAE", "dct_matrix", "round_trip"]


def round_trip(frames: NDArray[np.uint8], vae: DctVideoVAE | None = None) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3] or [B, T, H, W, 3], encoded and decoded: the best a generator could do."""
    vae = vae or _default_vae()
    batch = frames if frames.ndim == 5 else frames[None]
    x = torch.from_numpy(np.ascontiguousarray(batch)).float().div(127.5).sub(1).movedim(-1, 1)
    with torch.inference_mode():
        encoded = vae.encode(x)
        assert isinstance(encoded, Encoded)
        decoded = vae.decode(encoded.latent_dist.mode())
        assert isinstance(decoded, Decoded)
    pixels = decoded.sample.movedim(1, -1).add(1).mul(127.5).round().clamp(0, 255)
    back: NDArray[np.uint8] = pixels.to(torch.uint8).numpy()
    return back if frames.ndim == 5 else back[0]


@cache
def _default_vae() -> DctVideoVAE:
    return DctVideoVAE()
