"""Start images out of files."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import ImageRef


def read_image(path: Path) -> torch.Tensor:
    """uint8 [H, W, 3]. A missing or broken file is a FormatError."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise FormatError(f"the start image cannot be read: {error}", path=path) from error
    return torch.from_numpy(pixels.copy())


def start_image(ref: ImageRef, media_root: Path) -> torch.Tensor:
    """The start image of a record, uint8 [H, W, 3]; one that was changed is a FormatError."""
    path = media_root / ref.path
    image = read_image(path)
    if sha256_of(path) != ref.sha256:
        raise FormatError("the start image has changed since the prompt was written", path=path)
    return image
