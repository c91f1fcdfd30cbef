"""Clips: kept by content, and shown through signed URLs that say nothing about them."""

import hmac
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip whose files are in the store; rows may point to it."""

    file: str  # the original, relative to MEDIA_ROOT
    sha256: str
    clip: Clip


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
    kept = keep_clip(path, measured(path))
    return register_clip(
        kept, prompt=prompt, generator=generator, seed=seed, original_path=original_path, meta=meta
    )


def measured(path: Path) -> Clip:
    """Decode the clip, or remember what decoding the same bytes has shown before."""
    known = Video.objects.filter(sha256=sha256_of(path)).first() if path.is_file() else None
    if known is None:
        return probe(path)
    return Clip(
        fps=known.fps,
        num_frames=known.num_frames,
        width=known.width,
        height=known.height,
        duration=known.duration,
        codec=known.meta.get("codec", ""),
        pixel_format=known.meta.get("pixel_format", ""),
    )


def keep_clip(path: Path, clip: Clip) -> KeptClip:
    """Put the original and the copy for people into the store, each under its content's name."""
    sha256 = sha256_of(path)
    file = _keep_original(path, sha256)
    if not _shown(sha256).is_file():
        write_rendition(Path(settings.MEDIA_ROOT) / file, _shown(sha256), clip)
    return KeptClip(file, sha256, clip)


def register_clip(
    kept: KeptClip,
    *,
    prompt: Prompt,
    generator: Generator | None = None,
    seed: int | None = None,
    original_path: str = "",
    meta: Mapping[str, Any] | None = None,
) -> Video:
    """The row of a kept clip as the answer to this prompt: made, or the one that is there."""
    clip = kept.clip
    video, _ = Video.objects.get_or_create(
        prompt=prompt,
        sha256=kept.sha256,
        generator=generator,
        seed=seed,
        defaults={
            "file": kept.file,
            "original_path": original_path,
            "fps": clip.fps,
            "num_frames": clip.num_frames,
            "width": clip.width,
            "height": clip.height,
            "duration": clip.duration,
            "meta": {**(meta or {}), "codec": clip.codec, "pixel_format": clip.pixel_format},
        },
    )
    return video


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
