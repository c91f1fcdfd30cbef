"""How a figure is drawn: who it is, how sharp, and what disturbs the picture around it.

Ideal figures are drawn where the real one stands, blurred, sent through the autoencoder of the
generator as it was, and compared with what is there. So what the autoencoder loses costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.backdrop import SYMBOL_ZONE, Backdrop
from demo.anime.cast import CAST, SIDE, Field, Layer, Look, Pose, body_cover, figure
from demo.anime.drawing import SYMBOL_RAMP, blurred
from demo.anime.knowing import Known
from demo.anime.recipes import EMOTES
from demo.anime.scenery import symbol

SIGMAS: Final = (0.0, 0.8, 1.4, 2.0, 2.6, 3.2, 3.8)  # pixels of blur that are tried
AROUND: Final = 7.0  # pixels around a body that still belong to the figure
SYMBOL_FRAMES: Final = slice(5, None)  # where a symbol is fully there

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a figure looks like. All [T] but the last two."""

    other: str  # who the character turns into, if anybody
    morphed: Doubles  # share of that other one
    faded: Doubles  # share that lost its features
    sigma: float  # pixels of blur
    misfit: float  # share of the figure that none of this explains


@dataclass(frozen=True, slots=True)
class Easel:
    """Where figures are drawn again: the clip less its backdrop, and what counts of it."""

    difference: Field  # [T, H, W, 3]
    pose: Pose
    scenes: Field  # [T, H, W, 3], the backdrop without added colours
    zone: Field  # [T, H, W], 1 where the figure is

    def drawn(self, layers: Sequence[Layer], sigmas: Sequence[float]) -> Field:
        """Each layer with each blur as it would differ from the backdrop, [N, T, H, W, 3]."""
        # Here, because annotators who know every recipe never need torch.
        from demo.dct_vae import low_passed

        found = [
            blurred(layer.paint - layer.cover[..., None] * self.scenes, sigma)
            for layer in layers
            for sigma in sigmas
        ]
        return low_passed(np.stack(found))

    def some_frames(self) -> "Easel":
        """Every third frame, which is enough to tell people apart."""
        pose = self.pose
        few = Pose(pose.x[2::3], pose.y[2::3], pose.squash[2::3], pose.arm[2::3])
        return Easel(self.difference[2::3], few, self.scenes[2::3], self.zone[2::3])

    def sketched(self, layers: Sequence[Layer], sigma: float) -> tuple[Field, Field, Field]:
        """The difference, the layers, and the zone at half resolution: to choose between them."""
        found = np.stack([each.paint - each.cover[..., None] * self.scenes for each in layers])
        zone = _halved(self.zone[..., None])[..., 0]
        return _halved(self.difference), blurred(_halved(found), sigma / 2), zone


def _halved(pictures: Field) -> Field:  # [..., H, W, C] -> [..., H / 2, W / 2, C]
    corners = [pictures[..., row::2, column::2, :] for row in (0, 1) for column in (0, 1)]
    return (corners[0] + corners[1] + corners[2] + corners[3]) * np.float32(0.25)


def easel(difference: Field, pose: Pose, backdrop: Backdrop) -> Easel:
    zone = (body_cover(pose, wider=AROUND) > 0).astype(np.float32)
    zone[(slice(None), *SYMBOL_ZONE)] = 0.0
    added = (backdrop.light[:, None] + backdrop.tint)[:, None, None]
    return Easel(difference, pose, (backdrop.pictures - added).astype(np.float32), zone)


def recognise(on: Easel, known: Known, blur: float) -> Likeness:
    """Who the figure is and turns into, and how sharp it is: each found with the other's help,
    starting from a rough guess of the blur in pixels."""
    own = CAST[known.character]
    others = [name for name in CAST if name != known.character]
    few = on.some_frames()
    cast = [*_own(own, few), *(figure(CAST[name], few.pose) for name in others)]
    best, _, _ = _shares(*few.sketched(cast, blur))
    chosen = [*_own(own, on), figure(CAST[others[best]], on.pose)]
    _, shares, _ = _shares(*on.sketched(chosen, blur))
    sigma = _blur(on, _mixed(chosen, shares))
    _, shares, misfit = _shares(on.difference, on.drawn(chosen, [sigma]), on.zone)
    return Likeness(others[best], shares[:, 1], shares[:, 0], sigma, misfit)


def _own(look: Look, on: Easel) -> list[Layer]:
    """The character, and what is left of it without its features."""
    return [figure(look, on.pose), figure(look, on.pose, plain=True)]


def _mixed(layers: Sequence[Layer], shares: Doubles) -> Layer:
    own, plain, other = layers
    faded, morphed = shares.T.astype(np.float32)
    rest = 1 - faded
    halfway = own.mixed(other, np.divide(morphed, rest, out=0 * rest, where=rest > 1e-3))
    return halfway.mixed(plain, faded)


def _blur(on: Easel, layer: Layer) -> float:
    drawn = on.drawn([layer], SIGMAS)
    errors = (on.zone[..., None] * (drawn - on.difference) ** 2).sum((1, 2, 3, 4))
    at = int(errors.argmin())
    if not 0 < at < len(SIGMAS) - 1:
        return SIGMAS[at]
    # The top of the parabola through three points, which are not evenly apart.
    found = np.polyfit(SIGMAS[at - 1 : at + 2], errors[at - 1 : at + 2], 2)
    return float(np.clip(-found[1] / (2 * found[0]), 0, SIGMAS[-1]))


def _shares(difference: Field, drawn: Field, zone: Field) -> tuple[int, Doubles, float]:
    """The best other one, its and the plain one's shares [T, 2] as plain, other; the misfit."""
    frames = len(zone)
    inside = np.repeat(zone.reshape(frames, -1, 1), 3, axis=-1).reshape(frames, -1)
    plain, *ways = (each.reshape(frames, -1) for each in drawn[1:] - drawn[0])
    seen = (difference - drawn[0]).reshape(frames, -1) * inside
    fits = []
    for number, other in enumerate(ways):
        shares = _least_squares(plain * inside, other * inside, seen)
        rest = seen - inside * (plain * shares[:, :1] + other * shares[:, 1:])
        fits.append((float((rest**2).sum()), number, shares))
    error, number, shares = min(fits, key=lambda each: each[0])
    energy = float(((difference.reshape(frames, -1) * inside) ** 2).sum())
    return number, shares, min(1.0, error / max(energy, 1.0))


def _least_squares(plain: Field, other: Field, seen: Field) -> Doubles:  # [T, 2]
    """Shares of at least 0 that add up to at most 1, per frame; all given [T, pixels]."""
    square = np.empty((len(seen), 2, 2))
    square[:, 0, 0], square[:, 1, 1] = _dot(plain, plain), _dot(other, other)
    square[:, 0, 1] = square[:, 1, 0] = _dot(plain, other)
    right = np.stack([_dot(plain, seen), _dot(other, seen)], axis=1)
    both = np.linalg.solve(square + 1e-3 * np.eye(2), right[..., None])[..., 0]
    alone = right / np.maximum(np.einsum("tnn->tn", square), 1e-3)
    first_only, second_only = alone * [1.0, 0.0], alone * [0.0, 1.0]
    found = np.where(both[:, :1] < 0, second_only, np.where(both[:, 1:] < 0, first_only, both))
    found = np.clip(found, 0, 1)
    shares: Doubles = found / np.maximum(found.sum(1, keepdims=True), 1.0)
    return shares


def _dot(one: Field, other: Field) -> Doubles:  # [T]
    return np.einsum("tp,tp->t", one, other).astype(float)


def stain_levels(clip: Field, on: Easel, backdrop: Backdrop, sigma: float) -> float:
    """RMS in levels of what stands still where nobody ever comes."""
    from demo.dct_vae import low_passed

    empty = low_passed(blurred(on.scenes, sigma)) + (backdrop.pictures - on.scenes)
    covered = body_cover(on.pose, wider=AROUND + 3).max(0) > 0
    covered[SYMBOL_ZONE] = True
    free = np.median(clip - empty, axis=0)[~covered]
    if len(free) < SIDE:  # the figure went everywhere: a clip without any quiet place
        return 0.0
    # 68 % of normal noise lies within one sigma; edges of the scene do not move that.
    spread = np.quantile(np.abs(free - np.median(free, axis=0)), 0.68, axis=0)
    return float(np.sqrt((spread**2).mean()))


def find_symbol(clip: Field, backdrop: Backdrop, sigma: float) -> tuple[str, float]:
    """The symbol that came up, and how much of it is there: about 1, or 0 for none."""
    seen = (clip - backdrop.pictures)[SYMBOL_FRAMES][(slice(None), *SYMBOL_ZONE)].mean(0)
    under = backdrop.pictures[SYMBOL_FRAMES].mean(0)
    ramp = float(SYMBOL_RAMP[SYMBOL_FRAMES].mean())
    fits = []
    for emote in EMOTES:
        paint, cover = symbol(emote)
        wanted = ramp * blurred(paint - cover[..., None] * under, sigma)[SYMBOL_ZONE]
        gain = float(np.clip((wanted * seen).sum() / (wanted**2).sum(), 0, 1.5))
        fits.append((float(((seen - gain * wanted) ** 2).sum()), emote, gain))
    _, emote, gain = min(fits)
    return emote, gain
