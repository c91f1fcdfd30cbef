"""Reading what the official tool of VBench leaves: `*_eval_results.json`.

A file is an object from a dimension to `[aggregate, videos]` (camera motion: `[aggregate, by type,
videos]`); a bare number is taken as the aggregate of videos that nobody kept. Aggregates are 0 to
1; of the videos alone, imaging quality is 0 to 100. Any doubt is an error with the file: a value on
another scale enters a total without a sign.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from formats.errors import FormatError
from formats.vbench import BESIDE, FLICKERING, PROTOCOLS, QUALITY, Dimension, Protocol

UNIT: Final = "0-1"
PERCENT: Final = "0-100"
SCALES: Final = (UNIT, PERCENT)
MOST_BYTES: Final = 64 * 1024 * 1024
# Further apart, an aggregate is not the mean of these videos, whether by video or by frame.
_APART: Final = 0.02
_ROUNDING: Final = 1e-6
_BESIDE: Final = Dimension(FLICKERING, QUALITY, 0.6293, 1.0, "", 0)
_LONG_NAMES: Final = {
    "video_text_camera_motion": "camera_motion",
    "video_image_subject_consistency": "i2v_subject",
    "video_image_background_consistency": "i2v_background",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One dimension of one file. `raw` is 0 to 1; `of_videos` are the file's own, by their path."""

    key: str
    raw: float
    file: str
    of_videos: dict[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that some files say, each dimension once, and what a person should know."""

    measured: dict[str, Measured]
    notes: list[str]


def read_results(
    files: Iterable[tuple[str, bytes]], protocol: Protocol, *, scale: str = UNIT
) -> Found:
    """All files as one result; FormatError names the file and what was expected."""
    if scale not in SCALES:
        raise FormatError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    found = Found({}, [])
    for name, data in files:
        read = _values(name, data, protocol, scale)
        if not read:
            raise FormatError("the file names no dimension; expected at least one", path=name)
        for each in read.values():
            _take(found, each)
            found.notes.extend(_doubts(each, protocol))
    if not found.measured:
        raise FormatError("there is no file of results; expected at least one *_eval_results.json")
    return found


def _take(found: Found, new: Measured) -> None:
    """A dimension twice: the same is said once, something else is an error."""
    old = found.measured.setdefault(new.key, new)
    if old is new:
        return
    if old.raw != new.raw:
        raise FormatError(
            f"{new.key} is {new.raw:g} here and {old.raw:g} in {old.file};"
            " keep the file of one measurement",
            path=new.file,
        )
    found.notes.append(f"{new.file}: {new.key} is in {old.file} too, with the same value")


# One file.


def _values(name: str, data: bytes, protocol: Protocol, scale: str) -> dict[str, Measured]:
    rows: dict[str, Measured] = {}
    for written, value in _object(name, data).items():
        dimension = _dimension(name, written, protocol)
        if dimension.key in rows:
            raise FormatError(f"{dimension.key} stands there twice", path=name)
        rows[dimension.key] = _measured(name, dimension, value, scale)
    _refuse_wrong_percent(name, rows, scale)
    return rows


def _object(name: str, data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise FormatError(
            f"the file has {len(data)} bytes; at most {MOST_BYTES} are read", path=name
        )
    try:
        # Whole numbers as floats: one of many digits is infinite, and refused like that.
        value = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_no_key_twice, parse_int=float
        )
    except UnicodeDecodeError as error:
        raise FormatError(
            f"not UTF-8 text: {error.reason} at byte {error.start}", path=name
        ) from None
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg}", path=name, line=error.lineno) from None
    except RecursionError:
        raise FormatError("not a file of results: it is nested too deeply", path=name) from None
    except _KeyTwiceError as error:
        raise FormatError(f"the key {error.args[0]!r} stands there twice", path=name) from None
    if not isinstance(value, dict):
        hint = "; this looks like *_full_info.json" if isinstance(value, list) else ""
        raise FormatError(
            f"expected an object from dimension to [aggregate, videos]{hint}; give the"
            " *_eval_results.json that the official tool writes",
            path=name,
        )
    return value


class _KeyTwiceError(Exception):
    pass


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _KeyTwiceError(key)
        found[key] = value
    return found


def _dimension(name: str, written: str, protocol: Protocol) -> Dimension:
    """By its key, with blanks for underscores, or by its long name in the scripts of I2V."""
    key = "_".join(written.replace("-", " ").replace("_", " ").lower().split())
    key = _LONG_NAMES.get(key, key)
    if key in BESIDE.get(protocol.key, ()):
        return _BESIDE
    if key not in protocol.names:
        other = next((each for each in PROTOCOLS.values() if key in each.names), None)
        if other is not None:
            raise FormatError(
                f"{key} is a dimension of {other.title}, not of {protocol.title};"
                f" import the file with the protocol {other.key}",
                path=name,
            )
    try:
        return protocol.get(key)
    except FormatError as error:
        raise FormatError(error.message, path=name) from None


def _measured(name: str, dimension: Dimension, value: object, scale: str) -> Measured:
    aggregate, videos = _taken_apart(name, dimension.key, value)
    raw = _number(name, dimension.key, aggregate)
    low, high = _range(dimension, 100.0 if scale == PERCENT else 1.0)
    if not low - _ROUNDING <= raw <= high + _ROUNDING:
        raise FormatError(_other_scale(dimension, raw, low, high, scale), path=name)
    of_videos = _of_videos(name, dimension, videos)
    return Measured(dimension.key, raw / 100 if scale == PERCENT else raw, name, of_videos)


def _taken_apart(name: str, key: str, value: object) -> tuple[object, list[Any]]:
    if not isinstance(value, list):
        return value, []
    if len(value) not in (2, 3) or not isinstance(value[-1], list):
        raise FormatError(
            f"{key} must be [aggregate, videos] as the official tool writes it", path=name
        )
    return value[0], value[-1]


def _number(name: str, what: str, value: object) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        shown = "null" if value is None else str(value)[:60]
        raise FormatError(f"{what} must be a finite number, got {shown}", path=name)
    return value


def _range(dimension: Dimension, top: float) -> tuple[float, float]:
    return (-top if dimension.cosine else 0.0), top


def _other_scale(dimension: Dimension, raw: float, low: float, high: float, scale: str) -> str:
    said = f"{dimension.key} is {raw:g}; expected {low:g} to {high:g}"
    if scale == PERCENT or raw < low or raw > 100:
        return said
    if dimension.percent:
        return (
            f"{said}: its aggregate is the mean of its videos divided by 100 (only the values of"
            f" the videos are 0 to 100); where all aggregates are percent, say scale {PERCENT}"
        )
    return f"{said}; where all values of the file are percent, say scale {PERCENT}"


def _refuse_wrong_percent(name: str, rows: Mapping[str, Measured], scale: str) -> None:
    if scale == PERCENT and rows and all(abs(each.raw) <= 0.01 for each in rows.values()):
        raise FormatError(
            f"no value is above 1, so the file is not on the scale {PERCENT}; say scale {UNIT}",
            path=name,
        )


# The videos of a dimension.


def _of_videos(name: str, dimension: Dimension, videos: list[Any]) -> dict[str, float]:
    low, high = _range(dimension, 100.0 if dimension.percent else 1.0)
    found: dict[str, float] = {}
    for row in videos:
        path, value = _video(name, dimension.key, row)
        if path in found:
            raise FormatError(f"{dimension.key} has the video {path!r} twice", path=name)
        if not low - _ROUNDING <= value <= high + _ROUNDING:
            raise FormatError(
                f"{dimension.key} of the video {path!r} is {value:g}; expected {low:g} to {high:g}",
                path=name,
            )
        found[path] = value
    if dimension.percent and found and max(found.values()) <= 1:
        raise FormatError(
            f"{dimension.key} of the videos is 0 to 100 in the official file, here none is above"
            f" 1: this is another scale",
            path=name,
        )
    return found


def _video(name: str, key: str, row: Any) -> tuple[str, float]:
    if not isinstance(row, dict) or not isinstance(row.get("video_path"), str):
        raise FormatError(f"{key} has a video without a video_path", path=name)
    value = row.get("video_results")
    if isinstance(value, bool):  # dynamic degree, human action
        return row["video_path"], float(value)
    return row["video_path"], _number(name, f"{key} of the video {row['video_path']!r}", value)


def _doubts(each: Measured, protocol: Protocol) -> list[str]:
    """An aggregate far from the mean of its own videos is kept, and said."""
    if not each.of_videos:
        return [f"{each.file}: {each.key} comes without the values of its videos"]
    percent = each.key in protocol.names and protocol.get(each.key).percent
    mean = math.fsum(each.of_videos.values()) / len(each.of_videos) / (100 if percent else 1)
    if abs(mean - each.raw) <= _APART:
        return []
    return [f"{each.file}: {each.key} is {each.raw:.4f}, the mean of its videos {mean:.4f}"]
