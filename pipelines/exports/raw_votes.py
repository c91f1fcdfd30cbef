"""Each vote that a snapshot counted: JSON lines, one per annotator and pair, behind a header.

People have names of this export. Beside what a person said stand the consensus and the posterior of
the pair, and how reliable that person is. A pair whose labels were imported has no vote, and no
line; nor has a clip that was scored alone, of which a snapshot keeps the means only.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Made, Staging

SCHEMA: Final = "snapshot-votes/1"
_OF_CLIP: Final = ("path", "sha256", "fps", "num_frames", "generator", "seed")


def write(source: Source, staging: Staging, name: str) -> None:
    def fill(places: Mapping[str, Path]) -> Made:
        count = without = 0
        reliability = source.reliability()
        with places[name].open("wb") as file:
            file.write(_line(_head(source)))
            for row in source.rows():
                without += not row["judgements"]
                for vote in votes_of(row, source.keys, reliability):
                    file.write(_line(vote))
                    count += 1
        return Made({name: count}, {"pairs": {"without votes": without}})

    staging.make("rows", (name,), fill)


def _head(source: Source) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "snapshot": source.sha256,
        "dimensions": source.dimensions.to_json(),
    }


def votes_of(
    row: Row, keys: tuple[str, ...], reliability: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    """The lines of one pair, by annotator."""
    said: dict[str, dict[str, str]] = {}
    for annotator, key, label in row["judgements"]:
        said.setdefault(annotator, {})[key] = label
    if not said:
        return
    pair = _pair(row, keys)
    for annotator in sorted(said):
        yield {
            **pair,
            "annotator": annotator,
            "labels": said[annotator],
            "reliability": reliability.get(annotator, {}),
        }


def _pair(row: Row, keys: tuple[str, ...]) -> dict[str, Any]:
    sides = (("a", row["video_a"]), ("b", row["video_b"] or {}))
    return {
        "pair_id": row["pair_id"],
        "prompt": row["prompt"],
        "split": row["split"],
        **{f"{name}_{side}": clip.get(name) for side, clip in sides for name in _OF_CLIP},
        "image": _image(row),
        "consensus": {key: row["labels"].get(key) for key in keys},
        "posterior": row["posterior"],
    }


def _image(row: Row) -> dict[str, str] | None:
    image = row.get("image")
    return {name: image[name] for name in ("path", "sha256")} if image else None


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
