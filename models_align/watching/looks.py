"""What a run showed at one step: clips of held-out prompts with their measures and scores.

outputs/watched/look-<step>.json     one look, written whole when it is done
outputs/watched/clips/               its clips; a name says step and prompt
outputs/watched/generations.jsonl    all looks as a generation set, written at the end
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from formats.files import read_json, write_json
from formats.records import ImageRef

FOLDER: Final = "watched"
LOOK: Final = "look/1"
OVERALL: Final = "overall"


@dataclass(frozen=True, slots=True)
class WatchedClip:
    """One clip of a look. `scores`: by judge and dimension, calibrated."""

    name: str  # of its file in clips/, without the ending
    prompt_id: str
    prompt: str
    split: str
    seed: int
    sha256: str
    fps: float
    num_frames: int
    image: ImageRef | None = None
    measures: dict[str, float] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    def with_scores(self, scores: dict[str, dict[str, float]]) -> Self:
        return replace(self, scores=scores)


@dataclass(frozen=True, slots=True)
class Look:
    """One step's clips, prompt by prompt, the seeds of a prompt side by side.

    `spread` says per prompt how much its clips differ between seeds; empty for one clip per prompt.
    """

    step: int
    clips: tuple[WatchedClip, ...]
    spread: dict[str, float] = field(default_factory=dict)

    def by_prompt(self, value: Callable[[WatchedClip], float]) -> list[float]:
        """The mean of a value over the clips of each prompt, in the order of the prompts."""
        groups: dict[str, list[float]] = {}
        for clip in self.clips:
            groups.setdefault(clip.prompt_id, []).append(value(clip))
        return [math.fsum(each) / len(each) for each in groups.values()]

    def scores(self, judge: str) -> list[float]:
        """The overall score per prompt, the mean of all dimensions; none of a judge that is not."""
        if not all(judge in clip.scores for clip in self.clips):
            return []
        return self.by_prompt(lambda clip: mean(list(clip.scores[judge].values())))

    @property
    def motion(self) -> list[float]:
        return self.by_prompt(lambda clip: clip.measures["motion"])

    def write(self, folder: Path) -> None:
        write_json(folder / f"look-{self.step:08d}.json", LOOK, asdict(self))


def read_look(path: Path) -> Look:
    row = read_json(path, LOOK)
    return Look(row["step"], tuple(_clip(each) for each in row["clips"]), row["spread"])


def read_looks(folder: Path) -> list[Look]:
    """All looks of a run so far, by step."""
    return [read_look(path) for path in sorted(folder.glob("look-*.json"))]


def forget_looks_behind(folder: Path, step: int) -> None:
    """Remove what an attempt saw that got further than its checkpoint: it is seen again."""
    for look in read_looks(folder):
        if look.step > step:
            (folder / f"look-{look.step:08d}.json").unlink()


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _clip(row: Mapping[str, Any]) -> WatchedClip:
    image = ImageRef(**row["image"]) if row["image"] else None
    return WatchedClip(**{**row, "image": image})
