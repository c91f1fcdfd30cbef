"""The scenes behind the cast, pale so that figures stand out, and the symbols that come up."""

from functools import cache
from typing import Final

import numpy as np

from demo.anime.cast import SIDE, Field

Colour = tuple[float, float, float]

SYMBOL_PLACE: Final = (54.0, 10.0)  # x, y of the middle
_SYMBOLS: Final = {
    "heart": (210.0, 40.0, 80.0),
    "star": (250.0, 232.0, 60.0),
    "drop": (40.0, 90.0, 215.0),
}


@cache
def scenery(scene: str, *, mirrored: bool = False) -> Field:  # [H, W, 3], read only
    """A scene without anybody in it."""
    place = np.arange(SIDE, dtype=np.float32)
    x, y = place[None, :], place[:, None]
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    for inside, colour in _SCENES[scene](x, y):
        part = np.clip(np.broadcast_to(inside, (SIDE, SIDE)) + 0.5, 0, 1)[..., None]
        picture += part * (np.array(colour, np.float32) - picture)
    picture = np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)
    picture.flags.writeable = False
    return picture


Shapes = list[tuple[Field, Colour]]
_ALL: Final = np.float32(1.0)


def _meadow(x: Field, y: Field) -> Shapes:
    hill = 26.0 - np.hypot(0.7 * (x - 8.0), y - 56.0)
    return [
        (_ALL + 0 * y, (160, 198, 228)),
        (hill, (136, 190, 150)),
        (y - 40.0, (152, 206, 132)),
    ]


def _beach(x: Field, y: Field) -> Shapes:
    sun = 7.0 - np.hypot(x - 10.0, y - 27.0)
    return [
        (_ALL + 0 * y, (196, 214, 226)),
        (sun, (240, 222, 150)),
        (y - 30.0, (118, 186, 206)),
        (y - 46.0 - 0.08 * x, (226, 206, 164)),
    ]


def _room(x: Field, y: Field) -> Shapes:
    window = np.minimum(8.0 - np.abs(x - 11.0), 9.0 - np.abs(y - 30.0))
    return [
        (_ALL + 0 * y, (222, 206, 190)),
        (window, (170, 208, 232)),
        (y - 48.0, (182, 156, 136)),
    ]


def _town(x: Field, y: Field) -> Shapes:
    left = np.minimum(16.0 - x, y - 14.0)
    right = np.minimum(x - 46.0, y - 24.0)
    return [
        (_ALL + 0 * y, (228, 190, 198)),
        (np.maximum(left, right), (172, 160, 190)),
        (y - 48.0, (178, 178, 184)),
    ]


_SCENES: Final = {"meadow": _meadow, "beach": _beach, "room": _room, "town": _town}


@cache
def symbol(emote: str) -> tuple[Field, Field]:
    """Colour times cover [H, W, 3] and cover [H, W] of a symbol; read only."""
    place = np.arange(SIDE, dtype=np.float32)
    u, v = place[None, :] - SYMBOL_PLACE[0], place[:, None] - SYMBOL_PLACE[1]
    cover = np.clip(_OUTLINES[emote](u, v) + 0.5, 0, 1).astype(np.float32)
    paint = cover[..., None] * np.array(_SYMBOLS[emote], np.float32)
    for each in (paint, cover):
        each.flags.writeable = False
    return paint, cover


def _heart(u: Field, v: Field) -> Field:
    lobes = 4.2 - np.hypot(np.abs(u) - 3.2, v + 2.0)
    point = np.minimum(6.8 - 0.85 * v - 1.05 * np.abs(u), v + 2.5)
    return np.maximum(lobes, point)


def _star(u: Field, v: Field) -> Field:
    beams = 8.0 - np.abs(u) - 2.2 * np.abs(v), 8.0 - np.abs(v) - 2.2 * np.abs(u)
    return np.maximum(np.maximum(*beams), 4.6 - np.hypot(u, v))


def _drop(u: Field, v: Field) -> Field:
    tip = np.minimum(0.6 * (v + 8.5) - np.abs(u), 2.0 - v)
    return np.maximum(5.4 - np.hypot(u, v - 2.0), tip)


_OUTLINES: Final = {"heart": _heart, "star": _star, "drop": _drop}
