"""One row of a file to import, whatever the format: from cells to checked values.

Pure: no database, no clip is opened. The columns are described in docs/importing.md.
"""

import math
import re
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from annotation.imports.behind import NOTHING, Behind, read_label, shared
from formats.errors import FormatError
from formats.labels import Label, from_videoalign

MAX_PROMPT: Final = 10_000  # characters
MAX_PATH: Final = 1000
MAX_PRIORITY: Final = 1000
LANGUAGES: Final = ("en", "zh-hans", "ja", "ko")
_SEED: Final = re.compile(r"-?[0-9]{1,19}")
_MAX_SEED: Final = 2**63 - 1  # what the database holds
_PRIORITY: Final = re.compile(r"-?[0-9]{1,4}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Values = Mapping[str, Any]


class Layout(StrEnum):
    """What a row of the file names."""

    PAIRS = "pairs"  # path_A, path_B
    STORED_PAIRS = "stored pairs"  # video_A, video_B: ids of clips that are here already
    CLIPS = "clips"  # path
    STORED_CLIPS = "stored clips"  # video

    @property
    def single(self) -> bool:
        return self in {Layout.CLIPS, Layout.STORED_CLIPS}

    @property
    def stored(self) -> bool:
        return self in {Layout.STORED_PAIRS, Layout.STORED_CLIPS}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that name the clips."""
        word = "video" if self.stored else "path"
        return (word,) if self.single else (f"{word}_A", f"{word}_B")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the columns of a file say about all of its rows."""

    layout: Layout
    dimensions: tuple[str, ...]
    labelled: bool  # the rows bring their labels, or their scores where clips stand alone
    # From another site: labels in our words and not on every dimension, clips by content alone.
    travelled: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        if self.travelled:
            return ("prompt",)
        prompt = () if self.layout.stored else ("prompt",)
        return (*self.layout.columns, *prompt, *(self.judged if self.labelled else ()))

    @property
    def judged(self) -> tuple[str, ...]:
        """The columns that say what people thought."""
        if self.travelled:
            return tuple(map(label_of, self.dimensions))
        if self.layout.single:
            return tuple(f"MOS_{key}" for key in self.dimensions)
        return self.dimensions

    @property
    def scores(self) -> tuple[str, ...]:
        sides = ("",) if self.layout.single else ("_A", "_B")
        return tuple(f"MOS{side}_{key}" for key in self.dimensions for side in sides)

    @property
    def known(self) -> frozenset[str]:
        """All columns that are read."""
        of_clip = ("fps", "num_frames", "seed", "sha256")
        sides = ("",) if self.layout.single else ("_A", "_B")
        models = ("model",) if self.layout.single else ("A_model", "B_model")
        scores = self.scores if self.labelled else ()
        return frozenset(
            (
                *(*self.needed, "prompt", *models, *scores, "pair_id", "image_path", "category"),
                "image_sha256",
                *(f"{name}{side}" for name in of_clip for side in sides),
                *(f"prompt_{language}" for language in LANGUAGES),
                "priority",
            )
        )


@dataclass(frozen=True, slots=True)
class NamedClip:
    """A clip as a row names it: by a path below the folder of the clips, by its id here, or by what
    is in it."""

    path: str = ""  # normalised: "./videos//x.mp4" and "videos/x.mp4" are one clip
    video: str = ""
    sha256: str = ""
    hint: str = ""  # the id that it had where the file was written
    given: str = ""  # the path as it was written
    generator: str = ""
    seed: int | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)  # fps, num_frames as the file says

    @property
    def name(self) -> str:
        return self.path or self.video or self.sha256


@dataclass(frozen=True, slots=True)
class Row:
    """One checked row. `text` and `line_end` are the row as it came, where it was CSV."""

    line: int
    prompt: str
    a: NamedClip
    b: NamedClip | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    scores_a: Mapping[str, float] = field(default_factory=dict)
    scores_b: Mapping[str, float] = field(default_factory=dict)
    image: str = ""
    image_sha256: str = ""
    category: str = ""
    translations: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    pair_id: str = ""
    text: str = ""
    line_end: str = "\n"
    behind: Behind = NOTHING

    @property
    def clips(self) -> tuple[NamedClip, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


def read_row(line: int, values: Values, shape: Shape) -> Row:
    """The row of these cells; FormatError says in a sentence what is wrong with one of them."""
    missing = [name for name in shape.needed if name not in values]
    if missing:
        raise FormatError(f"{missing[0]!r} is missing; expected {', '.join(shape.needed)}")
    judged = {name: _cell(name, value) for name, value in values.items()}
    # A dimension may be called `category`: its column is a label then and nothing else.
    of_people = shape.judged if shape.labelled else ()
    cells = {name: text for name, text in judged.items() if name not in of_people}
    clips = [_clip(cells, side, shape) for side in _sides(shape)]
    scores = [_scores(judged, side, shape) for side in _sides(shape)]
    return Row(
        line=line,
        prompt=_prompt(cells, shape),
        a=clips[0],
        b=None if shape.layout.single else clips[1],
        labels=_labels(judged, shape),
        scores_a=scores[0],
        scores_b={} if shape.layout.single else scores[1],
        image=_path(cells, "image_path") if cells.get("image_path") else "",
        image_sha256=_sha256(cells, "image_sha256"),
        category=_short(cells, "category", 64),
        translations=_translations(cells),
        priority=int(_matching(cells, "priority", _PRIORITY, "a whole number") or 0),
        pair_id=_short(cells, "pair_id", 200),
    )


def _sides(shape: Shape) -> Sequence[str]:
    return ("",) if shape.layout.single else ("A", "B")


def _cell(name: str, value: Any) -> str:
    """A cell as text; the formats that have types say the same as CSV does."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FormatError(f"{name} is {str(value)[:40]!r}; expected text or a number")
    text = str(value)
    if "\0" in text:
        raise FormatError(f"{name} has a NUL character")
    return text


def _clip(cells: Mapping[str, str], side: str, shape: Shape) -> NamedClip:
    layout, tail = shape.layout, f"_{side}" if side else ""
    column = f"{'video' if layout.stored else 'path'}{tail}"
    sha256 = _sha256(cells, f"sha256{tail}")
    by_content = shape.travelled and sha256 and not cells.get(column)
    if not by_content and column not in cells:
        raise FormatError(f"{column} and sha256{tail} are missing; expected one of them")
    seed = _seed(cells, f"seed{tail}")
    numbers = {name: _number(cells, f"{name}{tail}") for name in ("fps", "num_frames")}
    return NamedClip(
        path="" if layout.stored or by_content else _path(cells, column),
        video=_video(cells, column) if layout.stored else "",
        sha256=sha256,
        hint=_hint(cells, f"video{tail}") if shape.travelled else "",
        given="" if layout.stored or by_content else cells[column],
        generator=sys.intern(_short(cells, f"{side}_model" if side else "model", 200)),
        seed=seed,
        numbers={name: number for name, number in numbers.items() if number is not None},
    )


def _path(cells: Mapping[str, str], column: str) -> str:
    given = cells[column]
    if not given.strip():
        raise FormatError(f"{column} is empty; expected the path of a file")
    path = PurePosixPath(given)
    outside = path.is_absolute() or ".." in path.parts or "\\" in given or not path.parts
    if outside or len(given) > MAX_PATH:
        raise FormatError(
            f"{column} is {given[:200]!r}; expected a path inside the folder of the clips"
        )
    plain = str(path)
    return given if plain == given else plain  # one text, where both are kept


def _seed(cells: Mapping[str, str], column: str) -> int | None:
    word = _matching(cells, column, _SEED, "a whole number")
    if word and abs(int(word)) > _MAX_SEED:
        raise FormatError(f"{column} is {word}; expected a whole number of 64 bits or nothing")
    return int(word) if word else None


def _sha256(cells: Mapping[str, str], column: str) -> str:
    word = cells.get(column, "").lower()
    if word and not _SHA256.fullmatch(word):
        raise FormatError(f"{column} is {word[:80]!r}; expected a sha256 of 64 letters or nothing")
    return word


def _video(cells: Mapping[str, str], column: str) -> str:
    try:
        return str(uuid.UUID(cells[column]))
    except ValueError:
        raise FormatError(
            f"{column} is {cells[column][:80]!r}; expected the id of a clip that is here"
        ) from None


def _hint(cells: Mapping[str, str], column: str) -> str:
    """An id of another site may be an id here, too; if it is no id at all, it helps nobody."""
    try:
        return _video(cells, column) if cells.get(column) else ""
    except FormatError:
        return ""


def _prompt(cells: Mapping[str, str], shape: Shape) -> str:
    text = cells.get("prompt", "")
    if not text.strip() and not shape.layout.stored:
        raise FormatError("the prompt is empty")
    if len(text) > MAX_PROMPT:
        raise FormatError(f"the prompt has {len(text)} characters; expected at most {MAX_PROMPT}")
    return sys.intern(text)  # prompts have many pairs


def _translations(cells: Mapping[str, str]) -> dict[str, str]:
    found = {language: cells.get(f"prompt_{language}", "") for language in LANGUAGES}
    long = [language for language, text in found.items() if len(text) > MAX_PROMPT]
    if long:
        raise FormatError(f"prompt_{long[0]} has more than {MAX_PROMPT} characters")
    return {language: text for language, text in found.items() if text.strip()}


def _labels(cells: Mapping[str, str], shape: Shape) -> Mapping[str, Label]:
    if shape.travelled:
        return _travelled_labels(cells, shape)
    if shape.layout.single or not shape.labelled:
        return {}
    labels = {}
    for key in shape.dimensions:
        try:
            labels[key] = from_videoalign(cells[key])
        except FormatError as error:
            raise FormatError(f"column {key}: {error.message}") from None
    return labels


def label_of(key: str) -> str:
    """The column of a travelled label; a dimension may be called as any other column is."""
    return f"label {key}"


def _travelled_labels(cells: Mapping[str, str], shape: Shape) -> Mapping[str, Label]:
    """No label says that people split there; a clip alone can only be invalid."""
    found = {
        key: read_label(cells.get(label_of(key)), f"the label of {key}") for key in shape.dimensions
    }
    labels = {key: label for key, label in found.items() if label is not None}
    if shape.layout.single and set(labels.values()) - {Label.INVALID}:
        raise FormatError("a clip that stands alone has no label but invalid")
    return shared(*labels.items())


def _scores(cells: Mapping[str, str], side: str, shape: Shape) -> dict[str, float]:
    if not shape.labelled:
        return {}
    prefix = f"MOS_{side}_" if side else "MOS_"
    found = {key: _number(cells, prefix + key) for key in shape.dimensions}
    scores = {key: score for key, score in found.items() if score is not None}
    if shape.layout.single:
        _check_alone(scores, scores if shape.travelled else shape.dimensions)
    return scores


def _check_alone(scores: Mapping[str, float], keys: Iterable[str]) -> None:
    """Where a clip stands alone, its scores are all that the row says."""
    for key in keys:
        if not 1 <= scores.get(key, 0) <= 5:
            raise FormatError(f"MOS_{key} must be a number from 1 to 5")


def _number(cells: Mapping[str, str], column: str) -> float | None:
    word = cells.get(column, "")
    if not word:
        return None
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(f"{column} is {word[:80]!r}; expected a number or nothing")
    return number


def _matching(
    cells: Mapping[str, str], column: str, pattern: re.Pattern[str], expected: str
) -> str:
    word = cells.get(column, "").removesuffix(".0")  # pandas makes floats of whole numbers
    if word and not pattern.fullmatch(word):
        raise FormatError(f"{column} is {word[:80]!r}; expected {expected} or nothing")
    return word


def _short(cells: Mapping[str, str], column: str, longest: int) -> str:
    text = cells.get(column, "")
    if len(text) > longest:
        raise FormatError(f"{column} has {len(text)} characters; expected at most {longest}")
    return text
