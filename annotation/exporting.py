"""Triplets out, as the VideoAlign CSV; single clips as their scores, one row each."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import prefetch_related_objects

from annotation.models import Consensus, Triplet, Video
from formats.files import write_atomically
from formats.labels import Label, to_videoalign


@dataclass(frozen=True, slots=True)
class Exported:
    rows: int
    undecided: int  # labels written as `invalid` because people split: the file has no word for it
    sha256: str


def pair_id(triplet: Triplet) -> str:
    """A name of the pair, the same in every database: the one it came with, or its content."""
    given = source_cells(triplet).get("pair_id", "")
    return given or content_id(triplet)


def content_id(triplet: Triplet) -> str:
    clips = [triplet.video_a, *([triplet.video_b] if triplet.video_b else [])]
    parts = (triplet.prompt.sha256, *(clip.sha256 for clip in clips))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def write_videoalign(triplets: Iterable[Triplet], path: Path | str) -> Exported:
    """Write the triplets with their consensus, all or nothing.

    Rows that came from one file go out byte for byte under that file's header, as long as their
    labels are still those; otherwise all rows get our columns. Scores are written where there are
    any. A dimension on which people split is written as `invalid`, which VideoAlign masks.
    """
    triplets = list(triplets)
    prefetch_related_objects(
        triplets,
        "prompt",
        "video_a__generator",
        "video_b__generator",
        "consensus__dimension",
        "campaign__dimension_set",
    )
    undecided = sum(
        each.label is None
        for triplet in triplets
        if triplet.video_b
        for each in triplet.consensus.all()
    )
    sha256 = write_atomically(Path(path), (line.encode() for line in _lines(triplets)))
    return Exported(len(triplets), undecided, sha256)


def _lines(triplets: Sequence[Triplet]) -> Iterator[str]:
    sources = [triplet.source_row or {} for triplet in triplets]
    headers = {source.get("header") for source in sources}
    as_they_came = all(_labels(each).items() <= source_cells(each).items() for each in triplets)
    if len(headers) == 1 and None not in headers and as_they_came:
        yield sources[0]["header"] + sources[0]["line_end"]
        yield from (source["row"] + source["line_end"] for source in sources)
        return
    columns = _columns(triplets)
    yield csv_line(columns)
    for triplet in triplets:
        values = _values(triplet)
        yield csv_line([values.get(column, "") for column in columns])


def source_cells(triplet: Triplet) -> dict[str, str]:
    """The imported row, by column; empty for a pair that was voted on here."""
    row = triplet.source_row
    if not row or "header" not in row:
        return dict(row or {})  # a pair to vote on may have brought its name
    header, values = (_fields(row[part]) for part in ("header", "row"))
    return dict(zip(header, values, strict=True))


def _fields(line: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline="")))


def _labels(triplet: Triplet) -> dict[str, str]:
    """The columns of labels; a clip that stands alone has scores instead."""
    if triplet.video_b is None:
        return {}
    return {each.dimension.key: _word(each) for each in triplet.consensus.all()}


def _word(consensus: Consensus) -> str:
    return to_videoalign(Label(consensus.label or Label.INVALID))


def _columns(triplets: Sequence[Triplet]) -> list[str]:
    """Those of VideoAlign, scores where there are any, and the name of the pair."""
    keys = list(
        dict.fromkeys(
            dimension.key
            for triplet in triplets
            for dimension in triplet.campaign.dimension_set.dimensions.all()
        )
    )
    scored = {column for triplet in triplets for column in _scores(triplet)}
    if triplets and all(each.video_b is None for each in triplets):
        clip = ("path", "prompt", *(f"MOS_{key}" for key in keys), "fps", "num_frames")
        return [*clip, "model", "pair_id"]
    scores = [f"MOS_{side}_{key}" for key in keys for side in "AB"]
    return [
        *("path_A", "path_B", "prompt", *keys),
        *("fps_A", "num_frames_A", "fps_B", "num_frames_B"),
        *(column for column in scores if column in scored),
        "pair_id",
    ]


def _values(triplet: Triplet) -> dict[str, str]:
    return {
        "prompt": triplet.prompt.text,
        **_clips(triplet),
        **_scores(triplet),
        # What the file said goes before what we found out: it is exported as it came.
        **source_cells(triplet),
        **_labels(triplet),
        "pair_id": pair_id(triplet),
    }


def _clips(triplet: Triplet) -> dict[str, str]:
    if triplet.video_b is None:
        generator = triplet.video_a.generator
        return {**_clip("", triplet.video_a), "model": generator.name if generator else ""}
    return {**_clip("_A", triplet.video_a), **_clip("_B", triplet.video_b)}


def _clip(tail: str, video: Video) -> dict[str, str]:
    return {
        f"path{tail}": video.original_path or video.file,
        f"fps{tail}": str(video.fps),
        f"num_frames{tail}": str(float(video.num_frames)),
    }


def _scores(triplet: Triplet) -> dict[str, str]:
    tails = ("_A", "_B") if triplet.video_b else ("", "")
    return {
        f"MOS{tail}_{each.dimension.key}": str(score)
        for each in triplet.consensus.all()
        for tail, score in zip(tails, (each.score_a, each.score_b), strict=True)
        if score is not None
    }


def csv_line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
