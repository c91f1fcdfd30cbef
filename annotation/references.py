"""Reference images: the picture that an image-to-video generator started from."""

from pathlib import Path

from annotation.media import store_reference_image
from annotation.models import ReferenceImage


def keep_image(path: Path, *, name: str = "") -> ReferenceImage:
    """Take a picture into the store and give its row; the same picture gives the same row."""
    return store_reference_image(path, original_path=name)
