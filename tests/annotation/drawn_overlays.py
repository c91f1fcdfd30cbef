"""Moving pictures with letters drawn over them, as arrays and as files."""

from pathlib import Path

import av
import numpy as np
from scipy import ndimage

HEIGHT, WIDTH, FRAMES = 72, 112, 12
CORNERS = {"top left": (4, 4), "top right": (86, 4), "bottom left": (4, 58), "bottom": (86, 58)}


def scenery(seed: int, pan: float = 3.0) -> np.ndarray:  # [T, h, w], 0 to 255
    """A textured picture that slides past in a direction of its own."""
    chance = np.random.default_rng(seed)
    size = (HEIGHT + 80, WIDTH + 80)
    picture = ndimage.gaussian_filter(chance.normal(size=size), 3)
    picture = 40 + 175 * (picture - picture.min()) / np.ptp(picture)
    angle = chance.uniform(0, 2 * np.pi)
    places = 40 + pan * np.arange(FRAMES)[:, None] * [np.sin(angle), np.cos(angle)]
    rows, columns = places.round().astype(int).T
    return np.stack(
        [picture[y : y + HEIGHT, x : x + WIDTH] for y, x in zip(rows, columns, strict=True)]
    )


def stamped(grey: np.ndarray, corner: tuple[int, int], strength: float = 1.0) -> np.ndarray:
    """Letters in white, `strength` of the way."""
    letters = np.zeros((9, 22))
    letters[:, [0, 1, 2, 7, 8, 9, 14, 15, 16]] = letters[4] = 1
    x, y = corner
    stamped = grey.copy()
    stamped[:, y : y + 9, x : x + 22] += (
        strength * letters * (255 - stamped[:, y : y + 9, x : x + 22])
    )
    return stamped


def clip_file(path: Path, grey: np.ndarray) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in grey.clip(0, 255).astype(np.uint8):
            rgb = np.repeat(picture[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path
