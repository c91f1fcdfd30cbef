"""The words of the voting page; the values beside them go to the API."""

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from annotation.models import FlagKind
from formats.labels import InvalidReason

SCORES: Final = range(1, 6)
LABELS: Final = [
    {"value": "left", "title": _("A better")},
    {"value": "tie", "title": _("Same")},
    {"value": "right", "title": _("B better")},
    {"value": "invalid", "title": _("Invalid")},
]
INVALID_REASONS: Final = [
    {"value": InvalidReason.BROKEN.value, "title": _("a clip is broken")},
    {"value": InvalidReason.UNSAFE.value, "title": _("unsafe content")},
    {"value": InvalidReason.PROMPT_UNCLEAR.value, "title": _("prompt unclear")},
    {"value": InvalidReason.IDENTICAL.value, "title": _("identical clips")},
    {"value": InvalidReason.OTHER.value, "title": _("something else")},
]
SKIP_REASONS: Final = [
    {"value": "cannot_decide", "title": _("I cannot decide")},
    {"value": "prompt_language", "title": _("I do not understand the prompt")},
    {"value": "uncomfortable", "title": _("I do not want to watch this")},
    {"value": "broken", "title": _("A clip does not play")},
]
FLAG_KINDS: Final = [
    {
        "value": FlagKind.DISTURBING.value,
        "title": _("Disturbing: nobody should have to see it"),
    },
    {
        "value": FlagKind.BROKEN.value,
        "title": _("Broken: it does not play, or shows no picture"),
    },
    {"value": FlagKind.RECOGNISED.value, "title": _("I recognise the generator that made it")},
    {"value": FlagKind.OTHER.value, "title": _("Something else")},
]
SIDES: Final = [
    {
        "number": 0,
        "value": "left",
        "name": "A",
        "clip": _("Clip A"),
        "back": _("Only A: one frame back"),
        "on": _("Only A: one frame on"),
        "large": _("A large; press again for both"),
        "score": _("Score of clip A, optional"),
        "score_short": _("Score A"),
    },
    {
        "number": 1,
        "value": "right",
        "name": "B",
        "clip": _("Clip B"),
        "back": _("Only B: one frame back"),
        "on": _("Only B: one frame on"),
        "large": _("B large; press again for both"),
        "score": _("Score of clip B, optional"),
        "score_short": _("Score B"),
    },
]


def words() -> dict[str, Any]:
    """What the template of the voting page shows in lists."""
    return {
        "labels": LABELS,
        "scores": SCORES,
        "sides": SIDES,
        "invalid_reasons": INVALID_REASONS,
        "skip_reasons": SKIP_REASONS,
        "flag_kinds": FLAG_KINDS,
    }
