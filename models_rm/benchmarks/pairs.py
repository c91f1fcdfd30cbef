"""The pairs of a published benchmark, whatever file they came in."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from formats.errors import FormatError

OVERALL: Final = "Overall"
VOTE: Final = "vote"
REWARDBENCH: Final = "videogen_rewardbench"
GENAI: Final = "genai_bench"

Key = tuple[str, str]  # (path, prompt): what one score belongs to


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of a benchmark. `labels`: +1 A is better, 0 tie, -1 B; a dimension that people
    found invalid is not there."""

    line: int
    path_a: str
    path_b: str
    prompt: str
    model_a: str
    model_b: str
    labels: Mapping[str, int]

    @property
    def a(self) -> Key:
        return self.path_a, self.prompt

    @property
    def b(self) -> Key:
        return self.path_b, self.prompt


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip under one prompt. The same file under two prompts is two of them."""

    path: str
    prompt: str
    generator: str

    @property
    def key(self) -> Key:
        return self.path, self.prompt


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`name` is the format; `columns` are what people judged, in the order of the file."""

    name: str
    columns: tuple[str, ...]
    pairs: tuple[Pair, ...]

    def clips(self) -> list[Clip]:
        """Every (video, prompt) once, in the order of the file."""
        return list(dict.fromkeys(_sides(self.pairs)))


def _sides(pairs: Iterable[Pair]) -> Iterable[Clip]:
    for pair in pairs:
        yield Clip(pair.path_a, pair.prompt, pair.model_a)
        yield Clip(pair.path_b, pair.prompt, pair.model_b)


def clip_path(text: str, *, file: Path, line: int) -> str:
    """A path as it joins with other files: `./videos/a.mp4` and `videos/a.mp4` are one.

    An address on the web stays as it is. A path that leaves the folder of the videos is refused.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise FormatError("the path of a clip is empty", path=file, line=line)
    if is_address(text):
        return text
    path = posixpath.normpath(text.replace("\\", "/"))
    if path.startswith(("/", "../")) or path in ("..", "."):
        raise FormatError(
            f"the path {text!r} leads out of the folder of the videos", path=file, line=line
        )
    return path


def is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def located(folder: Path, clip: Clip) -> Path:
    """Where a clip lies below the folder of the videos; a place that need not exist.

    Clips that a benchmark names by an address are looked for as `<generator>_<name>`,
    `<generator>/<name>`, and `<name>`: generators use the same names.
    """
    if not is_address(clip.path):
        return folder / clip.path
    name = posixpath.basename(unquote(urlsplit(clip.path).path))
    places = [f"{clip.generator}_{name}", f"{clip.generator}/{name}", name]
    inside = [folder / place for place in places if ".." not in place.split("/")]
    return next((place for place in inside if place.is_file()), inside[0] if inside else folder)
