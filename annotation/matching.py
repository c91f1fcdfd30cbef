"""Which clips the rows of an import mean: files of its source, or clips that are here already."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from annotation.duplicates import Sides
from annotation.errors import MediaError
from annotation.faults import Faults
from annotation.media import measured
from annotation.models import Prompt, Video, prompt_sha256
from annotation.probing import Clip
from annotation.rows import NamedClip, Row
from annotation.sources import Source
from formats.files import sha256_of

_BATCH: Final = 500


@dataclass(slots=True)
class Found:
    """By the name of a clip in the rows: its file or its row here, and the digest of its bytes."""

    files: dict[str, Path] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    images: dict[str, Path] = field(default_factory=dict)
    clips: dict[str, Clip] = field(default_factory=dict)  # decoded once per path

    def prompt_of(self, row: Row) -> str:
        image = self.digests[row.image] if row.image else ""
        video = self.videos.get(row.a.video)
        return video.prompt.sha256 if video else prompt_sha256(row.prompt, image)

    def sides_of(self, row: Row) -> Sides:
        b = self.digests[row.b.name] if row.b else ""
        return Sides(self.prompt_of(row), self.digests[row.a.name], b)


def match(rows: Sequence[Row], source: Source, faults: Faults) -> tuple[list[Row], Found]:
    """Find all that the rows name; the rows, those of stored clips with their prompts."""
    found = Found(videos=_stored(rows))
    for row in rows:
        for clip in row.clips:
            _find(clip, row.line, source, found, faults)
        if row.image:
            _find_file(row.image, row.line, "image", source, found, faults)
            found.images[row.image] = found.files.get(row.image, Path())
    whole = [_with_prompt(row, found, faults) for row in rows]
    faults.refuse()
    return whole, found


def _find(clip: NamedClip, line: int, source: Source, found: Found, faults: Faults) -> None:
    if clip.path:
        _find_file(clip.path, line, "clip", source, found, faults)
    elif clip.video in found.videos:
        found.digests[clip.video] = found.videos[clip.video].sha256
    else:
        faults.add(line, f"there is no clip {clip.video} here")


def _find_file(
    path: str, line: int, what: str, source: Source, found: Found, faults: Faults
) -> None:
    if path in found.digests:
        return
    file = source.file_of(path)
    if file is None:
        faults.add(line, f"the {what} {path} is missing")
        return
    found.files[path] = file
    found.digests[path] = sha256_of(file)


def _stored(rows: Sequence[Row]) -> dict[str, Video]:
    wanted = list({clip.video for row in rows for clip in row.clips if clip.video})
    videos: dict[str, Video] = {}
    for start in range(0, len(wanted), _BATCH):
        some = Video.objects.filter(pk__in=wanted[start : start + _BATCH], withdrawn=False)
        videos |= {str(video.pk): video for video in some.select_related("prompt")}
    return videos


def _with_prompt(row: Row, found: Found, faults: Faults) -> Row:
    """Stored clips know the prompt that they were made for; what the row says must agree."""
    prompts: list[Prompt] = [
        found.videos[clip.video].prompt for clip in row.clips if clip.video in found.videos
    ]
    if not prompts:
        return row
    texts = {row.prompt or prompts[0].text, *(prompt.text for prompt in prompts)}
    if len({prompt.pk for prompt in prompts}) > 1 or len(texts) > 1:
        faults.add(row.line, "the clips were made for different prompts; expected one")
    return replace(row, prompt=prompts[0].text)


def probe_all(rows: Sequence[Row], source: Source, found: Found, faults: Faults) -> None:
    """Decode each file once; a clip that cannot be shown is a fault of the row that names it."""
    broken: set[str] = set()
    for row in rows:
        for clip in row.clips:
            if not clip.path or clip.path in found.clips or clip.path in broken:
                continue
            try:
                found.clips[clip.path] = measured(found.files[clip.path])
            except MediaError as error:
                broken.add(clip.path)
                message = error.message.replace(str(found.files[clip.path]), clip.path)
                faults.add(row.line, source.plain(message))
    faults.refuse()


def false_numbers(
    name: str, rows: Sequence[Row], clip_of: Callable[[NamedClip], Clip | Video]
) -> Iterator[str]:
    """Rates and lengths that the file gives otherwise than the clips are; the clips are right."""
    for row in rows:
        for side, clip in zip("AB", row.clips, strict=False):
            for column, said in clip.numbers.items():
                true = getattr(clip_of(clip), column)
                if abs(said - true) > 0.01:
                    tail = f"_{side}" if row.b else ""
                    yield (
                        f"{name}:{row.line}: {column}{tail} is {said:g}, but the clip {clip.name}"
                        f" has {true:g}"
                    )
