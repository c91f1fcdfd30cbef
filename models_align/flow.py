"""Rectified-flow primitives. Pure: tensors in, tensors out.

Convention of VideoAlign (arXiv 2501.13918) and SD3: x_0 is the data latent, x_1 = eps is Gaussian
noise, x_t = (1-t) x_0 + t eps, v = eps - x_0; sampling goes from t = 1 down to t = 0. Other sources
use the reverse time: convert at the border, never inside a loss.
"""

import torch

from models_align.config import TimestepSettings


def per_sample(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[B] -> [B, 1, ...] with as many axes as `like`."""
    return values.view(-1, *[1] * (like.ndim - 1))


def interpolate(data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x_t = (1-t) x_0 + t eps, in float32. data, noise: [B, ...]; t: [B]."""
    t = per_sample(t, data).float()
    return (1 - t) * data.float() + t * noise.float()


def velocity_target(data: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """v = eps - x_0, in float32. [B, ...]"""
    return noise.float() - data.float()


def predicted_data(x_t: torch.Tensor, velocity: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x_0 = x_t - t v. [B, ...], t: [B]"""
    return x_t - per_sample(t, x_t) * velocity


def predicted_noise(x_t: torch.Tensor, velocity: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """eps = x_t + (1-t) v. [B, ...], t: [B]"""
    return x_t + (1 - per_sample(t, x_t)) * velocity


def velocity_error(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over all elements of a sample, in float32: [B, ...] -> [B].

    The mean, never the sum: with a sum, beta 500 on a real latent gives z in the 100,000s.
    """
    return (predicted.float() - target.float()).square().flatten(1).mean(1)


def shifted(u: torch.Tensor, shift: float) -> torch.Tensor:
    """s u / (1 + (s-1) u): the map of flow-matching noise schedules; 1 changes nothing."""
    return shift * u / (1 + (shift - 1) * u)


def draw_timesteps(
    count: int, settings: TimestepSettings, generator: torch.Generator, *, native_shift: float = 1.0
) -> torch.Tensor:
    """t in (0, 1) by the distribution of the settings: [count], float32."""
    if settings.distribution == "logit_normal":
        normal = torch.randn(count, generator=generator)
        return torch.sigmoid(settings.logit_mean + settings.logit_std * normal)
    u = torch.rand(count, generator=generator)
    if settings.distribution == "shifted":
        return shifted(u, settings.shift or native_shift)
    return u
