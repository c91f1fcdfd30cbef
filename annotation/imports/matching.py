"""Which clips the rows of an import mean: files of its source, or clips that are here already."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotation.errors import MediaError
from annotation.imports.duplicates import Sides
from annotation.imports.faults import Faults
from annotation.imports.places import Places
from annotation.imports.rows import NamedClip, Row
from annotation.imports.sources import Source
from annotation.media.keeping import KeptClip, KeptPicture, keep_picture, measured
from annotation.media.probing import Clip
from annotation.media.residents import here_by_content, here_by_id, pictures_here
from annotation.models import Prompt, ReferenceImage, Video, prompt_sha256
from formats.files import sha256_of


@dataclass(slots=True)
class Found:
    """By the name of a clip in the rows: its file or its row here, and the digest of its bytes."""

    files: dict[str, Path] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    images: dict[str, Path] = field(default_factory=dict)
    clips: dict[str, Clip] = field(default_factory=dict)  # decoded once per path
    # Clips and pictures that are here under the content that a row names; no file came with them.
    contents: dict[str, KeptClip] = field(default_factory=dict)  # by sha256
    kept: dict[str, KeptClip] = field(default_factory=dict)
    pictures: dict[str, ReferenceImage] = field(default_factory=dict)  # by sha256

    def prompt_of(self, row: Row) -> str:
        image = row.image_sha256 or (self.digests[row.image] if row.image else "")
        video = self.videos.get(row.a.video)
        return video.prompt.sha256 if video else prompt_sha256(row.prompt, image)

    def sides_of(self, row: Row) -> Sides:
        b = self.digests[row.b.name] if row.b else ""
        return Sides(self.prompt_of(row), self.digests[row.a.name], b)


def match(rows: Sequence[Row], source: Source, faults: Faults) -> tuple[list[Row], Found]:
    """Find all that the rows name; the rows, those of stored clips with their prompts."""
    found = here(rows)
    rows = [known_by_id(row, found) for row in rows]
    for row in rows:
        for clip in row.clips:
            _find(clip, row.line, source, found, faults)
        _find_image(row, source, found, faults)
    whole = [_with_prompt(row, found, faults) for row in rows]
    faults.refuse()
    return whole, found


def here(rows: Sequence[Row]) -> Found:
    """What is here already of all that the rows name."""
    clips = [clip for row in rows for clip in row.clips]
    return Found(
        videos=here_by_id({clip.video for clip in clips} | {clip.hint for clip in clips}),
        contents=here_by_content({clip.sha256 for clip in clips}),
        pictures=pictures_here({row.image_sha256 for row in rows}),
    )


def known_by_id(row: Row, found: Found) -> Row:
    """A clip that comes home, under the id that it had: its row here knows generator and seed."""
    home = [_home(clip, row.prompt, found) for clip in row.clips]
    return replace(row, a=home[0], b=home[1] if row.b else None) if row.a.hint else row


def _home(clip: NamedClip, prompt: str, found: Found) -> NamedClip:
    video = found.videos.get(clip.hint)
    if video is None or (video.sha256, video.prompt.text) != (clip.sha256, prompt):
        return clip
    return NamedClip(video=clip.hint, numbers=clip.numbers)


def _find(clip: NamedClip, line: int, source: Source, found: Found, faults: Faults) -> None:
    if clip.video in found.videos:
        found.digests[clip.video] = found.videos[clip.video].sha256
    elif clip.video:
        faults.add(line, f"there is no clip {clip.video} here")
    else:
        _find_content(clip, line, source, found, faults)


def _find_content(clip: NamedClip, line: int, source: Source, found: Found, faults: Faults) -> None:
    """A file of the source; else the clip with this content that is here."""
    name = clip.name
    if name not in found.digests:
        _look_for(clip, source, found)
    digest = found.digests.get(name)
    if digest is None and clip.sha256:
        faults.add(line, f"the clip {name} is missing, and no clip here has its content (sha256)")
    elif digest is None:
        faults.add(line, f"the clip {name} is missing")
    elif clip.sha256 not in ("", digest):
        what = f"the clip {name} has other content than the file says: its sha256 is {digest[:12]}…"
        faults.add(line, what)


def _look_for(clip: NamedClip, source: Source, found: Found) -> None:
    file = source.file_of(clip.path) if clip.path else None
    if file is None and clip.sha256 in found.contents:
        kept = found.kept[clip.name] = found.contents[clip.sha256]
        found.clips[clip.name], found.digests[clip.name] = kept.clip, kept.sha256
        return
    if file is None and clip.sha256:
        file = source.with_content(clip.sha256)
    if file is not None:
        found.files[clip.name] = file
        found.digests[clip.name] = sha256_of(file)


def _find_image(row: Row, source: Source, found: Found, faults: Faults) -> None:
    """The picture may be here already; a file of the source is taken where it is not."""
    if row.image_sha256 in found.pictures or not (row.image or row.image_sha256):
        return
    file = None
    if row.image and row.image not in found.digests:
        file = source.file_of(row.image)
    if file is not None:
        found.files[row.image] = found.images[row.image] = file
        found.digests[row.image] = sha256_of(file)
    digest = found.digests.get(row.image)
    if digest is None:
        faults.add(row.line, f"the image {row.image or row.image_sha256} is missing")
    elif row.image_sha256 not in ("", digest):
        faults.add(row.line, f"the image {row.image} has other content than the file says")


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
            name = clip.name
            if clip.video or name in found.clips or name in broken:
                continue
            try:
                found.clips[name] = measured(found.files[name])
            except MediaError as error:
                broken.add(name)
                message = error.message.replace(str(found.files[name]), name)
                faults.add(row.line, source.plain(message))
    faults.refuse()


def keep_images(
    rows: Sequence[Row], source: Source, found: Found, faults: Faults
) -> dict[str, KeptPicture]:
    """Put the pictures that are new into the store; by sha256.

    Before any row is written: each is decoded, and nobody's vote may wait for that.
    """
    found.pictures |= pictures_here({found.digests[name] for name in found.images})
    seen = set(found.pictures)
    kept: dict[str, KeptPicture] = {}
    for row in rows:
        digest = found.digests[row.image] if row.image in found.images else ""
        if not digest or digest in seen:
            continue
        seen.add(digest)
        try:
            kept[digest] = keep_picture(found.images[row.image], row.image)
        except MediaError as error:
            faults.add(row.line, source.plain(error.message))
    faults.refuse()
    return kept


def false_numbers(
    places: Places, rows: Sequence[Row], clip_of: Callable[[NamedClip], Clip | Video]
) -> Iterator[str]:
    """Rates and lengths that the file gives otherwise than the clips are; the clips are right."""
    for row in rows:
        for side, clip in zip("AB", row.clips, strict=False):
            for column, said in clip.numbers.items():
                true = getattr(clip_of(clip), column)
                if abs(said - true) > 0.01:
                    tail = f"_{side}" if row.b else ""
                    yield (
                        f"{places.told(row.line)}: {column}{tail} is {said:g}, but the clip"
                        f" {clip.name} has {true:g}"
                    )
