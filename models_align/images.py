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


def refuse_changed_image(ref: ImageRef, media_root: Path) -> Path:
    """Where the start image of a record lies; one that is gone or was changed is a FormatError."""
    path = media_root / ref.path
    if not path.is_file():
        raise FormatError("the start image is not there", path=path)
    if sha256_of(path) != ref.sha256:
        raise FormatError("the start image has changed since the prompt was written", path=path)
    return path


def start_image(ref: ImageRef, media_root: Path) -> torch.Tensor:
    """The start image of a record, uint8 [H, W, 3]."""
    return read_image(refuse_changed_image(ref, media_root))


def noised_image(image: torch.Tensor, median: float, chance: torch.Generator) -> torch.Tensor:
    """uint8 [H, W, 3] with Gaussian noise, of a strength that is drawn: median x exp(normal / 2).

    Without it an image-to-video network learns to hold the image still. CogVideoX trains with a
    median of exp(-3), 0.05, on a scale of -1..1.
    """
    strength = median * (0.5 * torch.randn(1, generator=chance)).exp()
    noise = torch.randn(image.shape, generator=chance)
    return (image.float() + 127.5 * strength * noise).round().clamp(0, 255).to(torch.uint8)
