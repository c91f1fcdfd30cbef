"""Two results of one benchmark side by side: by how much, and how sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from formats.vbench_results import ClipValues, VBenchResult, read_result
from pipelines.changes import Change, change_of

_RESAMPLES: Final = 1000  # of a page that people wait for
_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class Beside:
    """Another result of the same benchmark, and the clips that both have."""

    result: VBenchResult
    changes: Mapping[str, Change]


@lru_cache(maxsize=_KEPT)
def beside_file(base: Path, candidate: Path, _sha256s: tuple[str, str]) -> Beside:
    """The same of two files, which are what their hashes say: worked out once in a process."""
    return beside(read_result(base), read_result(candidate))


def beside(base: VBenchResult, candidate: VBenchResult) -> Beside:
    """`base` beside `candidate`: values whose clips both have get a paired interval."""
    percent = {each.key for each in candidate.benchmark.dimensions if each.percent}
    return Beside(base, _changes(base.clips, candidate.clips, percent))


def _changes(
    base: Sequence[ClipValues], candidate: Sequence[ClipValues], percent: set[str]
) -> dict[str, Change]:
    sides = [{_key(clip): clip for clip in clips if not clip.error} for clips in (base, candidate)]
    shared = sorted(set(sides[0]) & set(sides[1]))
    found = {}
    for key in sorted({key for side in sides for clip in side.values() for key in clip.values}):
        both = [at for at in shared if all(key in side[at].values for side in sides)]
        if both:
            unit = 100 if key in percent else 1  # of videos; aggregates are 0 to 1
            columns = ([side[at].values[key] / unit for at in both] for side in sides)
            found[key] = change_of(
                [f"{at[0]} {at[1]}" for at in both], *columns, resamples=_RESAMPLES
            )
    return found


def _key(clip: ClipValues) -> tuple[str, str, int]:
    """A prompt, which one text with two start images is twice, and the seed."""
    return clip.prompt_id, clip.prompt, -1 if clip.seed is None else clip.seed
