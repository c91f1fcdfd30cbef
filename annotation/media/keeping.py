"""Clips and reference images: taken into the store by content and prepared for people.

A file that a run of ours wrote is opened in this process; one of anybody else is copied first and
opened in the bounded child, which may die of it.
"""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from django.conf import settings
from django.core.files.base import File

from annotation.errors import MediaError
from annotation.media import bounded, images, probing, renditions
from annotation.media.images import Picture
from annotation.media.media_urls import image_url, poster_url, signature_holds, signed_url
from annotation.media.probing import Clip
from annotation.media.storage import media_storage
from annotation.models import Generator, Prompt, ReferenceImage, Video
from formats.files import sha256_of, write_atomically

__all__ = ["image_url", "poster_url", "signature_holds", "signed_url"]
_CHUNK: Final = 1 << 20
_FORGOTTEN: Final = 24 * 3600.0


# Where things lie: the key of a file in the storage, and on this machine.


def original_path(video: Video) -> Path:
    """The clip as it came, on this machine: what trainers read."""
    return media_storage().local(video.file, video.sha256)


def shown_path(video: Video) -> Path:
    """The clip as people see it, where the storage is a folder."""
    return Path(settings.MEDIA_ROOT) / shown_key(video.sha256)


def original_key(sha256: str) -> str:
    return f"videos/{sha256[:2]}/{sha256}.mp4"


def shown_key(sha256: str) -> str:
    return f"shown/{sha256[:2]}/{sha256}.mp4"


def poster_key(sha256: str) -> str:
    return f"posters/{sha256[:2]}/{sha256}.jpg"


def image_key(sha256: str) -> str:
    """Of the picture as people see it."""
    return f"shown/{sha256[:2]}/{sha256}.png"


def incoming() -> Path:
    """The folder of the server from which people may import."""
    return (Path(settings.MEDIA_ROOT) / "incoming").resolve()


def below_incoming(name: str) -> Path:
    """A file or folder below it; MediaError where the name leads elsewhere."""
    found = None if "\0" in name else (incoming() / name).resolve()
    if found is None or not found.is_relative_to(incoming()):
        raise MediaError(f"{name!r} must lie below the folder for imports (MEDIA_ROOT/incoming)")
    return found


def store_upload(upload: File[bytes]) -> str:
    """Keep an uploaded file below the folder for imports; give its name there, which is ours."""
    name = f"uploads/{uuid.uuid4()}{Path(upload.name or '').suffix.lower()[:8]}"
    write_atomically(incoming() / name, upload.chunks())
    return name


# Clips.


class Opener(Protocol):
    """What opens files: this process, or the bounded child."""

    def probe(self, file: Path) -> Clip: ...
    def render(self, file: Path, shown: Path, poster: Path, clip: Clip) -> None: ...
    def picture(self, file: Path, shown: Path) -> Picture: ...


class _Here:
    """This process, for files that it can trust."""

    def probe(self, file: Path) -> Clip:
        return probing.probe(file)

    def render(self, file: Path, shown: Path, poster: Path, clip: Clip) -> None:
        renditions.write_rendition(file, shown, clip)
        renditions.write_poster(file, poster)

    def picture(self, file: Path, shown: Path) -> Picture:
        return images.read_picture(file, shown)


def _opener(path: Path) -> Opener:
    return _Here() if is_ours(path) else bounded.shared()


def is_ours(path: Path) -> bool:
    """What runs left is ours and never changes; a person's file may be anything, at any time."""
    return path.resolve().is_relative_to(Path(settings.RUNS_ROOT).resolve())


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip whose files are in the store; rows may point to it."""

    file: str  # the key of the original: its place below MEDIA_ROOT where that is the storage
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
    known = known_clip(sha256_of(path)) if path.is_file() else None
    return known or _opener(path).probe(path)


def known_clip(sha256: str) -> Clip | None:
    """What a clip with this content is, if one was looked at before, flashes and all."""
    row = Video.objects.filter(sha256=sha256).exclude(phash="").first()
    return None if row is None else _clip_of(row)


def kept_clip(video: Video) -> KeptClip:
    """The clip of a row, whose files are in the store already."""
    return KeptClip(video.file, video.sha256, _clip_of(video))


def _clip_of(row: Video) -> Clip:
    return Clip(
        fps=row.fps,
        num_frames=row.num_frames,
        width=row.width,
        height=row.height,
        duration=row.duration,
        codec=row.meta.get("codec", ""),
        pixel_format=row.meta.get("pixel_format", ""),
        variable="constant_rate" in row.meta,
        rotated=row.meta.get("rotated", False),
        phash=row.phash,
        flashes=row.flashes,
        rate=row.meta.get("constant_rate", row.fps),
    )


def keep_clip(path: Path, clip: Clip, *, ours: bool | None = None) -> KeptClip:
    """Put the original, the copy for people and the poster into the store, by content.

    `ours`: the file is one that we made ourselves and that will not change; asked of its place
    where it is not given.
    """
    trusted = is_ours(path) if ours is None else ours
    if trusted:
        return _kept(path, sha256_of(path), clip, _Here())
    with quarantined(path) as (file, sha256):
        return _kept(file, sha256, clip, bounded.shared())


def _kept(file: Path, sha256: str, clip: Clip, opener: Opener) -> KeptClip:
    """The same for a file that does not change any more."""
    store = media_storage()
    store.put(file, original_key(sha256))
    if not (store.exists(shown_key(sha256)) and store.exists(poster_key(sha256))):
        with workplace() as folder:
            shown, poster = folder / "shown.mp4", folder / "poster.jpg"
            opener.render(file, shown, poster, clip)
            store.put(shown, shown_key(sha256))
            store.put(poster, poster_key(sha256))
    return KeptClip(original_key(sha256), sha256, clip)


def take(path: Path, child: bounded.Bounded) -> KeptClip:
    """Copy, measure, prepare and keep a stranger's file, all in one child."""
    with quarantined(path) as (file, sha256), workplace() as folder:
        shown, poster = folder / "shown.mp4", folder / "poster.jpg"
        try:
            clip = child.take(file, shown, poster)
        except MediaError as error:
            raise type(error)(error.message.replace(str(file), str(path))) from None
        store = media_storage()
        store.put(file, original_key(sha256))
        store.put(shown, shown_key(sha256))
        store.put(poster, poster_key(sha256))
    return KeptClip(original_key(sha256), sha256, clip)


@contextmanager
def quarantined(path: Path) -> Iterator[tuple[Path, str]]:
    """A copy that nobody changes, under a name of ours, with its sha256."""
    if not path.is_file():
        raise MediaError(f"the file {path} is missing")
    with workplace() as folder:
        copy = folder / uuid.uuid4().hex
        yield copy, write_atomically(copy, _chunks(path))


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder beside the store, so that what is made there can move in by a link."""
    root = Path(settings.MEDIA_ROOT) / "quarantine"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


def sweep_quarantine() -> None:
    """Remove what processes that were killed left there. No file is worked on for a day."""
    for folder in (Path(settings.MEDIA_ROOT) / "quarantine").glob("*"):
        with suppress(FileNotFoundError):  # its owner, or another sweep, was quicker
            if time.time() - folder.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(folder, ignore_errors=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


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
            "phash": clip.phash,
            "flashes": clip.flashes,
            "meta": {**(meta or {}), **_meta(clip)},
        },
    )
    return video


def _meta(clip: Clip) -> dict[str, Any]:
    found: dict[str, Any] = {"codec": clip.codec, "pixel_format": clip.pixel_format}
    if clip.variable:
        found["constant_rate"] = clip.rate  # that of the copy for people
    if clip.rotated:
        found["rotated"] = True
    return found


# Reference images.


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture whose files are in the store; a row may point to it."""

    file: str
    sha256: str
    width: int
    height: int


def store_reference_image(path: Path | str, *, original_path: str = "") -> ReferenceImage:
    """Take a picture into the store; the same picture again gives the same row.

    The original is kept for trainers; people see a copy of its pixels without metadata. Raises
    MediaError if it is not a still PNG, JPEG or WebP of a size that we show.
    """
    name = original_path or os.fspath(path)
    return register_picture(keep_picture(Path(path), name), original_path=name)


def keep_picture(path: Path, name: str) -> KeptPicture:
    """Put the original and the copy for people into the store; `name` is what people know it by."""
    with quarantined(path) as (file, sha256), workplace() as folder:
        known = ReferenceImage.objects.filter(sha256=sha256).first()
        if known is not None:
            return KeptPicture(known.file, sha256, known.width, known.height)
        shown = folder / "shown.png"
        try:
            picture = bounded.shared().picture(file, shown)
        except MediaError as error:
            raise MediaError(error.message.replace(str(file), name)) from None
        key = f"images/{sha256[:2]}/{sha256}"
        media_storage().put(file, key)
        media_storage().put(shown, image_key(sha256))
    return KeptPicture(key, sha256, picture.width, picture.height)


def register_picture(kept: KeptPicture, *, original_path: str) -> ReferenceImage:
    """The row of a kept picture: made, or the one that is there."""
    image, _ = ReferenceImage.objects.get_or_create(
        sha256=kept.sha256,
        defaults={
            "file": kept.file,
            "width": kept.width,
            "height": kept.height,
            "original_path": original_path[:1000],
        },
    )
    return image
