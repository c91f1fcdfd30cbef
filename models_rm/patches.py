"""Frames to patches, as the Qwen processors cut them, without torchvision."""

from collections.abc import Sequence

import torch

from models_rm.families import Family


def patchify(frames: torch.Tensor, family: Family) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """uint8 [N, T, 3, H, W] -> float [N * t * h * w, 3 * tp * p * p] and the grid (t, h, w).

    H and W are multiples of the family's side factor. Frames are padded by the last one to a
    multiple of the temporal patch. Patches are ordered so that those merged into one token are
    neighbours.
    """
    p, m, tp = family.patch, family.merge, family.temporal_patch
    if pad := -frames.shape[1] % tp:
        frames = torch.cat([frames, frames[:, -1:].expand(-1, pad, -1, -1, -1)], dim=1)
    count, length, _, height, width = frames.shape
    t, h, w = length // tp, height // p, width // p
    # Bytes are moved into place before they become floats: a quarter of the memory traffic.
    pieces = frames.view(count, t, tp, 3, h // m, m, p, w // m, m, p)
    pieces = pieces.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(-1, 3, tp * p * p)
    mean = torch.tensor(family.mean).view(3, 1) * 255
    std = torch.tensor(family.std).view(3, 1) * 255
    patches = (pieces.float() - mean) / std
    return patches.flatten(1), (t, h, w)


def patchify_all(
    clips: Sequence[torch.Tensor], family: Family
) -> tuple[torch.Tensor, list[tuple[int, int, int]]]:
    """Patches of clips of any sizes, one after the other, and a grid for each clip."""
    if len({clip.shape for clip in clips}) == 1:
        patches, grid = patchify(torch.stack(list(clips)), family)
        return patches, [grid] * len(clips)
    each = [patchify(clip[None], family) for clip in clips]
    return torch.cat([patches for patches, _ in each]), [grid for _, grid in each]
