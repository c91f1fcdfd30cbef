"""Preference records of clips that need no file."""

from collections.abc import Mapping, Sequence
from typing import Any

from formats.labels import Label
from formats.records import Opinion, PreferenceRecord, VideoRef


def clip(name: str) -> VideoRef:
    return VideoRef(name, f"{name}.mp4", f"{name:0>64}", 8.0, 9)


def pair(number: int, labels: Mapping[str, str], **more: Any) -> PreferenceRecord:
    """Pair `number`, of two clips of its own. `labels`: word by dimension."""
    given = {key: Label(word) for key, word in labels.items()}
    a, b = clip(f"a{number}"), clip(f"b{number}")
    return PreferenceRecord(f"p{number:04}", f"prompt {number}", "train", a, b, given, **more)


def said(*opinions: Sequence[str]) -> list[Opinion]:
    """(annotator, dimension, word) each."""
    return [Opinion(who, key, Label(word)) for who, key, word in opinions]
