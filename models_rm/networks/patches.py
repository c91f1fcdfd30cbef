"""Frames to patches, as the Qwen processors cut them, without torchvision."""

from collections.abc import Sequence

import torch

from models_rm.backbones.families import Family


def patchify(frames: torch.Tensor, family: Family) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """uint8 [N, T, 3, H, W] -> float [N * t * h * w, 3 * tp * p * p] and the grid (t, h, w)."""
    patches, grid = cut(frames, family)
    return normalised(patches, family), grid


def cut(frames: torch.Tensor, family: Family) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """As `patchify`, still uint8: a quarter of the memory until the backbone wants them.

    H and W are multiples of the family's side factor. Frames are padded by the last one to a
    multiple of the temporal patch. Patches are ordered so that those merged into one token are
    neighbours.
    """
    p, m, tp = family.patch, family.merge, family.temporal_patch
    if pad := -frames.shape[1] % tp:
        frames = torch.cat([frames, frames[:, -1:].expand(-1, pad, -1, -1, -1)], dim=1)
    count, length, _, height, width = frames.shape
    t, h, w = length // tp, height // p, width // p
    pieces = frames.view(count, t, tp, 3, h // m, m, p, w // m, m, p)
    pieces = pieces.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(-1, 3 * tp * p * p)
    return pieces, (t, h, w)


def normalised(patches: torch.Tensor, family: Family) -> torch.Tensor:
    """Patches uint8 [P, 3 * tp * p * p] in the colours that the backbone wants, float32."""
    pixels = patches.float().view(len(patches), 3, -1)
    mean = torch.tensor(family.mean, device=patches.device).view(3, 1) * 255
    std = torch.tensor(family.std, device=patches.device).view(3, 1) * 255
    return pixels.sub_(mean).div_(std).flatten(1)


def cut_all(
    clips: Sequence[torch.Tensor], family: Family
) -> tuple[torch.Tensor, list[tuple[int, int, int]]]:
    """Patches of clips of any sizes, uint8, one after the other, and a grid for each clip."""
    if len({clip.shape for clip in clips}) == 1:
        patches, grid = cut(torch.stack(list(clips)), family)
        return patches, [grid] * len(clips)
    each = [cut(clip[None], family) for clip in clips]
    return torch.cat([patches for patches, _ in each]), [grid for _, grid in each]
