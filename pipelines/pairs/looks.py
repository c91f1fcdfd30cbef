"""What the store knows of the clips that pairs are made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from django.conf import settings

from annotation.errors import MediaError
from annotation.media import bounded
from annotation.media.overlays import Overlays, overlays_of
from annotation.media.storage import media_storage
from annotation.models import Video
from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.records import VideoRef

OVERLAYS: Final = "overlays/1"  # another number whenever the detector sees otherwise
_AT_ONCE: Final = 500  # values in one SQL statement


@dataclass(frozen=True, slots=True)
class Stored:
    """A clip by content: its key in the store and its size; whether every row of it is withdrawn,
    and whether a run of ours has made it."""

    file: str
    size: tuple[int, int]
    withdrawn: bool
    ours: bool


class StoredClips:
    """The clips with these contents, read in a few queries; pixels are looked at when asked for.

    `between` is called before a clip is decoded, with how many were, so that a run can be stopped.
    """

    def __init__(self, sha256s: Iterable[str], between: Callable[[int], None] = lambda _seen: None):
        self._clips = _stored(sorted(set(sha256s)))
        self._overlays: dict[str, Overlays] = {}
        self._between = between

    @property
    def withdrawn(self) -> frozenset[str]:
        return frozenset(sha256 for sha256, each in self._clips.items() if each.withdrawn)

    def located(self, video: VideoRef) -> VideoRef:
        """The same clip with its path below the media root."""
        return replace(video, path=self._of(video).file)

    def size(self, video: VideoRef) -> tuple[int, int]:
        return self._of(video).size

    def overlays(self, video: VideoRef) -> Overlays:
        """Looked at once per content, and kept for later runs."""
        if video.sha256 not in self._overlays:
            self._between(len(self._overlays))
            self._overlays[video.sha256] = _kept(video) or self._looked_at(video)
        return self._overlays[video.sha256]

    def _looked_at(self, video: VideoRef) -> Overlays:
        """A stranger's file is opened in the bounded child."""
        path, ours = self.opened(video)
        look = overlays_of if ours else bounded.shared().overlays
        try:
            found = look(path)
        except MediaError as error:
            raise FormatError(
                f"clip {video.id!r} cannot be looked at for a watermark: {error.message}"
            ) from error
        write_json(_file(video), OVERLAYS, found.to_json())
        return found

    def opened(self, video: VideoRef) -> tuple[Path, bool]:
        """The file on this machine, and whether a run of ours has made it."""
        stored = self._of(video)
        try:
            return media_storage().local(stored.file, video.sha256), stored.ours
        except (MediaError, OSError) as error:
            raise FormatError(f"clip {video.id!r} is not in the store: {error}") from error

    def _of(self, video: VideoRef) -> Stored:
        found = self._clips.get(video.sha256)
        if found is None:
            raise FormatError(
                f"clip {video.id!r} is not in the store; its run has not registered it"
            )
        return found


def _file(video: VideoRef) -> Path:
    return Path(settings.MEDIA_ROOT) / "overlays" / video.sha256[:2] / f"{video.sha256}.json"


def _kept(video: VideoRef) -> Overlays | None:
    """What an earlier run saw; nothing where its file is of another version, or damaged."""
    try:
        return Overlays.from_json(read_json(_file(video), OVERLAYS))
    except (FormatError, KeyError, TypeError, ValueError):
        return None


def _stored(sha256s: list[str]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for start in range(0, len(sha256s), _AT_ONCE):
        rows = Video.objects.filter(sha256__in=sha256s[start : start + _AT_ONCE])
        for sha256, file, width, height, withdrawn, meta in rows.values_list(
            "sha256", "file", "width", "height", "withdrawn", "meta"
        ):
            known = found.get(sha256)
            found[sha256] = Stored(
                file,
                (width, height),
                withdrawn=withdrawn and (known is None or known.withdrawn),
                ours="run" in meta or (known is not None and known.ours),
            )
    return found
