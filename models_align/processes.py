"""What noise does to a clip, and what a network says of it: two processes behind one interface.

`t` goes from 0, the clip, to 1, noise, in both. A method, a sampler and guidance speak of a
`Process` and so hold for either:

- `RectifiedFlow` (Wan; VideoAlign, arXiv 2501.13918): x_t = (1-t) x_0 + t eps, v = eps - x_0.
- `VPrediction` (CogVideoX; Salimans and Ho, arXiv 2202.00512): x_t = a x_0 + s eps,
  v = a eps - s x_0 with a^2 = abar, s^2 = 1 - abar on the grid of training timesteps.
"""

from typing import Final, Protocol

import torch

from models_align import flow
from models_align.config import TimestepSettings
from models_align.flow import draw_timesteps, per_sample


class Process(Protocol):
    """Tensors of clips are [B, ...], `t` is [B] in [0, 1]; results are float32 but for predictions,
    which keep the type of what they are made of.
    """

    @property
    def name(self) -> str: ...

    def noised(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x_t."""
        ...

    def target(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What the network should predict at x_t."""
        ...

    def predicted_data(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """x_0 by a prediction."""
        ...

    def predicted_noise(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """eps by a prediction."""
        ...

    def noise_to_signal(self, t: torch.Tensor) -> torch.Tensor:  # float64 [B] or scalar
        """The share of noise over that of the clip, the factor of Flow-NRG; infinite at its end.

        A shift of the score by w times a gradient is, in either process, a shift of the prediction
        by -w noise_to_signal(t) times the gradient (arXiv 2501.13918, Eq. 11).
        """
        ...

    def draw(
        self,
        count: int,
        settings: TimestepSettings,
        chance: torch.Generator,
        *,
        native_shift: float = 1.0,
    ) -> torch.Tensor:  # float32 [count]
        """Times to train on."""
        ...


class RectifiedFlow:
    """Straight lines between clip and noise: see `models_align.flow`."""

    name: Final = "rectified_flow"

    def noised(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return flow.interpolate(data, noise, t)

    def target(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return flow.velocity_target(data, noise)

    def predicted_data(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        return flow.predicted_data(x_t, prediction, t)

    def predicted_noise(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        return flow.predicted_noise(x_t, prediction, t)

    def noise_to_signal(self, t: torch.Tensor) -> torch.Tensor:
        time = t.double()
        return time / (1 - time)

    def draw(
        self,
        count: int,
        settings: TimestepSettings,
        chance: torch.Generator,
        *,
        native_shift: float = 1.0,
    ) -> torch.Tensor:
        return draw_timesteps(count, settings, chance, native_shift=native_shift)


class VPrediction:
    """A diffusion of N training timesteps; its step k is t = (k + 1) / N, and t = 0 is the clip.

    A t between two steps is taken for the nearest. `alphas_cumprod`: [N], falling; it may end in 0
    (zero terminal signal, as CogVideoX has it).
    """

    name: Final = "v_prediction"

    def __init__(self, alphas_cumprod: torch.Tensor):
        if alphas_cumprod.ndim != 1 or not len(alphas_cumprod):
            raise ValueError(
                f"expected one number per timestep, got the shape {tuple(alphas_cumprod.shape)}"
            )
        ends = alphas_cumprod.new_ones(1)
        self.steps = len(alphas_cumprod)
        self._signal_squared = torch.cat([ends, alphas_cumprod]).double()  # [N + 1], by t N

    def noised(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, share = self._shares(t, data)
        return signal * data.float() + share * noise.float()

    def target(self, data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, share = self._shares(t, data)
        return signal * noise.float() - share * data.float()

    def predicted_data(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        signal, share = self._shares(t, x_t)
        return signal.to(x_t.dtype) * x_t - share.to(x_t.dtype) * prediction

    def predicted_noise(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        signal, share = self._shares(t, x_t)
        return signal.to(x_t.dtype) * prediction + share.to(x_t.dtype) * x_t

    def noise_to_signal(self, t: torch.Tensor) -> torch.Tensor:
        squared = self._squared(t)
        return ((1 - squared) / squared).sqrt()

    def draw(
        self,
        count: int,
        settings: TimestepSettings,
        chance: torch.Generator,
        *,
        native_shift: float = 1.0,
    ) -> torch.Tensor:
        """On the grid: each of the N steps stands for the interval of t that ends in it."""
        u = draw_timesteps(count, settings, chance, native_shift=native_shift)
        return ((u * self.steps).floor().clamp(0, self.steps - 1) + 1) / self.steps

    def _squared(self, t: torch.Tensor) -> torch.Tensor:
        place = (t.double() * self.steps).round().long().clamp(0, self.steps)
        return self._signal_squared.to(t.device)[place]

    def _shares(self, t: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the clip and of the noise, as wide as `like`; float32, or float64 where that is."""
        squared = per_sample(self._squared(t), like)
        wanted = torch.float64 if like.dtype == torch.float64 else torch.float32
        return squared.sqrt().to(wanted), (1 - squared).sqrt().to(wanted)
