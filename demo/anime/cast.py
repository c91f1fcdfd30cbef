"""The cast: figures of a head, hair, a robe, an arm and a mark, drawn from distances to edges.

Drawn large and in flat colours, so that 64 x 64 pixels and an autoencoder that keeps little detail
still tell everybody apart. numpy only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Colour = tuple[float, float, float]

SIDE: Final = 64
GROUND: Final = 59.0  # y of the feet
HEIGHT: Final = 40.0  # from the feet to the top of the hair
SKIN: Final = (236.0, 196.0, 168.0)
EYES: Final = (60.0, 45.0, 50.0)
PLAIN: Final = (118.0, 116.0, 122.0)  # of a figure that lost its features


@dataclass(frozen=True, slots=True)
class Look:
    """`style`: the shape of the hair; `badge`: the shape of the mark on the robe."""

    hair: Colour
    style: str
    robe: Colour
    mark: Colour
    badge: str


CAST: Final = {
    "Aki": Look((176, 36, 40), "short", (36, 48, 112), (245, 215, 70), "round"),
    "Sora": Look((30, 84, 178), "long", (120, 62, 30), (120, 225, 235), "belt"),
    "Kuro": Look((36, 34, 42), "spikes", (150, 30, 46), (240, 240, 240), "cross"),
    "Sumi": Look((118, 50, 150), "tails", (44, 84, 66), (250, 160, 200), "round"),
    "Mori": Look((26, 108, 62), "spikes", (86, 52, 130), (245, 215, 70), "belt"),
    "Hana": Look((216, 92, 20), "tails", (60, 58, 66), (235, 70, 80), "cross"),
}


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a figure is in each frame: all [T]."""

    x: Field  # of its middle
    y: Field  # of its feet
    squash: Field  # its height as a share of the full height
    arm: Field  # 0 hangs down, 1 is raised


@dataclass(frozen=True, slots=True)
class Layer:
    """A figure without a background: colour times cover, and cover in 0..1."""

    paint: Field  # [T, H, W, 3]
    cover: Field  # [T, H, W]

    def over(self, back: Field) -> Field:
        """On a background, [H, W, 3] or [T, H, W, 3]."""
        return self.paint + (1 - self.cover)[..., None] * back

    def mixed(self, other: "Layer", share: Field) -> "Layer":
        """This one and another, by the share [T] of the other."""
        s = share[:, None, None]
        return Layer(
            self.paint + s[..., None] * (other.paint - self.paint),
            self.cover + s * (other.cover - self.cover),
        )


def figure(look: Look, pose: Pose, *, plain: bool = False) -> Layer:
    """Draw a member of the cast; `plain` leaves nothing but the outline."""
    u, v = _own_axes(pose)
    cover = np.zeros(np.broadcast_shapes(u.shape, v.shape), np.float32)
    paint = np.zeros((*cover.shape, 3), np.float32)
    for inside, colour in _parts(look, u, v, pose.arm[:, None, None]):
        part = np.clip(inside + 0.5, 0, 1)
        cover += part * (1 - cover)
        paint += part[..., None] * (np.array(PLAIN if plain else colour, np.float32) - paint)
    return Layer(paint, cover)


def body_cover(pose: Pose, *, wider: float = 0.0) -> Field:  # [T, H, W]
    """Where robe and head are, which all of the cast share."""
    u, v = _own_axes(pose)
    inside = np.maximum(_robe(u, v), _head(u, v)) + np.float32(wider)
    cover: Field = np.clip(inside + 0.5, 0, 1)
    return cover


def robe_cover(pose: Pose) -> Field:  # [T, H, W]
    """Where the robe is, the mark aside."""
    u, v = _own_axes(pose)
    inside = np.minimum(_robe(u, v), np.maximum(np.abs(u) - 5.0, np.abs(v - 12.0) - 5.0))
    cover: Field = np.clip(inside + 0.5, 0, 1)
    return cover


def arm_cover(pose: Pose, raised: float) -> Field:  # [T, H, W]
    """Where the arm that waves would be, the other things of the figure aside."""
    u, v = _own_axes(pose)
    inside = _arm(u, v, np.full((len(pose.x), 1, 1), raised, np.float32), side=1.0)
    cover: Field = np.clip(inside + 0.5, 0, 1)
    return cover


def _own_axes(pose: Pose) -> tuple[Field, Field]:
    """Pixels right of the middle [T, 1, W] and above the feet [T, H, 1] of the figure."""
    place = np.arange(SIDE, dtype=np.float32)
    u = place - pose.x[:, None]
    v = (pose.y[:, None] - place) / pose.squash[:, None]
    return u[:, None, :].astype(np.float32), v[:, :, None].astype(np.float32)


def _parts(look: Look, u: Field, v: Field, arm: Field) -> list[tuple[Field, Colour]]:
    """Distances to edges, positive inside, from the back to the front."""
    behind = [(each, look.hair) for shape in _HAIR[look.style] for each in shape(u, v)]
    face = 6.2 - np.hypot(u, 1.05 * (v - 28.0))
    eyes = 1.3 - np.minimum(np.hypot(u - 2.7, v - 28.0), np.hypot(u + 2.7, v - 28.0))
    return [
        *behind,
        (_arm(u, v, arm, side=1.0), look.robe),
        (_arm(u, v, np.zeros_like(arm), side=-1.0), look.robe),
        (_robe(u, v), look.robe),
        (_BADGES[look.badge](u, v), look.mark),
        (_head(u, v), look.hair),
        (face, SKIN),
        (eyes, EYES),
    ]


def _robe(u: Field, v: Field) -> Field:
    return np.minimum(_robe_sides(u, v), np.minimum(v, 23.0 - v)).astype(np.float32)


def _robe_sides(u: Field, v: Field) -> Field:
    return (10.5 - 0.22 * v - np.abs(u)).astype(np.float32)


def _head(u: Field, v: Field) -> Field:
    return (9.0 - np.hypot(u, v - 30.0)).astype(np.float32)


def _arm(u: Field, v: Field, raised: Field, *, side: float) -> Field:
    """A capsule from the shoulder to the hand, swung outwards from 20 to 150 degrees."""
    angle = np.deg2rad(20.0 + 130.0 * raised)
    along_u, along_v = side * np.sin(angle), -np.cos(angle)
    x, y = u - side * 6.0, v - 19.0
    reach = np.clip(x * along_u + y * along_v, 0, 13.0)
    distance: Field = 3.2 - np.hypot(x - reach * along_u, y - reach * along_v)
    return distance.astype(np.float32)


def _long(u: Field, v: Field) -> list[Field]:
    return [np.minimum(10.5 - np.abs(u), np.minimum(v - 10.0, 31.0 - v))]


def _spikes(u: Field, v: Field) -> list[Field]:
    tips = [(-8.0, 37.0), (0.0, 42.0), (8.0, 37.0)]
    return [
        np.minimum(0.8 * (y - v) - 1.3 * np.abs(u - x), v - 26.0).astype(np.float32)
        for x, y in tips
    ]


def _tails(u: Field, v: Field) -> list[Field]:
    return [(5.0 - np.hypot(np.abs(u) - 12.0, 0.75 * (v - 27.0))).astype(np.float32)]


def _round(u: Field, v: Field) -> Field:
    return (4.6 - np.hypot(u, v - 12.0)).astype(np.float32)


def _belt(u: Field, v: Field) -> Field:
    return np.minimum(3.0 - np.abs(v - 12.0), _robe_sides(u, v)).astype(np.float32)


def _cross(u: Field, v: Field) -> Field:
    x, y = np.abs(u), np.abs(v - 12.0)
    beam = np.minimum(1.9 - x, 6.0 - y), np.minimum(5.6 - x, 1.9 - y)
    return np.maximum(*beam).astype(np.float32)


_HAIR: Final = {"short": (), "long": (_long,), "spikes": (_spikes,), "tails": (_tails,)}
_BADGES: Final = {"round": _round, "belt": _belt, "cross": _cross}
