"""Reference images: the picture that an image-to-video generator started from.

The original is kept, hashed, for trainers; people see a copy of its pixels without metadata.
"""

from pathlib import Path

from django.conf import settings

from annotation.errors import MediaError
from annotation.images import read_picture
from annotation.models import ReferenceImage
from formats.files import sha256_of, write_atomically


def keep_image(path: Path, *, name: str = "") -> ReferenceImage:
    """Take a picture into the store and give its row; the same picture gives the same row."""
    sha256 = sha256_of(path)
    known = ReferenceImage.objects.filter(sha256=sha256).first()
    if known is not None:
        return known
    try:
        picture = read_picture(path, shown_image(sha256))
    except MediaError as error:
        raise MediaError(error.message.replace(str(path), name or path.name)) from None
    file = f"images/{sha256[:2]}/{sha256}{Path(name or path.name).suffix.lower()}"
    write_atomically(Path(settings.MEDIA_ROOT) / file, [path.read_bytes()])
    image, _ = ReferenceImage.objects.get_or_create(
        sha256=sha256,
        defaults={
            "file": file,
            "width": picture.width,
            "height": picture.height,
            "original_path": name[:1000],
        },
    )
    return image


def shown_image(sha256: str) -> Path:
    """What people see: PNG, the pixels alone."""
    return Path(settings.MEDIA_ROOT) / "shown" / sha256[:2] / f"{sha256}.png"
