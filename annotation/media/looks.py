"""Which clips look the same: a perceptual hash of a whole clip. Pure numpy and scipy.

Libraries hash pictures; a clip also moves. So: the discrete cosine transform over time, height
and width of a small grey copy, and of that the signs of the lowest frequencies. 64 bits say how the
clip looks on the whole, 64 how it changes from its first half to its second.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

ALIKE: Final = 10  # of 128 bits may differ; re-encoded and rescaled copies stay below (tests)
BITS: Final = 128
_SIDE: Final = 32
_MOMENTS: Final = 16
_FREQUENCIES: Final = 8
# A coefficient as small as what encoding adds says nothing: its bit must not depend on it.
_NOISE: Final = 0.1875  # mean amplitude in grey levels; chosen on smooth scenes, see the tests
_ROWS: Final = 256  # compared at once


def perceptual_hash(grey: npt.NDArray[np.float64]) -> str:  # [T, 32, 32], 0 to 255
    """32 hexadecimal digits; clips that look alike differ in few bits."""
    from scipy import fft  # large, and a page only compares what was found

    moments = np.linspace(0, len(grey) - 1, _MOMENTS).round().astype(int)
    waves = fft.dctn(grey[moments], norm="ortho") / np.sqrt(_MOMENTS * _SIDE * _SIDE)
    still, moving = (waves[at, :_FREQUENCIES, 1 : _FREQUENCIES + 1].ravel() for at in (0, 1))
    bits = np.concatenate([still, moving]) > _NOISE
    return np.packbits(bits).tobytes().hex()


def distance(one: str, other: str) -> int:
    """In how many bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def alike(hashes: Sequence[str], others: Sequence[str]) -> list[tuple[int, int, int]]:
    """(place in `hashes`, place in `others`, bits that differ) of all that look the same."""
    if not hashes or not others:
        return []
    left, right = _words(hashes), _words(others)
    found = []
    for start in range(0, len(left), _ROWS):
        differ = np.bitwise_count(left[start : start + _ROWS, None, :] ^ right[None, :, :])
        bits = differ.sum(axis=2, dtype=np.int16)
        found += [
            (start + int(row), int(column), int(bits[row, column]))
            for row, column in np.argwhere(bits <= ALIKE)
        ]
    return found


def _words(hashes: Sequence[str]) -> npt.NDArray[np.uint64]:  # [n, 2]
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(-1, BITS // 64)
