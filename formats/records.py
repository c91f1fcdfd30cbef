"""The rows that cross between Django and the trainers, each in a schema-versioned file."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from formats.errors import FormatError
from formats.files import read_jsonl, write_jsonl
from formats.labels import Label


@dataclass(frozen=True, slots=True)
class VideoRef:
    """A clip. `path` is relative to the media root of inputs.json; `sha256` is of the file."""

    id: str
    path: str
    sha256: str
    fps: float
    num_frames: int
    generator: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The start image of a prompt. `path` is relative to the media root of inputs.json; `sha256`
    is of the file."""

    path: str
    sha256: str


def image_of(row: Mapping[str, Any]) -> ImageRef | None:
    """The start image that a row names; rows of text-to-video have none."""
    return ImageRef(**row["image"]) if row.get("image") else None


class _Record:
    """What all records share: a schema, and reading and writing whole files."""

    SCHEMA: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = dataclasses.asdict(self)  # type: ignore[call-overload]
        if "image" in row and row["image"] is None:
            del row["image"]  # files of text-to-video keep their bytes, and so their sha256
        if row.get("measures") == {}:
            del row["measures"]  # and so do those of clips that nothing measured
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        raise NotImplementedError(f"{cls.__name__} must say how it is read")

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        records = []
        for line, row in read_jsonl(path, cls.SCHEMA):
            try:
                records.append(cls.from_json(row))
            except (KeyError, TypeError, ValueError) as error:
                raise FormatError(
                    f"not a {cls.SCHEMA} record: {type(error).__name__}: {error}",
                    path=path,
                    line=line,
                ) from error
        return records

    @classmethod
    def write(cls, path: Path, records: Iterable[Self]) -> str:
        return write_jsonl(path, cls.SCHEMA, (record.to_json() for record in records))


class Opinion(NamedTuple):
    """What one annotator said on one dimension of a triplet. A pseudonym means something inside
    one snapshot only."""

    annotator: str
    dimension: str
    label: Label


@dataclass(frozen=True, slots=True)
class PreferenceRecord(_Record):
    """One triplet of a dataset snapshot.

    `labels`: the consensus per dimension; a dimension without one (people split) is absent there
    and may still have a `posterior` [P(A), P(tie), P(B)], which is a soft label.
    `scores_a`, `scores_b`: mean 1-5 scores where people gave them. A clip that was scored alone has
    no `video_b`, no labels, and its scores in `scores_a`. `judgements` are the votes behind the
    labels; an imported label has none.
    """

    SCHEMA: ClassVar[str] = "preferences/1"

    pair_id: str
    prompt: str
    split: str  # train | validation | test, by prompt
    video_a: VideoRef
    video_b: VideoRef | None
    labels: dict[str, Label]
    posterior: dict[str, list[float]] = field(default_factory=dict)
    scores_a: dict[str, float] = field(default_factory=dict)
    scores_b: dict[str, float] = field(default_factory=dict)
    votes: int = 0
    source: str = "votes"  # votes | import
    judgements: list[Opinion] = field(default_factory=list)
    image: ImageRef | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **row,
                "video_a": VideoRef(**row["video_a"]),
                "video_b": VideoRef(**row["video_b"]) if row["video_b"] else None,
                "labels": {key: Label(word) for key, word in row["labels"].items()},
                "judgements": [
                    Opinion(annotator, dimension, Label(word))
                    for annotator, dimension, word in row.get("judgements", [])
                ],
                "image": image_of(row),
            }
        )


@dataclass(frozen=True, slots=True)
class PromptRecord(_Record):
    """One prompt of a suite, or of a generation run."""

    SCHEMA: ClassVar[str] = "prompts/1"

    id: str
    text: str
    split: str = "test"
    translations: dict[str, str] = field(default_factory=dict)
    category: str = ""
    image: ImageRef | None = None  # what an image-to-video generator starts from

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "image": image_of(row)})


@dataclass(frozen=True, slots=True)
class GenerationRecord(_Record):
    """One clip that a generator made for a prompt.

    `measures` are facts about its pixels that need no judge: `motion` is how much it moves
    (models_align.motion). Clips of an import have none.
    """

    SCHEMA: ClassVar[str] = "generations/1"

    prompt_id: str
    prompt: str
    split: str
    video: VideoRef  # path relative to the folder of this file until it is registered as a Video
    image: ImageRef | None = None
    measures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "video": VideoRef(**row["video"]), "image": image_of(row)})


@dataclass(frozen=True, slots=True)
class ScoreRecord(_Record):
    """The reward of one (video, prompt) per dimension: `raw` from the head, `score` calibrated.

    `std` is the calibrated standard deviation of `raw`, of a model that says how sure it is.
    `error` is set, and all are empty, where the clip could not be read: unreadable is not bad.
    """

    SCHEMA: ClassVar[str] = "scores/1"

    video_id: str
    prompt_id: str
    prompt: str
    raw: dict[str, float] = field(default_factory=dict)
    score: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(**row)


@dataclass(frozen=True, slots=True)
class PairRecord(_Record):
    """A preference pair: chosen (w) and rejected (l) for one prompt.

    `reward_w`, `reward_l` are mapped to [0, 1] (GAPO, arXiv 2504.10044). `gap` is how much better
    the chosen clip is before that map: of `rewards` the difference of the calibrated totals, of
    `votes` the expected share of votes for it minus that against it.
    `rewards_w`, `rewards_l` are the calibrated rewards per dimension; empty where no reward model
    saw the clips. `shares_w`, of `votes`, is the expected share of votes for the chosen clip per
    dimension, a tie counting half.
    """

    SCHEMA: ClassVar[str] = "pairs/1"
    FILE: ClassVar[str] = "pairs.jsonl"

    pair_id: str
    prompt_id: str
    prompt: str
    split: str
    chosen: VideoRef
    rejected: VideoRef
    gap: float
    reward_w: float
    reward_l: float
    source: str  # rewards | votes
    image: ImageRef | None = None
    rewards_w: dict[str, float] = field(default_factory=dict)
    rewards_l: dict[str, float] = field(default_factory=dict)
    shares_w: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        """The pairs, given their folder or their file."""
        return super(PairRecord, cls).read(path / cls.FILE if path.is_dir() else path)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **row,
                "chosen": VideoRef(**row["chosen"]),
                "rejected": VideoRef(**row["rejected"]),
                "image": image_of(row),
            }
        )
