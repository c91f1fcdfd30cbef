"""The label words. `tie` here, `same` in the VideoAlign CSV, 'Same' on the button."""

from enum import StrEnum
from typing import Final

from formats.errors import FormatError


class Label(StrEnum):
    """What one judgement, or a consensus, says on one dimension."""

    A = "A"
    B = "B"
    TIE = "tie"
    INVALID = "invalid"


class InvalidReason(StrEnum):
    """Why a pair cannot be judged on a dimension."""

    BROKEN = "broken"  # a clip does not play
    UNSAFE = "unsafe"
    PROMPT_UNCLEAR = "prompt_unclear"
    IDENTICAL = "identical"  # the two clips are the same file to the eye
    OTHER = "other"


# +1 A is better, -1 B is better, 0 tie. Invalid has no number: it never enters the arithmetic.
SIGN: Final = {Label.A: 1, Label.TIE: 0, Label.B: -1}

# Order of every [.., 3] array of class counts and probabilities in this project.
CLASSES: Final = (Label.A, Label.TIE, Label.B)

_MIRROR: Final = {Label.A: Label.B, Label.B: Label.A}

_VIDEOALIGN: Final = {
    "A": Label.A,
    "B": Label.B,
    "same": Label.TIE,
    "invalid": Label.INVALID,
}


def mirrored(label: Label) -> Label:
    """The same opinion after A and B changed places."""
    return _MIRROR.get(label, label)


def from_videoalign(word: str) -> Label:
    """Read a label of the VideoAlign CSV; an unknown word is an error, never a missing label."""
    try:
        return _VIDEOALIGN[word]
    except KeyError:
        wanted = ", ".join(_VIDEOALIGN)
        raise FormatError(f"unknown label {word!r}; expected one of {wanted}") from None


def to_videoalign(label: Label) -> str:
    return "same" if label is Label.TIE else label.value
