"""The weight-free video autoencoder of the tiny generator, and what it does to a clip.

The class lives beside the generators, because a saved pipeline names the module of each of its
parts and models_align must be able to load that pipeline without the demo.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from models_align.generators.dct_vae import DctVideoVAE, Decoded, Encoded, dct_matrix

__all__ = ["DctVideoVAE", "dct_matrix", "low_passed", "round_trip"]

Floats = NDArray[np.float32]


def low_passed(frames: NDArray[np.floating], vae: DctVideoVAE | None = None) -> Floats:
    """[T, H, W, 3] or [B, T, H, W, 3] in any linear scale, encoded and decoded."""
    vae = vae or _default_vae()
    batch = frames if frames.ndim == 5 else frames[None]
    x = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).movedim(-1, 1)
    with torch.inference_mode():
        encoded = vae.encode(x)
        assert isinstance(encoded, Encoded)
        decoded = vae.decode(encoded.latent_dist.mode())
        assert isinstance(decoded, Decoded)
    back: Floats = decoded.sample.movedim(1, -1).numpy()
    return back if frames.ndim == 5 else back[0]


def round_trip(frames: NDArray[np.uint8], vae: DctVideoVAE | None = None) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3] or [B, T, H, W, 3], encoded and decoded: the best a generator could do."""
    back = low_passed(frames.astype(np.float32) - 127.5, vae) + 127.5
    return np.clip(np.rint(back), 0, 255).astype(np.uint8)


@cache
def _default_vae() -> DctVideoVAE:
    return DctVideoVAE()
