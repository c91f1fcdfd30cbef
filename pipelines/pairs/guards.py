"""Shortcut guards: what a generator could learn from a pair instead of quality.

Where the two clips of a pair differ in their length, frame rate, size, generator or in a watermark,
the winner may have won by that, and training would teach it (ML.md 4.6). Each guard refuses such a
pair unless the config allows it.
"""

from collections.abc import Callable, Container
from typing import Final, Protocol

from annotation.media.overlays import Overlays, one_sided
from formats.records import VideoRef
from pipelines.pairs.rules import GUARDS, Fault

_RATE: Final = 5e-4  # 23.976 and 23.98 are one rate; 29.97 and 30 are two
_SEEN: Final = 0.25  # of the rim must move in both clips, or nothing can be said of a watermark

REASONS: Final = {
    "duration": "duration differs",
    "frame_rate": "frame rate differs",
    "size": "size differs",
    "generator": "generator differs",
    "watermark": "watermark on one side only",
}


class Looks(Protocol):
    """What is known of a clip beside its record."""

    def size(self, video: VideoRef) -> tuple[int, int]: ...
    def overlays(self, video: VideoRef) -> Overlays: ...


class Guards:
    """Call it with both clips of a pair: the first difference that is not allowed, or None.

    `unseen` counts the pairs that passed although their pictures move too little to tell a
    watermark from scenery.
    """

    def __init__(self, looks: Looks, allow: Container[str] = ()):
        self._looks = looks
        self.unseen = 0
        checks: dict[str, Callable[[VideoRef, VideoRef], str]] = {
            "duration": _duration,
            "frame_rate": _frame_rate,
            "size": self._size,
            "generator": _generator,
            "watermark": self._watermark,
        }
        self._checks = {name: checks[name] for name in GUARDS if name not in allow}

    def __call__(self, chosen: VideoRef, rejected: VideoRef) -> Fault | None:
        for name, differs in self._checks.items():
            if detail := differs(chosen, rejected):
                return Fault(REASONS[name], detail)
        return None

    def _size(self, one: VideoRef, other: VideoRef) -> str:
        sizes = [self._looks.size(each) for each in (one, other)]
        if sizes[0] == sizes[1]:
            return ""
        return " against ".join(f"{width}x{height}" for width, height in sizes)

    def _watermark(self, one: VideoRef, other: VideoRef) -> str:
        looks = [self._looks.overlays(each) for each in (one, other)]
        box = one_sided(*looks)
        if box is not None:
            whose = "the chosen" if box in looks[0].boxes else "the rejected"
            return f"on {whose} clip {_place(box.left + box.right, box.top + box.bottom)}"
        if min(each.visible for each in looks) < _SEEN:
            self.unseen += 1
        return ""


def _duration(one: VideoRef, other: VideoRef) -> str:
    """Half a frame is the rounding of a container."""
    seconds = [each.num_frames / each.fps for each in (one, other)]
    if abs(seconds[0] - seconds[1]) <= 0.5 / min(one.fps, other.fps):
        return ""
    return f"{seconds[0]:.3g} s against {seconds[1]:.3g} s"


def _frame_rate(one: VideoRef, other: VideoRef) -> str:
    if abs(one.fps - other.fps) <= _RATE * max(one.fps, other.fps):
        return ""
    return f"{one.fps:g} against {other.fps:g} frames per second"


def _generator(one: VideoRef, other: VideoRef) -> str:
    names = [each.generator or "unknown" for each in (one, other)]
    return "" if names[0] == names[1] else f"{names[0]} against {names[1]}"


def _place(across: float, down: float) -> str:
    """Twice the middle of a box, in words."""
    vertical = "top" if down < 2 / 3 else "bottom" if down > 4 / 3 else "middle"
    horizontal = "left" if across < 2 / 3 else "right" if across > 4 / 3 else "centre"
    return f"at the {vertical} {horizontal}"
