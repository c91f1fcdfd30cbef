"""Tasks for Label Studio: our consensus as the annotation, and the labelling config beside it.

Label Studio reads a list of tasks. What is no label lies in the `data` of a task, where its
template ignores it and its exports keep it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from formats.dimensions import DimensionSet
from formats.labels import Label
from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Made, Staging

_OF_CLIP: Final = ("sha256", "fps", "num_frames", "generator", "seed")


def write(source: Source, staging: Staging, name: str) -> None:
    config = f"{name}.config.xml"

    def fill(places: Mapping[str, Path]) -> Made:
        places[config].write_text(labelling_config(source.dimensions), encoding="utf-8")
        count, undecided = 0, dict.fromkeys(source.keys, 0)
        with places[name].open("wb") as file:
            for row in source.rows():
                file.write(b",\n" if count else b"[\n")
                file.write(json.dumps(task(row), ensure_ascii=False).encode())
                count += 1
                for key in source.keys:
                    undecided[key] += key not in row["labels"] and row["video_b"] is not None
            file.write(b"\n]\n" if count else b"[]\n")
        return Made({name: count}, {key: {"none": n} for key, n in undecided.items()})

    staging.make("rows", (name, config), fill)


def task(row: Row) -> dict[str, Any]:
    results = [_choice(key, label) for key, label in sorted(row["labels"].items())]
    for side in "ab":
        results += [_number(side, *each) for each in sorted(row[f"scores_{side}"].items())]
    return {"data": _data(row), "annotations": [{"result": results}]}


def _data(row: Row) -> dict[str, Any]:
    clips = {"a": row["video_a"], "b": row["video_b"] or {}}
    image = row.get("image") or {}
    return {
        "pair_id": row["pair_id"],
        "prompt": row["prompt"],
        "video_a": row["video_a"]["path"],
        "video_b": clips["b"].get("path", ""),
        "split": row["split"],
        **{f"{name}_{side}": clips[side].get(name) for side in "ab" for name in _OF_CLIP},
        "image_path": image.get("path"),
        "image_sha256": image.get("sha256"),
        "posterior": row["posterior"],
        "votes": row["votes"],
        "source": row["source"],
    }


def _choice(key: str, label: str) -> dict[str, Any]:
    value = {"choices": [label]}
    return {"from_name": key, "to_name": "video_a", "type": "choices", "value": value}


def _number(side: str, key: str, score: float) -> dict[str, Any]:
    name = f"score_{side}_{key}"
    return {"from_name": name, "to_name": "video_a", "type": "number", "value": {"number": score}}


def labelling_config(dimensions: DimensionSet) -> str:
    """What Label Studio shows: the prompt, both clips, and the question of each dimension."""
    choices = "".join(f'    <Choice value="{label.value}"/>\n' for label in Label)
    parts = [
        f"  <Header value={quoteattr(each.question)}/>\n"
        f'  <Choices name="{each.key}" toName="video_a" choice="single">\n{choices}  </Choices>\n'
        for each in dimensions.dimensions
    ]
    parts += [
        f'  <Number name="score_{side}_{key}" toName="video_a" min="1" max="5" step="0.01"/>\n'
        for key in dimensions.keys
        for side in "ab"
    ]
    clips = (
        '  <Video name="video_a" value="$video_a"/>\n  <Video name="video_b" value="$video_b"/>\n'
    )
    text = '  <Text name="prompt" value="$prompt"/>\n'
    return f"<View>\n{text}{clips}{''.join(parts)}</View>\n"
