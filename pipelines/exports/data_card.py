"""The data card of an export: what the Hugging Face hub and `load_dataset` read of README.md."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from pipelines.exports.source import Source

Shards = Mapping[str, Mapping[str, int]]  # split -> file -> rows

_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_NAMES: Final = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>10M")
_COLUMNS: Final = """## Columns

One row per pair of clips; where people scored clips alone, one per clip, and `path_b` is empty.

| column | meaning |
| --- | --- |
| `pair_id` | name of the pair, the same in every export |
| `prompt`, `split` | the text; all pairs of a prompt are in one split |
| `path_a`, `path_b` | the clips: {place} |
| `sha256_*`, `fps_*`, `num_frames_*` | of the file |
| `generator_*`, `seed_*` | what made the clip; empty where nobody knows |
| `image_path`, `image_sha256` | the start image of an image-to-video prompt |
| `label_*` | consensus: `A`, `B`, `tie`, `invalid` (cannot be judged); empty where people split |
| `posterior_*` | [P(A), P(tie), P(B)] after Dawid and Skene: a soft label |
| `score_a_*`, `score_b_*` | mean scores from 1 to 5, where people gave them |
| `votes`, `source` | how many votes are behind it; `import` for labels that came from a file |
| `judgements` | each vote: annotator, dimension, label |
"""
_PEOPLE: Final = """## People

Annotators appear under names that mean something inside this export only. Nothing else about them
is in it.
"""
_PLACES: Final = {
    "paths": "below the media root of the site; the export does not hold them",
    "links": "addresses; the export does not hold them",
    "files": "in the folder `media` of the export, named by their sha256",
}


def card(source: Source, shards: Shards) -> str:
    """The head that machines read, and the text for people."""
    return "\n".join([*_head(shards), "", *_text(source, shards)])


def _head(shards: Shards) -> Iterator[str]:
    total = sum(sum(files.values()) for files in shards.values())
    size = _NAMES[sum(total >= limit for limit in _SIZES)]
    yield from ("---", "pretty_name: Preferences on generated videos")
    yield from ("tags:", "- preference", "- text-to-video", "- human-feedback")
    yield from ("size_categories:", f"- {size}")
    yield from ("configs:", "- config_name: default", "  data_files:")
    for split, files in shards.items():
        if files:
            yield from (f"  - split: {split}", "    path:")
            yield from (f"    - {file}" for file in files)
    yield "---"


def _text(source: Source, shards: Shards) -> Iterator[str]:
    yield "# Preferences on generated videos"
    yield f"\nSnapshot `{source.sha256}`, taken and exported by Tiebreak.\n"
    yield "| split | rows |\n| --- | --- |"
    yield from (f"| {split} | {sum(files.values())} |" for split, files in shards.items() if files)
    yield f"\n## Dimensions\n\n{source.dimensions.title}; `dimensions.json` has the guidelines.\n"
    yield "| key | title | question |\n| --- | --- | --- |"
    for each in source.dimensions.dimensions:
        yield f"| `{each.key}` | {_cell(each.title)} | {_cell(each.question)} |"
    yield ""
    yield _COLUMNS.format(place=_PLACES[source.media.how])
    yield _PEOPLE
    if agreed := source.meta.get("counts"):
        yield f"## Counts\n\n```json\n{json.dumps(agreed, indent=1, sort_keys=True)}\n```\n"


def _cell(text: str) -> str:
    """A text inside a table of Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")
