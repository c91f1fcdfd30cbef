"""Every vote of a campaign as it was given, for who computes their own figures.

People appear under pseudonyms: the same inside a campaign, another one in each campaign, so that
two exports cannot be joined (RELIABILITY D1); what they typed loses names and addresses. Rows are
read and written some thousand at a time.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from annotation.access.masking import Mask
from annotation.exporting import pair_id
from annotation.models import Campaign, Judgement, Video, Vote
from annotation.quality.haste import StraightLines, signs_of
from formats.files import fsync_folder, write_atomically
from formats.labels import Label

SCHEMA: Final = "votes/1"
_CHUNK: Final = 2_000
_SAID: Final = ("label", "reason", "score_a", "score_b")
_MIRROR: Final = {Label.A.value: "right", Label.B.value: "left"}
_PLAIN: Final = {Label.A.value: "left", Label.B.value: "right"}


def pseudonym(campaign: Campaign, user_id: int) -> str:
    """The name of a person inside one campaign. It changes if the salt does."""
    digest = salted_hmac(
        "annotation.raw_votes",
        f"{campaign.pk} {user_id}",
        secret=settings.TIEBREAK_PSEUDONYM_SALT,
        algorithm="sha256",
    )
    return f"annotator-{digest.hexdigest()[:12]}"


def json_lines(campaign: Campaign) -> Iterator[bytes]:
    """A header with the schema, then a line per vote, oldest first; history included."""
    head = {
        "schema": SCHEMA,
        "campaign": campaign.name,
        "dimensions": list(campaign.dimension_set.to_format().keys),
    }
    yield _line(head)
    for row in rows(campaign):
        yield _line(row)


def rows(campaign: Campaign) -> Iterator[dict[str, Any]]:
    lines, mask = StraightLines(), Mask.of(campaign)
    for vote in _votes(campaign).iterator(chunk_size=_CHUNK):
        row = _row(campaign, vote, lines)
        yield {**row, "remark": mask.text(vote.remark), "timing": mask.inside(vote.timing)}


def _votes(campaign: Campaign) -> QuerySet[Vote]:
    return (
        Vote.objects.filter(campaign=campaign)
        .select_related(
            "guideline",
            "triplet__prompt",
            "triplet__video_a__generator",
            "triplet__video_b__generator",
        )
        .prefetch_related("judgements__dimension")
        .order_by("submitted_at", "pk")
    )


def _row(campaign: Campaign, vote: Vote, lines: StraightLines) -> dict[str, Any]:
    triplet, judgements = vote.triplet, list(vote.judgements.all())
    clips = [each for each in (triplet.video_a, triplet.video_b) if each is not None]
    longer_ms = 1000 * max(clip.duration for clip in clips)
    signs = signs_of(vote.timing, vote.active_ms, longer_ms, len(clips))
    if lines.goes_on(vote.annotator_id, [_on_screen(each, swap=vote.swap) for each in judgements]):
        signs.append("straight_line")
    return {
        "vote": str(vote.pk),
        "supersedes": str(vote.supersedes_id) if vote.supersedes_id else None,
        "state": vote.state,
        "revision": vote.revision,
        "annotator": pseudonym(campaign, vote.annotator_id),
        "submitted_at": vote.submitted_at.isoformat(),
        "triplet": triplet.pk,
        "pair_id": pair_id(triplet),
        "prompt": triplet.prompt.text,
        "category": triplet.prompt.category,
        **_clip("a", triplet.video_a),
        **_clip("b", triplet.video_b),
        "swap": vote.swap,
        "guideline": vote.guideline.version if vote.guideline else None,
        "remark": "",  # in its place here, filled where names are known
        "active_ms": vote.active_ms,
        "signs": signs,
        "judgements": {
            each.dimension.key: {name: getattr(each, name) for name in _SAID} for each in judgements
        },
        "timing": {},
    }


def _clip(side: str, video: Video | None) -> dict[str, str | None]:
    generator = video.generator.name if video and video.generator else None
    return {
        f"video_{side}": str(video.pk) if video else None,
        f"sha256_{side}": video.sha256 if video else None,
        f"generator_{side}": generator,
    }


def _on_screen(judgement: Judgement, *, swap: bool) -> str:
    """What was pressed: a side, same, invalid, or a score."""
    label = judgement.label or str(judgement.score_a)
    return (_MIRROR if swap else _PLAIN).get(label, label)


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write_json_lines(campaign: Campaign, target: Path) -> int:
    """The whole file or nothing; how many votes."""
    count = -1  # the header is no vote

    def counted() -> Iterator[bytes]:
        nonlocal count
        for line in json_lines(campaign):
            count += 1
            yield line

    write_atomically(target, counted())
    return count


# Parquet: one column per dimension and thing said.


def write_parquet(campaign: Campaign, target: Path) -> int:
    """The whole file or nothing; how many votes."""
    keys = campaign.dimension_set.to_format().keys
    schema = _schema(keys).with_metadata({"schema": SCHEMA, "campaign": campaign.name})
    temporary = target.with_name(f".{target.name}.part")
    count = 0
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for some in _chunks(_flat(row, keys) for row in rows(campaign)):
                writer.write_table(pa.Table.from_pylist(some, schema=schema))
                count += len(some)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(target.parent)
    return count


def _chunks(flat: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for row in flat:
        some.append(row)
        if len(some) == _CHUNK:
            yield some
            some = []
    if some:
        yield some


def _schema(keys: tuple[str, ...]) -> pa.Schema:
    text, whole = pa.string(), pa.int64()
    columns = [(name, text) for name in ("vote", "supersedes", "state")]
    columns += [("revision", whole), ("annotator", text), ("submitted_at", text)]
    columns += [("triplet", whole), ("pair_id", text), ("prompt", text), ("category", text)]
    columns += [
        (f"{name}_{side}", text) for side in "ab" for name in ("video", "sha256", "generator")
    ]
    columns += [("swap", pa.bool_()), ("guideline", whole), ("remark", text), ("active_ms", whole)]
    columns += [("signs", pa.list_(text)), ("timing", text)]
    for key in keys:
        columns += [(f"label_{key}", text), (f"reason_{key}", text)]
        columns += [(f"score_a_{key}", whole), (f"score_b_{key}", whole)]
    return pa.schema(columns)


def _flat(row: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    said = row["judgements"]
    flat = {name: value for name, value in row.items() if name != "judgements"}
    flat["timing"] = json.dumps(row["timing"], ensure_ascii=False)
    for key in keys:
        for name in _SAID:
            flat[f"{name}_{key}"] = said.get(key, {}).get(name)
    return flat


WRITERS: Final[dict[str, Callable[[Campaign, Path], int]]] = {
    "jsonl": write_json_lines,
    "parquet": write_parquet,
}
