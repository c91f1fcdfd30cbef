"""A report as one HTML file that needs nothing else: styles, charts and posters lie inside it.

No script, nothing that is fetched. Links lead to the site that wrote it. Clips are links, or lie
inside as well where they are small enough.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.template.loader import render_to_string

from annotation.errors import MediaError
from annotation.media.keeping import image_key, poster_key, shown_key
from annotation.media.storage import media_storage
from pipelines.models import Artifact
from pipelines.reports.page import context

LINKED, EMBEDDED = "linked", "embedded"
STYLES: Final = ("tokens", "base", "dashboards", "runs", "report")  # of static/css, in this order
MOST_OF_A_CLIP: Final = 2 << 20  # bytes
MOST: Final = 32 << 20  # of all clips together: a file that can still be sent by mail in parts
_POSTER: Final = 512 << 10


@dataclass(slots=True)
class Inside:
    """What lies inside the file: addresses of the site give way to data."""

    clips: bool
    used: int = 0
    left_out: int = 0

    def poster(self, sha256: str) -> str:
        """Empty where the store has none."""
        found = _read(poster_key(sha256), _POSTER)
        return _data("image/jpeg", found) if found else ""

    def picture(self, sha256: str) -> str:
        """The start image of image-to-video, as people see it."""
        found = _read(image_key(sha256), _POSTER)
        return _data("image/png", found) if found else ""

    def clip(self, sha256: str) -> str:
        """Empty where clips stay links, or where this one is too large."""
        if not self.clips:
            return ""
        found = _read(shown_key(sha256), min(MOST_OF_A_CLIP, MOST - self.used))
        if found is None:
            self.left_out += 1
            return ""
        self.used += len(found)
        return _data("video/mp4", found)


def _read(key: str, most: int) -> bytes | None:
    storage = media_storage()
    try:
        if not storage.exists(key) or (size := storage.size(key)) > most:
            return None
        return b"".join(storage.read(key, 0, size))
    except (MediaError, OSError):
        return None  # taken out at this very moment


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def report_file(
    artifact: Artifact, report: Mapping[str, Any], user: User, *, site: str, clips: str
) -> str:
    """`site`: where links lead, such as https://tiebreak.example. `clips`: linked or embedded."""
    shown = context(artifact, report, user)
    inside = Inside(clips=clips == EMBEDDED)
    media = {
        sha256: {"poster": inside.poster(sha256), "clip": inside.clip(sha256)}
        for sha256 in _clips(shown["candidates"])
    }
    starts = {pair.start_sha256 for each in shown["candidates"] for pair in each.pairs} - {""}
    media |= {sha256: {"picture": inside.picture(sha256)} for sha256 in sorted(starts)}
    return render_to_string(
        "pipelines/report_file.html",
        {
            **shown,
            "file": True,
            "site": site,
            "styles": styles(),
            "media": media,
            "left_out": inside.left_out,
        },
    )


def _clips(candidates: Iterable[Any]) -> list[str]:
    shown = (
        clip.sha256
        for each in candidates
        for pair in each.pairs
        for clip in (pair.base, pair.candidate)
    )
    return list(dict.fromkeys(shown))


def styles() -> str:
    """The style sheets of the page as one text. `</` would end the element that they stand in."""
    folder = Path(settings.BASE_DIR) / "static" / "css"
    text = "\n".join((folder / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    return text.replace("</", "<\\/")
