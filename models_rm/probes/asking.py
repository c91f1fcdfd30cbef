"""What a probe works with: a model as it is asked, the pairs that it is asked about, an answer."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from formats.dimensions import Dimension
from models_rm.preferences.data import Pairs, Row

Rewards = NDArray[np.float64]
Video = Path | NDArray[np.uint8]  # a file, or sampled frames [T, H, W, 3]

FEW: Final = 8  # clips of a probe that one clip could answer
_OTHER_PROMPT: Final = "Something else altogether."


class Status(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: what was expected, what was measured, and a sentence for a person."""

    name: str
    expected: str
    measured: str
    status: Status
    sentence: str
    figures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Subject:
    """A reward model as the probes see it.

    `read` gives what the model looks at; `read_at` the same with another frame rate; `frames` the
    sampled frames uint8 [T, H, W, 3]; `rewards` raw rewards [N, D] in the order of `dimensions`.
    `tolerance` is what counts as equal, in standard deviations of the rewards. `check` is called
    before each batch.
    """

    dimensions: tuple[Dimension, ...]
    theta: Sequence[float]
    fps: float
    read: Callable[[Video], Any]
    read_at: Callable[[Path, float], Any]
    frames: Callable[[Path], NDArray[np.uint8]]
    rewards: Callable[[Sequence[Any], Sequence[str]], Rewards]
    batch_size: int = 8
    tolerance: float = 1e-3
    check: Callable[[], None] = lambda: None

    def score(
        self,
        videos: Sequence[Video],
        prompts: Sequence[str],
        *,
        read: Callable[[Any], Any] | None = None,
    ) -> Rewards:
        read = read or self.read
        parts = [np.empty((0, len(self.dimensions)))]
        for start in range(0, len(videos), self.batch_size):
            self.check()
            end = start + self.batch_size
            parts.append(self.rewards([read(v) for v in videos[start:end]], prompts[start:end]))
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Examined:
    """The pairs that are asked about, over the rows that they use, and the rewards of those."""

    subject: Subject
    root: Path
    rows: tuple[Row, ...]
    base: Rewards  # [R, D], with the right prompts
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    preference: NDArray[np.int64]  # [N, D]
    valid: NDArray[np.bool_]  # [N, D]
    prompts: tuple[str, ...]  # [N]

    @property
    def files(self) -> list[Video]:
        return [self.root / row.video.path for row in self.rows]

    @property
    def keys(self) -> list[str]:
        return [dimension.key for dimension in self.subject.dimensions]

    @property
    def spread(self) -> Rewards:
        """Standard deviation of the rewards per dimension; 1 where they do not vary."""
        found = self.base.std(axis=0)
        return np.where(found > 1e-12, found, 1.0)

    def of(self, *, sees_prompt: bool) -> list[int]:
        each = enumerate(self.subject.dimensions)
        return [d for d, dimension in each if dimension.sees_prompt is sees_prompt]


def examine(subject: Subject, pairs: Pairs, root: Path, limit: int, seed: int) -> Examined:
    order = np.random.default_rng(seed).permutation(len(pairs))
    chosen = np.sort(order[:limit])
    used, where = np.unique(np.concatenate([pairs.a[chosen], pairs.b[chosen]]), return_inverse=True)
    rows = tuple(pairs.rows[row] for row in used)
    files: list[Video] = [root / row.video.path for row in rows]
    return Examined(
        subject=subject,
        root=root,
        rows=rows,
        base=subject.score(files, [row.prompt for row in rows]),
        a=where[: len(chosen)],
        b=where[len(chosen) :],
        preference=pairs.preference[chosen],
        valid=pairs.valid[chosen],
        prompts=tuple(pairs.prompts[n] for n in chosen),
    )


def status(passed: bool) -> Status:  # noqa: FBT001, the one thing it is about
    return Status.PASSED if passed else Status.FAILED


def not_asked(name: str, expected: str, why: str) -> Probe:
    return Probe(name, expected, "–", Status.NOT_APPLICABLE, why)


def score_rows(examined: Examined, rows: NDArray[np.int64]) -> Rewards:
    files = examined.files
    return examined.subject.score(
        [files[row] for row in rows], [examined.rows[row].prompt for row in rows]
    )


def with_other_prompts(examined: Examined) -> Rewards:
    """Rewards where each prompt is replaced by the next one, for all its clips alike."""
    names = sorted({row.prompt for row in examined.rows})
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    if len(names) == 1:
        following = {names[0]: _OTHER_PROMPT}
    return examined.subject.score(examined.files, [following[row.prompt] for row in examined.rows])


def frames_of_one(examined: Examined) -> NDArray[np.uint8]:
    return examined.subject.frames(examined.root / examined.rows[0].video.path)


def places_of(examined: Examined, frames: NDArray[np.uint8]) -> dict[str, float]:
    """Per dimension the share of real clips that have less reward, in the median over prompts."""
    prompts = sorted({row.prompt for row in examined.rows})[:FEW]
    found = examined.subject.score([frames] * len(prompts), prompts)
    middle = np.median(found, axis=0)
    below = (examined.base < middle).mean(axis=0) + 0.5 * (examined.base == middle).mean(axis=0)
    return dict(zip(examined.keys, below.tolist(), strict=True))


def told_places(places: dict[str, float]) -> str:
    return ", ".join(f"{key} {100 * place:.0f} %" for key, place in places.items())
