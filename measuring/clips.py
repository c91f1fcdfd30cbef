"""One clip, decoded once: its temporal flickering and its proxies."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from formats.vbench import FLICKERING
from measuring.decoding import Frame, frames_of
from measuring.errors import ClipUnreadableError
from measuring.proxies import Proxies


def measured_clip(path: Path, *, flickering: bool, proxies: bool) -> dict[str, float]:
    """What is asked for, by name. ClipUnreadableError for one of fewer than two frames."""
    counted = Flickering()
    looks = Proxies()
    try:
        for frame in frames_of(path):
            counted.add(frame)
            if proxies:
                looks.add(frame)
    except ClipUnreadableError as error:
        raise ClipUnreadableError(error.message, path=path) from None
    if counted.steps == 0:
        raise ClipUnreadableError("the clip needs at least two frames of one size", path=path)
    found = {FLICKERING: counted.score()} if flickering else {}
    return found | (looks.values() if proxies else {})


def temporal_flickering(frames: Iterable[Frame]) -> float:
    """VBench's score of a clip: (255 - mean absolute difference of consecutive frames) / 255."""
    counted = Flickering()
    for frame in frames:
        counted.add(frame)
    return counted.score()


class Flickering:
    """The official formula, frame by frame, in the official precision (float32 means)."""

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._means: list[np.float32] = []

    @property
    def steps(self) -> int:
        return len(self._means)

    def add(self, frame: Frame) -> None:
        last, self._last = self._last, frame
        if last is None:
            return
        if last.shape != frame.shape:
            raise ClipUnreadableError(
                f"the size of the frames changes from {last.shape[1]} x {last.shape[0]}"
                f" to {frame.shape[1]} x {frame.shape[0]}"
            )
        # Whole numbers below 256: equal to the difference of the same numbers as float32.
        change = np.maximum(last, frame) - np.minimum(last, frame)
        self._means.append(np.mean(change.astype(np.float32)))

    def score(self) -> float:
        if not self._means:
            raise ClipUnreadableError("the clip needs at least two frames")
        return (255.0 - np.mean(np.array(self._means)).item()) / 255.0
