"""Which files programs may send: their names, endings, sizes; and how a refusal is called."""

import re
from typing import Final

from django.conf import settings

from annotation.errors import AnnotationError, ImportRefused, VoteConflict
from annotation.imports.table_files import SUFFIXES as TABLES

CLIPS: Final = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".3gp", ".avi", ".gif")
IMAGES: Final = (".png", ".jpg", ".jpeg", ".webp")
TEXTS: Final = (".txt", ".json", ".md")
ACCEPTED: Final = (*CLIPS, *IMAGES, *TABLES, *TEXTS, ".zip")
_LONGEST: Final = 200  # bytes of a name; a file system takes 255, and ours are longer meanwhile
_NAME: Final = re.compile(r"[\w(][\w ()+,=@.-]{0,99}(?:/[\w(][\w ()+,=@.-]{0,99}){0,4}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class UploadRefused(ImportRefused):
    """A file cannot be sent like this."""

    code = "bad_upload"


class UploadOutOfStep(VoteConflict):
    """A part does not begin where the upload ends; `received` says where that is."""

    code = "out_of_step"


class DiskFull(AnnotationError):
    status = 507
    code = "disk_full"


def check(name: str, size: int, sha256: str) -> None:
    """UploadRefused, in one sentence, for what cannot be sent."""
    _check_name(name)
    most = int(settings.TIEBREAK_UPLOAD_GB * (1 << 30))
    if not 0 < size <= most:
        raise UploadRefused(
            f"{name} has {size} bytes; expected 1 to {most} (TIEBREAK_UPLOAD_GB of this site)."
        )
    if not _SHA256.fullmatch(sha256):
        raise UploadRefused(f"sha256 must be 64 small hex digits, got {sha256[:80]!r}.")


def _check_name(name: str) -> None:
    parts = name.split("/")
    plain = not any(part.endswith((".", " ")) or len(part.encode()) > _LONGEST for part in parts)
    if not plain or not _NAME.fullmatch(name):
        raise UploadRefused(
            f"The name {name[:120]!r} cannot be taken: expected a file, in at most four folders,"
            " of letters, digits and ( ) + , = @ . - _ or blanks, none beginning with a point."
        )
    if not name.lower().endswith(ACCEPTED):
        raise UploadRefused(
            f"{name[:120]!r} is no clip, image, table or archive; expected {', '.join(ACCEPTED)}."
        )
