"""What the clips of two sides are as films: frame rates, lengths and sizes, pair by pair.

A comparison of clips at other rates says as much about the rates as about the generators, so it is
refused unless somebody asks for it; other sizes and lengths are said beside the result.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from annotation.models import Video
from formats.records import GenerationRecord
from pipelines.start_images import prompt_key
from pipelines.step_configs import StepConfigError

_AT_ONCE: Final = 500
_SAME_RATE: Final = 0.01  # 23.976 and 24 are one rate
_SAME_LENGTH: Final = 0.1
_SHOWN: Final = 8
Size = tuple[int, int]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Footage:
    """Both sides of the pairs; `warnings` are sentences for the page of the result."""

    pairs: int
    other_rates: int
    other_lengths: int
    other_sizes: int
    base: dict[str, dict[str, int]]
    candidate: dict[str, dict[str, int]]
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def footage_of(
    base: Iterable[GenerationRecord],
    candidate: Iterable[GenerationRecord],
    *,
    allow_other_rates: bool = False,
) -> Footage:
    """Compare the clips of what both sides made; StepConfigError where their rates differ."""
    sides = [{_key(clip): clip for clip in clips} for clips in (base, candidate)]
    shared = sorted(set(sides[0]) & set(sides[1]))
    pairs = [(sides[0][key], sides[1][key]) for key in shared]
    slower = [
        (one, other) for one, other in pairs if _differ(one.video.fps, other.video.fps, _SAME_RATE)
    ]
    if slower and not allow_other_rates:
        raise StepConfigError(_refusal(slower, len(pairs)))
    sizes = sizes_of(clip for pair in pairs for clip in pair)
    resized = sum(_other_size(pair, sizes) for pair in pairs)
    longer = sum(_differ(_seconds(one), _seconds(other), _SAME_LENGTH) for one, other in pairs)
    return Footage(
        pairs=len(pairs),
        other_rates=len(slower),
        other_lengths=longer,
        other_sizes=resized,
        base=kinds_of((pair[0] for pair in pairs), sizes),
        candidate=kinds_of((pair[1] for pair in pairs), sizes),
        warnings=_warnings(len(pairs), len(slower), longer, resized),
    )


def _key(clip: GenerationRecord) -> Key:
    return prompt_key(clip.prompt, clip.image), clip.video.seed or 0


def _seconds(clip: GenerationRecord) -> float:
    return clip.video.num_frames / clip.video.fps


def _differ(one: float, other: float, share: float) -> bool:
    return abs(one - other) > share * max(one, other)


def _other_size(pair: tuple[GenerationRecord, GenerationRecord], sizes: Mapping[str, Size]) -> bool:
    known = [sizes.get(clip.video.sha256) for clip in pair]
    return None not in known and known[0] != known[1]


def _refusal(pairs: list[tuple[GenerationRecord, GenerationRecord]], of: int) -> str:
    base, candidate = pairs[0]
    return (
        f"in {len(pairs)} of {of} pairs the clips have other frame rates: "
        f"{base.video.fps:g} per second of the base against {candidate.video.fps:g} of the "
        f"candidate for {base.prompt[:60]!r}; make them at one rate, or set allow_other_rates"
    )


def _warnings(pairs: int, rates: int, lengths: int, sizes: int) -> list[str]:
    found = {
        "other frame rates: judges and people see other motion": rates,
        "lengths that differ by more than a tenth": lengths,
        "other sizes of frame: the larger picture is at an advantage": sizes,
    }
    return [f"{n} of {pairs} pairs have {what}" for what, n in found.items() if n]


def kinds_of(
    clips: Iterable[GenerationRecord], sizes: Mapping[str, Size]
) -> dict[str, dict[str, int]]:
    """How many clips there are of each rate, number of frames and size; the rare kinds as one."""
    rates: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    for clip in clips:
        rates[f"{clip.video.fps:.5g}"] += 1
        frames[str(clip.video.num_frames)] += 1
        size = sizes.get(clip.video.sha256)
        formats["unknown" if size is None else f"{size[0]}x{size[1]}"] += 1
    return {"fps": _few(rates), "frames": _few(frames), "size": _few(formats)}


def _few(counts: Counter[str]) -> dict[str, int]:
    shown = dict(counts.most_common(_SHOWN))
    rest = counts.total() - sum(shown.values())
    return {**shown, "other": rest} if rest else shown


def sizes_of(clips: Iterable[GenerationRecord]) -> dict[str, Size]:
    """Width and height by content, of the clips that the store knows."""
    wanted = sorted({clip.video.sha256 for clip in clips})
    found: dict[str, Size] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Video.objects.filter(sha256__in=wanted[start : start + _AT_ONCE])
        found |= {sha: (w, h) for sha, w, h in rows.values_list("sha256", "width", "height")}
    return found
