"""Frames as the autoencoders of diffusers take and give them, rounded as diffusers rounds."""

import torch


def pixels_of(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    """uint8 [B, T, H, W, 3] -> float32 [B, 3, T, H, W] in -1..1."""
    return 2.0 * (frames.to(device).permute(0, 4, 1, 2, 3).float() / 255.0) - 1.0


def frames_of(pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, T, H, W] in about -1..1 -> uint8 [B, T, H, W, 3] on the CPU."""
    levels = (pixels.float() * 0.5 + 0.5).clamp(0, 1) * 255
    return levels.round().to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous().cpu()
