"""Pictures of strangers: read within limits, and written anew so that nothing but pixels passes.

Knows neither Django nor the database: it also runs in the bounded child (`bounded_child`).
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from annotation.errors import MediaError

MAX_PIXELS: Final = 8192 * 8192
MAX_SIDE: Final = 16384
_FORMATS: Final = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True, slots=True)
class Picture:
    width: int
    height: int


def read_picture(source: Path, target: Path) -> Picture:
    """Decode the picture, upright and without metadata, and write it as PNG at `target`."""
    if not source.is_file() or not source.stat().st_size:
        raise MediaError(f"the image {source} is missing or empty")
    try:
        # A few kB can claim to be a picture of a gigabyte: its size is asked before its pixels.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source, formats=_FORMATS) as image:
                _check(source, image)
                plain = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(
            f"the image {source} cannot be read as PNG, JPEG or WebP: {error}"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}")
    # A new picture from the bare pixels: text, profiles and comments stay behind.
    Image.frombytes("RGB", plain.size, plain.tobytes()).save(temporary, "PNG")
    temporary.replace(target)
    return Picture(*plain.size)


def _check(source: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise MediaError(
            f"the image {source} is {width}x{height}; expected at most {MAX_PIXELS / 1e6:.0f} MP"
        )
    if getattr(image, "n_frames", 1) > 1:
        raise MediaError(f"the image {source} moves; expected a still picture")
