"""The formats there are: what each holds, what it puts beside the main file, and who writes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipelines.exports import csv_files, hugging_face, label_studio, parquet, raw_votes, trl
from pipelines.exports.facts import ALL, Fact
from pipelines.exports.source import Source
from pipelines.exports.staging import Staging


@dataclass(frozen=True, slots=True)
class Format:
    """`holds` is kept in the rows, `beside` in a file next to them; the rest is lost.

    `sides` are the names of the files beside, behind the name of the main one.
    """

    name: str
    title: str
    about: str
    suffix: str  # of the main file; none for a folder
    write: Callable[[Source, Staging, str], None]
    holds: frozenset[Fact]
    beside: frozenset[Fact] = frozenset()
    sides: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    passes: int = 1  # over the rows of the snapshot

    @property
    def is_folder(self) -> bool:
        return not self.suffix

    @property
    def loses(self) -> frozenset[Fact]:
        return ALL - self.holds - self.beside


_CSV: Final = frozenset(
    {Fact.LABELS, Fact.TIES, Fact.INVALID, Fact.PAIR_ID, Fact.PROMPT, Fact.CLIP, Fact.FRAMES}
)
_VOTES: Final = frozenset(
    {
        *_CSV, Fact.UNDECIDED, Fact.POSTERIOR, Fact.JUDGEMENTS, Fact.RELIABILITY, Fact.SPLIT,
        Fact.IMAGE, Fact.SHA256, Fact.GENERATOR, Fact.SEED, Fact.DIMENSIONS, Fact.VOTES,
    }
)  # fmt: skip
_TRL: Final = frozenset(
    {
        Fact.LABELS, Fact.SPLIT, Fact.PAIR_ID, Fact.PROMPT, Fact.CLIP, Fact.SHA256, Fact.FRAMES,
        Fact.GENERATOR, Fact.SEED,
    }
)  # fmt: skip
_AS_THEY_CAME: Final = "Rows that came from one file go out byte for byte, columns of others too."
_SPLIT_IS_INVALID: Final = "Where people split, the word is `invalid`, which VideoAlign masks."
_NO_SUCH_LABEL: Final = "Where people split it says `invalid`: no label to the released script."

FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        Format(
            "videoalign", "VideoAlign CSV", "What VideoAlign trains on: one row per pair.", ".csv",
            csv_files.videoalign, _CSV | {Fact.SCORES, Fact.SINGLE},
            remarks=(_AS_THEY_CAME, _SPLIT_IS_INVALID), passes=3,
        ),
        Format(
            "rewardbench", "VideoGen-RewardBench CSV",
            "The benchmark's columns: VideoAlign's with the generators.", ".csv",
            csv_files.rewardbench, _CSV | {Fact.SCORES, Fact.GENERATOR},
            remarks=(
                _AS_THEY_CAME,
                _NO_SUCH_LABEL,
                "`Overall` is there if it is a dimension; it is not made up.",
            ),
            passes=3,
        ),
        Format(
            "parquet", "Parquet", "One table with everything that the snapshot holds.", ".parquet",
            parquet.write, ALL,
        ),
        Format(
            "hf", "Hugging Face datasets",
            "A folder for `load_dataset`: Parquet by split, a data card.", "",
            hugging_face.write, ALL, passes=3,
        ),
        Format(
            "trl", "TRL preference", "Prompt, chosen and rejected; one row per decided dimension.",
            ".jsonl", trl.write, _TRL, frozenset({Fact.TIES, Fact.INVALID, Fact.UNDECIDED}),
            (".left-out.jsonl", ".left-out.json"),
            ("TRL has no tie: those rows stand in a file beside, with their counts.",),
        ),
        Format(
            "labelstudio", "Label Studio JSON", "Tasks with the consensus as their annotation.",
            ".json", label_studio.write,
            ALL - {Fact.JUDGEMENTS, Fact.RELIABILITY, Fact.DIMENSIONS},
            frozenset({Fact.DIMENSIONS}), (".config.xml",),
        ),
        Format(
            "votes", "Raw votes", "One line per vote, with consensus and posterior of its pair.",
            ".jsonl", raw_votes.write, _VOTES,
            remarks=("A pair without a vote (imported labels, clips scored alone) has no line.",),
        ),
    )
}  # fmt: skip
