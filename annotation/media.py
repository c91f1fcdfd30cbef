"""Clips: kept by content, and shown through signed URLs that say nothing about them."""

import hmac
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.crypto import salted_hmac

from annotation.errors import MediaError
from annotation.models import Generator, Prompt, Video
from annotation.probing import Clip, probe
from annotation.renditions import write_rendition
from formats.files import fsync_folder, sha256_of, write_atomically

_CHUNK: Final = 1 << 20
_PURPOSE: Final = "annotation.media"


def original_path(video: Video) -> Path:
    """The clip as it came: what trainers read."""
    return Path(settings.MEDIA_ROOT) / video.file


def shown_path(video: Video) -> Path:
    """The clip as people see it (`renditions`)."""
    return _shown(video.sha256)


def _shown(sha256: str) -> Path:
    return Path(settings.MEDIA_ROOT) / "shown" / sha256[:2] / f"{sha256}.mp4"


def store_video(
    path: Path | str,
    *,
    prompt: Prompt,
    generator: Generator | None = None,
    seed: int | None = None,
    original_path: str = "",
    meta: Mapping[str, Any] | None = None,
) -> Video:
    """Take a clip into the store and give its row; the same clip again gives the same row.

    Raises MediaError if the file is missing, is not a clip, or is larger than we show.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"the clip {path} is missing")
    sha256 = sha256_of(path)
    same = {"prompt": prompt, "sha256": sha256, "generator": generator, "seed": seed}
    known = Video.objects.filter(**same).first()
    if known is not None and _shown(sha256).is_file():
        return known
    clip = probe(path)
    file = _keep_original(path, sha256)
    if not _shown(sha256).is_file():
        write_rendition(Path(settings.MEDIA_ROOT) / file, _shown(sha256), clip)
    video, _ = Video.objects.get_or_create(
        **same, defaults=_columns(clip, file, original_path, meta)
    )
    return video


def _columns(
    clip: Clip, file: str, original_path: str, meta: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "file": file,
        "original_path": original_path,
        "fps": clip.fps,
        "num_frames": clip.num_frames,
        "width": clip.width,
        "height": clip.height,
        "duration": clip.duration,
        "meta": {**(meta or {}), "codec": clip.codec, "pixel_format": clip.pixel_format},
    }


def _keep_original(path: Path, sha256: str) -> str:
    """Put the file under its content's name; give that name, relative to MEDIA_ROOT."""
    name = f"videos/{sha256[:2]}/{sha256}.mp4"
    target = Path(settings.MEDIA_ROOT) / name
    if target.is_file():
        return name
    target.parent.mkdir(parents=True, exist_ok=True)
    if _is_ours(path) and _linked(path, target):
        return name
    if write_atomically(target, _chunks(path)) != sha256:
        target.unlink()
        raise MediaError(f"the clip {path} changed while it was read; try again")
    return name


def _is_ours(path: Path) -> bool:
    """Files of a run never change, so a link is safe; a person's file may be edited in place."""
    return path.resolve().is_relative_to(Path(settings.RUNS_ROOT).resolve())


def _linked(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except FileExistsError:
        return True  # somebody stored the same clip just now
    except OSError:  # another file system, or one without links
        return False
    fsync_folder(target.parent)
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def signed_url(video_id: uuid.UUID | str, user: User) -> str:
    """A URL under which this person alone may fetch this clip, for 1 to 2 buckets of time.

    The end falls on a bucket's edge, so the URL, and the browser's cache, stay the same within a
    bucket (RELIABILITY 3d).
    """
    bucket = settings.TIEBREAK_MEDIA_URL_SECONDS
    expires = int((time.time() // bucket + 2) * bucket)
    return f"/v/{video_id}?x={expires}&s={_signature(video_id, user, expires)}"


def signature_holds(video_id: uuid.UUID | str, user: User, expires: str, signature: str) -> bool:
    """Whether this person was given this URL and its time has not run out."""
    if not (expires.isascii() and expires.isdigit() and len(expires) < 15):
        return False
    wanted = _signature(video_id, user, int(expires))
    good = hmac.compare_digest(wanted.encode(), signature.encode())
    return good and time.time() < int(expires)


def _signature(video_id: uuid.UUID | str, user: User, expires: int) -> str:
    message = f"{video_id}|{user.pk}|{expires}"
    return salted_hmac(_PURPOSE, message, algorithm="sha256").hexdigest()[:40]
