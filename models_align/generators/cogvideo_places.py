"""Where the tokens of CogVideoX stand: rotary embeddings over time, height and width.

As diffusers' pipelines make them, from the network's config alone, so that a part of a network
needs no pipeline.
"""

from typing import Any

import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

Places = tuple[torch.Tensor, torch.Tensor]  # cosines and sines


def rotary_places(config: Any, shape: tuple[int, int, int], device: torch.device) -> Places | None:
    """Of latents [.., t, h, w] of this shape; None for a network that adds its places (2B)."""
    if not config.use_rotary_positional_embeddings:
        return None
    frames, height, width = shape
    patch = config.patch_size
    grid = (height // patch, width // patch)
    base = (config.sample_height // patch, config.sample_width // patch)
    if config.patch_size_t is None:  # 1.0: stretched to the size that was trained
        corners = get_resize_crop_region_for_grid(grid, base[1], base[0])
        more: dict[str, Any] = {"crops_coords": corners, "temporal_size": frames}
    else:  # 1.5: a part of the largest size
        frames = -(-frames // config.patch_size_t)
        more = {
            "crops_coords": None,
            "temporal_size": frames,
            "grid_type": "slice",
            "max_size": base,
        }
    places: Places = get_3d_rotary_pos_embed(
        embed_dim=config.attention_head_dim, grid_size=grid, device=device, **more
    )
    return places
