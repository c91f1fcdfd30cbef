"""Signs of haste in how a vote was given (ANNOTATION D7). Pure; a sign is not a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RUSHED_SHARE: Final = 0.6  # of the longer clip's length
WATCHED_SHARE: Final = 0.5
STRAIGHT_LINE: Final = 15  # votes in a row with one and the same answer everywhere


def signs_of(
    timing: Mapping[str, Any], active_ms: int | None, longer_ms: float, sides: int
) -> list[str]:
    """`rushed`: less time than the clips take. `unwatched`: not half of a clip was shown."""
    signs = []
    if active_ms is not None and active_ms < RUSHED_SHARE * longer_ms:
        signs.append("rushed")
    coverage = timing.get("coverage")
    if isinstance(coverage, Mapping):
        shown = [coverage.get(side) for side in ("left", "right")[:sides]]
        if any(isinstance(share, int | float) and share < WATCHED_SHARE for share in shown):
            signs.append("unwatched")
    return signs


@dataclass(slots=True)
class StraightLines:
    """Who gives one answer to everything, vote after vote; fed in the order of the votes."""

    runs: dict[int, tuple[str, int]] = field(default_factory=dict)

    def goes_on(self, annotator: int, answers: list[str]) -> bool:
        """Whether this vote is the 15th or a later one of such a run."""
        if len(answers) < 2 or len(set(answers)) > 1:  # one dimension is no pattern
            self.runs.pop(annotator, None)
            return False
        word, length = self.runs.get(annotator, ("", 0))
        length = length + 1 if word == answers[0] else 1
        self.runs[annotator] = (answers[0], length)
        return length >= STRAIGHT_LINE
