"""What a VBench run or import leaves: `vbench.json`, schema vbench/1.

Raw values per dimension with where each came from, proxies apart from them, totals or why there are
none, and the values of each clip where they are known.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.vbench import PROTOCOLS, Protocol, Totals, totals

SCHEMA: Final = "vbench/1"
FILE: Final = "vbench.json"
PROXY: Final = "proxy:"  # what begins so is no dimension of VBench, and enters no total

IMPORTED: Final = "imported"  # from a file of the official tool
PACKAGE: Final = "package"  # measured by the official package, started by us
COMPUTED: Final = "computed"  # by our own code, by the official formula

BY_TOOL: Final = "tool"  # as the tool that measured it says
BY_VIDEO: Final = "videos"  # the mean of the values of the videos


@dataclass(frozen=True, slots=True)
class Value:
    """One dimension: raw, 0 to 1. `videos`: how many, 0 where nobody said. `file`: of an import."""

    raw: float
    source: str
    videos: int = 0
    average: str = BY_TOOL
    file: str = ""


@dataclass(frozen=True, slots=True)
class ClipValues:
    """One clip: raw values by dimension (imaging 0 to 100, as the tool has them) and proxies.

    `error` is set, and `values` empty, where the clip could not be read: unreadable is not bad.
    """

    video_id: str
    prompt_id: str
    prompt: str
    seed: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class VBenchResult:
    """`measured`: what it is of, in words (generator, adapter …); `notes`: sentences."""

    protocol: str
    values: dict[str, Value]
    proxies: dict[str, float] = field(default_factory=dict)
    clips: list[ClipValues] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.values:
            if key.startswith(PROXY):
                raise FormatError(f"{key} is a proxy and no dimension of VBench")
        for key in self.proxies:
            if not key.startswith(PROXY):
                raise FormatError(f"the proxy {key!r} must be named {PROXY}…")

    @property
    def benchmark(self) -> Protocol:
        return PROTOCOLS[self.protocol]

    @property
    def unreadable(self) -> int:
        return sum(1 for clip in self.clips if clip.error)

    def totals(self) -> Totals:
        """Of the dimensions of the benchmark alone; proxies and what stands beside are left out."""
        names = self.benchmark.names
        return totals({k: v.raw for k, v in self.values.items() if k in names}, self.benchmark)

    def to_json(self) -> dict[str, Any]:
        found = self.totals()
        return {
            **dataclasses.asdict(self),
            "totals": {
                "normalised": found.normalised,
                "groups": found.groups,
                "total": found.total,
                "missing": list(found.missing),
                "refusal": found.refusal,
            },
        }

    def summary(self) -> dict[str, Any]:
        """A few figures for the row of the artifact."""
        found = self.totals()
        return {
            "protocol": self.protocol,
            "dimensions": len(self.values),
            "missing": len(found.missing),
            "clips": len(self.clips),
            "unreadable": self.unreadable,
            **({} if found.total is None else {"total": found.total}),
            **found.groups,
        }

    def write(self, path: Path) -> str:
        return write_json(path, SCHEMA, self.to_json())


def read_result(path: Path) -> VBenchResult:
    """Given the file, or the folder that it lies in. Totals are worked out anew, not believed."""
    path = path / FILE if path.is_dir() else path
    body = read_json(path, SCHEMA)
    try:
        return _result({key: value for key, value in body.items() if key != "totals"})
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"not a {SCHEMA} file: {type(error).__name__}: {error}", path=path
        ) from error


def _result(body: Mapping[str, Any]) -> VBenchResult:
    return VBenchResult(
        **{
            **body,
            "values": {key: Value(**value) for key, value in body["values"].items()},
            "clips": [ClipValues(**clip) for clip in body["clips"]],
        }
    )


def means(clips: Iterable[ClipValues], key: str) -> tuple[float, int]:
    """Mean over the clips that have this value, and how many have it."""
    found = [clip.values[key] for clip in clips if key in clip.values]
    return (math.fsum(found) / len(found), len(found)) if found else (math.nan, 0)


def joined(results: Sequence[VBenchResult]) -> VBenchResult:
    """Results that measured different dimensions of the same, as one.

    FormatError where they are of two benchmarks or two generators, or contradict each other.
    """
    first = results[0]
    values: dict[str, Value] = {}
    proxies: dict[str, float] = {}
    for each in results:
        _refuse_another(first, each)
        for key, value in each.values.items():
            if values.setdefault(key, value).raw != value.raw:
                raise FormatError(
                    f"{key} is {value.raw:g} in one result and {values[key].raw:g} in another;"
                    " join results that measured it once"
                )
        proxies |= each.proxies
    return VBenchResult(
        first.protocol,
        values,
        proxies,
        _clips(results),
        list(dict.fromkeys(note for each in results for note in each.notes)),
        next((each.measured for each in results if each.measured.get("generator")), {}),
    )


def _refuse_another(first: VBenchResult, other: VBenchResult) -> None:
    if other.protocol != first.protocol:
        raise FormatError(
            f"results of {first.benchmark.title} and {other.benchmark.title} cannot be joined"
        )
    names = [each.measured.get("generator", "") for each in (first, other)]
    if all(names) and names[0] != names[1]:
        raise FormatError(
            f"one result is of {names[0]!r}, another of {names[1]!r}; they cannot be joined"
        )


def _clips(results: Sequence[VBenchResult]) -> list[ClipValues]:
    """Each clip once, with what all results know of it."""
    found: dict[tuple[str, str], ClipValues] = {}
    for each in results:
        for clip in each.clips:
            key = (clip.video_id, clip.prompt)
            known = found.get(key, clip)
            found[key] = dataclasses.replace(known, values={**known.values, **clip.values})
    return list(found.values())
