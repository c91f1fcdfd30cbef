"""VBench and VBench-I2V: dimensions, normalisation, weights, totals. Pure arithmetic, no file.

A raw value becomes (raw - low) / (high - low), is neither clipped below 0 nor above 1, and enters
the weighted mean of its group; the total is the weighted mean of the groups. All constants are
those of the official package (Vchitect/VBench, scripts/constant.py), which sets a dimension that is
not there to raw 0. Here there is no total, and no group score, unless every dimension of it is
there.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from formats.errors import FormatError

QUALITY: Final = "quality"
SEMANTIC: Final = "semantic"
IMAGE: Final = "i2v"


@dataclass(frozen=True, slots=True)
class Dimension:
    """`custom`: the official package measures it on videos of any prompts. `cosine`: raw values
    come from a cosine, which may be below 0. `percent`: its values per video are 0 to 100."""

    key: str
    group: str
    low: float
    high: float
    needs: str
    prompts: int
    weight: float = 1.0
    custom: bool = False
    cosine: bool = False
    percent: bool = False

    @property
    def title(self) -> str:
        return self.key.replace("_", " ").replace("i2v", "I2V")

    def normalised(self, raw: float) -> float:
        return (raw - self.low) / (self.high - self.low)


_SUBJECT: Final = ("subject_consistency", QUALITY, 0.1462, 1.0, "DINO ViT-B/16")
_BACKGROUND: Final = ("background_consistency", QUALITY, 0.2615, 1.0, "CLIP ViT-B/32")
_SMOOTH: Final = ("motion_smoothness", QUALITY, 0.7060, 0.9975, "AMT-S")
_DYNAMIC: Final = ("dynamic_degree", QUALITY, 0.0, 1.0, "RAFT-things")
_AESTHETIC: Final = ("aesthetic_quality", QUALITY, 0.0, 1.0, "CLIP ViT-L/14 and the LAION head")
_IMAGING: Final = ("imaging_quality", QUALITY, 0.0, 1.0, "MUSIQ-SPAQ")
_GRIT: Final = "GRiT"

FLICKERING: Final = "temporal_flickering"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One of the two benchmarks. `shares`: the weight of each group in the total."""

    key: str
    title: str
    dimensions: tuple[Dimension, ...]
    shares: Mapping[str, float]

    @property
    def names(self) -> list[str]:
        return [each.key for each in self.dimensions]

    def get(self, key: str) -> Dimension:
        """The dimension of this name; FormatError names a near miss."""
        found = next((each for each in self.dimensions if each.key == key), None)
        if found is None:
            near = difflib.get_close_matches(key, self.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(self.names)}"
            raise FormatError(f"{self.title} has no dimension {key!r}; {hint}")
        return found

    def of_group(self, group: str) -> list[Dimension]:
        return [each for each in self.dimensions if each.group == group]

    def custom(self) -> list[str]:
        """What the official package measures on videos of any prompts."""
        return [each.key for each in self.dimensions if each.custom]


T2V: Final = Protocol(
    "t2v",
    "VBench",
    (
        Dimension(*_SUBJECT, 72, custom=True),
        Dimension(*_BACKGROUND, 86, custom=True),
        Dimension(FLICKERING, QUALITY, 0.6293, 1.0, "", 75),
        Dimension(*_SMOOTH, 72, custom=True),
        Dimension(*_DYNAMIC, 72, weight=0.5, custom=True),
        Dimension(*_AESTHETIC, 93, custom=True),
        Dimension(*_IMAGING, 93, custom=True, percent=True),
        Dimension("object_class", SEMANTIC, 0.0, 1.0, _GRIT, 79),
        Dimension("multiple_objects", SEMANTIC, 0.0, 1.0, _GRIT, 82),
        Dimension("human_action", SEMANTIC, 0.0, 1.0, "UMT-L", 100),
        Dimension("color", SEMANTIC, 0.0, 1.0, _GRIT, 85),
        Dimension("spatial_relationship", SEMANTIC, 0.0, 1.0, _GRIT, 84),
        Dimension("scene", SEMANTIC, 0.0, 0.8222, "Tag2Text", 86),
        Dimension("appearance_style", SEMANTIC, 0.0009, 0.2855, "CLIP ViT-B/32", 90, cosine=True),
        Dimension("temporal_style", SEMANTIC, 0.0, 0.364, "ViCLIP", 100, cosine=True),
        Dimension("overall_consistency", SEMANTIC, 0.0, 0.364, "ViCLIP", 93, cosine=True),
    ),
    {QUALITY: 4.0, SEMANTIC: 1.0},
)
I2V: Final = Protocol(
    "i2v",
    "VBench-I2V",
    (
        Dimension("camera_motion", IMAGE, 0.0, 1.0, "CoTracker", 763, weight=0.1, custom=True),
        Dimension("i2v_subject", IMAGE, 0.1462, 1.0, "DINO ViT-B/16", 246, custom=True),
        Dimension("i2v_background", IMAGE, 0.2615, 1.0, "DreamSim", 109, custom=True),
        Dimension(*_SUBJECT, 246, custom=True),
        Dimension(*_BACKGROUND, 109, custom=True),
        Dimension(*_SMOOTH, 246, custom=True),
        Dimension(*_DYNAMIC, 246, weight=0.5, custom=True),
        Dimension(*_AESTHETIC, 355, custom=True),
        Dimension(*_IMAGING, 355, custom=True, percent=True),
    ),
    {QUALITY: 1.0, IMAGE: 1.0},
)
PROTOCOLS: Final = {each.key: each for each in (T2V, I2V)}
# Measured by the tools of VBench-I2V too, but in no total of it.
BESIDE: Final = {I2V.key: (FLICKERING,)}


def measurable(protocol: Protocol) -> tuple[str, ...]:
    """What can be measured on clips of any prompts: flickering by us, others by the package."""
    return FLICKERING, *protocol.custom()


@dataclass(frozen=True, slots=True)
class Totals:
    """The scores of the groups that are complete, and the total where all of them are."""

    normalised: dict[str, float]
    groups: dict[str, float]
    total: float | None
    missing: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why there is no total, in one sentence; empty where there is one."""
        if self.total is not None:
            return ""
        count = len(self.missing)
        word = "dimension is" if count == 1 else "dimensions are"
        return f"There is no total: {count} {word} missing ({', '.join(self.missing)})."


class IncompleteError(FormatError):
    """A total is asked for, and dimensions are missing."""


def totals(raw: Mapping[str, float], protocol: Protocol) -> Totals:
    """Normalised values, group scores and total of raw values (0 to 1) by their keys."""
    known = {key: protocol.get(key) for key in raw}
    for key, value in raw.items():
        if not math.isfinite(value):
            raise FormatError(f"{key} must be a finite number, got {value}")
    normalised = {key: each.normalised(raw[key]) for key, each in known.items()}
    missing = tuple(key for key in protocol.names if key not in raw)
    groups = {
        group: _mean(protocol.of_group(group), normalised)
        for group in protocol.shares
        if all(each.key in raw for each in protocol.of_group(group))
    }
    return Totals(normalised, groups, None if missing else _total(groups, protocol), missing)


def total(raw: Mapping[str, float], protocol: Protocol) -> float:
    """The total, or an IncompleteError that names what is missing."""
    found = totals(raw, protocol)
    if found.total is None:
        raise IncompleteError(found.refusal)
    return found.total


def _mean(dimensions: list[Dimension], normalised: Mapping[str, float]) -> float:
    weighted = math.fsum(normalised[each.key] * each.weight for each in dimensions)
    return weighted / math.fsum(each.weight for each in dimensions)


def _total(groups: Mapping[str, float], protocol: Protocol) -> float:
    weighted = math.fsum(groups[key] * share for key, share in protocol.shares.items())
    return weighted / math.fsum(protocol.shares.values())
