"""Two results of one benchmark side by side: by how much, and how sure. Pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from formats.vbench_results import ClipValues, VBenchResult
from pipelines.changes import Change, change_of


@dataclass(frozen=True, slots=True)
class Beside:
    """Another result of the same benchmark, and the clips that both have."""

    result: VBenchResult
    changes: Mapping[str, Change]


def beside(base: VBenchResult, candidate: VBenchResult) -> Beside:
    """`base` beside `candidate`: values whose clips both have get a paired interval."""
    percent = {each.key for each in candidate.benchmark.dimensions if each.percent}
    return Beside(base, _changes(base.clips, candidate.clips, percent))


def _changes(
    base: Sequence[ClipValues], candidate: Sequence[ClipValues], percent: set[str]
) -> dict[str, Change]:
    sides = [{(c.prompt, c.seed): c for c in clips if not c.error} for clips in (base, candidate)]
    shared = sorted(
        set(sides[0]) & set(sides[1]), key=lambda key: (key[0], -1 if key[1] is None else key[1])
    )
    found = {}
    for key in sorted({key for side in sides for clip in side.values() for key in clip.values}):
        both = [at for at in shared if all(key in side[at].values for side in sides)]
        if both:
            unit = 100 if key in percent else 1  # of videos; aggregates are 0 to 1
            columns = ([side[at].values[key] / unit for at in both] for side in sides)
            found[key] = change_of([prompt for prompt, _ in both], *columns)
    return found
