"""A snapshot in the formats of other tools. Each file appears whole or not at all.

The words of a label are ours (A, B, tie, invalid), except where a format has its own. What a format
has no place for is counted beside it, never silently dropped.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.exporting import pair_id, write_videoalign
from annotation.models import Campaign, Triplet
from formats.checkpoints import commit_folder
from formats.errors import FormatError
from formats.files import write_atomically
from formats.labels import Label
from formats.outcome import OutputKind
from formats.records import PreferenceRecord, VideoRef
from formats.snapshot import Snapshot, read_snapshot
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.splitting import SPLITS

_DECIDED: Final = (Label.A, Label.B)


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and what the format has no place for."""

    path: Path
    rows: int
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)


def find_snapshot(named: str) -> Artifact:
    """By id, or by the beginning of its sha256."""
    found = Artifact.objects.filter(kind=OutputKind.SNAPSHOT)
    by_id = found.filter(pk=int(named)).first() if named.isdecimal() and len(named) < 19 else None
    if by_id is not None:
        return by_id
    rows = list(found.filter(sha256__startswith=named.lower())[:2]) if len(named) >= 6 else []
    # The same votes give the same address, whoever took the snapshot: any of them will do.
    if not rows or len({row.sha256 for row in rows}) > 1:
        known = ", ".join(f"{row.pk} ({row.sha256[:12]})" for row in found[:5]) or "none"
        raise FormatError(f"there is no snapshot {named!r}; there are: {known}")
    return rows[0]


def export(
    artifact: Artifact, format_name: str, target: Path, *, source: Path | None = None
) -> Export:
    """Write a snapshot as `format_name`; an existing target is never overwritten.

    `source` is where it lies, if not where its run left it.
    """
    if format_name not in FORMATS:
        raise FormatError(f"unknown format {format_name!r}; there are: {', '.join(FORMATS)}")
    if target.exists():
        raise FormatError("the file is there already and is never overwritten", path=target)
    return FORMATS[format_name](artifact, read_snapshot(source or path_of(artifact)), target)


# VideoAlign


def _videoalign(artifact: Artifact, snapshot: Snapshot, target: Path) -> Export:
    """Byte for byte as it was imported, where it was; with our columns otherwise."""
    triplets = _triplets(artifact, snapshot)
    written = write_videoalign(triplets, target)
    return Export(target, written.rows, {"labels": {"none": written.undecided}})


def _triplets(artifact: Artifact, snapshot: Snapshot) -> list[Triplet]:
    """The triplets of the records, in the order in which they came, with the same labels still."""
    campaign = Campaign.objects.get(pk=artifact.meta["campaign"])
    wanted = {record.pair_id: record for record in snapshot.records}
    rows = (
        campaign.triplets.select_related("prompt", "video_a__generator", "video_b__generator")
        .prefetch_related("consensus__dimension")
        .order_by("pk")
    )
    found = {name: triplet for triplet in rows if (name := pair_id(triplet)) in wanted}
    for name, record in wanted.items():
        triplet = found.get(name)
        if triplet is None or _labels(triplet) != record.labels:
            raise FormatError(
                f"pair {name} has changed since the snapshot was taken; take a new one, or export "
                "this one as parquet"
            )
    return list(found.values())


def _labels(triplet: Triplet) -> dict[str, Label]:
    return {
        row.dimension.key: Label(row.label)
        for row in triplet.consensus.all()
        if row.label is not None
    }


# TRL


def _trl(_artifact: Artifact, snapshot: Snapshot, target: Path) -> Export:
    """Preference rows, one per decided dimension. TRL has no tie: the side file counts them."""
    left_out = {
        key: dict.fromkeys(("tie", "invalid", "none"), 0) for key in snapshot.dimensions.keys
    }
    rows = []
    for record in snapshot.records:
        for key in snapshot.dimensions.keys:
            label = record.labels.get(key)
            if label in _DECIDED and record.video_b is not None:
                rows.append(_preference(record, record.video_b, key, label))
            else:
                left_out[key]["none" if label is None else label.value] += 1
    side = target.with_name(f"{target.name}.left-out.json")
    write_atomically(target, _json_lines(rows))
    write_atomically(side, [json.dumps(left_out, indent=1).encode(), b"\n"])
    return Export(target, len(rows), left_out)


def _preference(
    record: PreferenceRecord, video_b: VideoRef, key: str, label: Label
) -> dict[str, Any]:
    chosen, rejected = record.video_a, video_b
    if label is Label.B:
        chosen, rejected = rejected, chosen
    return {
        "prompt": record.prompt,
        "chosen": chosen.path,
        "rejected": rejected.path,
        "dimension": key,
        "split": record.split,
        "pair_id": record.pair_id,
    }


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"


# Parquet, and the folder that Hugging Face `datasets` loads


def _parquet(artifact: Artifact, snapshot: Snapshot, target: Path) -> Export:
    write_atomically(target, [_parquet_bytes(artifact, snapshot, snapshot.records)])
    return Export(target, len(snapshot.records))


def _parquet_bytes(
    artifact: Artifact, snapshot: Snapshot, records: Iterable[PreferenceRecord]
) -> bytes:
    schema = _schema(snapshot).with_metadata(
        {
            "tiebreak.snapshot": artifact.sha256,
            "tiebreak.dimensions": json.dumps(snapshot.dimensions.to_json(), ensure_ascii=False),
        }
    )
    rows = [_flat(record, snapshot.dimensions.keys) for record in records]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _schema(snapshot: Snapshot) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    columns = [("pair_id", text), ("prompt", text), ("split", text)]
    for side in ("a", "b"):
        columns += [
            (f"path_{side}", text),
            (f"sha256_{side}", text),
            (f"fps_{side}", number),
            (f"num_frames_{side}", pa.int64()),
            (f"generator_{side}", text),
            (f"seed_{side}", pa.int64()),
        ]
    for key in snapshot.dimensions.keys:
        columns += [
            (f"label_{key}", text),
            (f"posterior_{key}", pa.list_(number)),
            (f"score_a_{key}", number),
            (f"score_b_{key}", number),
        ]
    return pa.schema([*columns, ("votes", pa.int64()), ("source", text)])


def _flat(record: PreferenceRecord, keys: Iterable[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "pair_id": record.pair_id,
        "prompt": record.prompt,
        "split": record.split,
        "votes": record.votes,
        "source": record.source,
        **_flat_video("a", record.video_a),
        **(_flat_video("b", record.video_b) if record.video_b else {}),
    }
    for key in keys:
        label = record.labels.get(key)
        row[f"label_{key}"] = None if label is None else label.value
        row[f"posterior_{key}"] = record.posterior.get(key)
        row[f"score_a_{key}"] = record.scores_a.get(key)
        row[f"score_b_{key}"] = record.scores_b.get(key)
    return row


def _flat_video(side: str, video: VideoRef) -> dict[str, Any]:
    return {
        f"path_{side}": video.path,
        f"sha256_{side}": video.sha256,
        f"fps_{side}": video.fps,
        f"num_frames_{side}": video.num_frames,
        f"generator_{side}": video.generator or None,
        f"seed_{side}": video.seed,
    }


def _hf(artifact: Artifact, snapshot: Snapshot, target: Path) -> Export:
    """A folder with one Parquet file per split and the card that names them."""
    by_split = {
        split: [record for record in snapshot.records if record.split == split] for split in SPLITS
    }

    def fill(folder: Path) -> None:
        (folder / "data").mkdir()
        for split, records in by_split.items():
            if records:
                file = folder / "data" / f"{split}.parquet"
                file.write_bytes(_parquet_bytes(artifact, snapshot, records))
        (folder / "README.md").write_text(_card(artifact, by_split), encoding="utf-8")

    commit_folder(target, fill, {"snapshot": artifact.sha256})
    return Export(target, len(snapshot.records))


_CARD: Final = """One row per pair of clips. `label_*` is A, B, tie or invalid, and empty where
people split; `posterior_*` is [P(A), P(tie), P(B)]. Paths are below the media root.
"""


def _card(artifact: Artifact, by_split: Mapping[str, list[PreferenceRecord]]) -> str:
    files = [
        f"  - split: {split}\n    path: data/{split}.parquet"
        for split, records in by_split.items()
        if records
    ]
    return "\n".join(
        [
            "---",
            "configs:",
            "- config_name: default",
            "  data_files:",
            *files,
            "---",
            "",
            f"# Preferences on generated videos, snapshot `{artifact.sha256}`",
            "",
            _CARD,
        ]
    )


# Label Studio


def _labelstudio(_artifact: Artifact, snapshot: Snapshot, target: Path) -> Export:
    """Tasks with our consensus as annotations; the labelling config lies beside them."""
    tasks = [_task(record) for record in snapshot.records]
    config = target.with_name(f"{target.name}.config.xml")
    write_atomically(target, [json.dumps(tasks, ensure_ascii=False, indent=1).encode(), b"\n"])
    write_atomically(config, [_labelling_config(snapshot).encode()])
    undecided = {
        key: {"none": sum(key not in record.labels for record in snapshot.records)}
        for key in snapshot.dimensions.keys
    }
    return Export(target, len(tasks), undecided)


def _task(record: PreferenceRecord) -> dict[str, Any]:
    results = [
        {
            "from_name": key,
            "to_name": "video_a",
            "type": "choices",
            "value": {"choices": [label.value]},
        }
        for key, label in sorted(record.labels.items())
    ]
    return {
        "data": {
            "pair_id": record.pair_id,
            "prompt": record.prompt,
            "video_a": record.video_a.path,
            "video_b": record.video_b.path if record.video_b else "",
            "split": record.split,
        },
        "annotations": [{"result": results}],
    }


def _labelling_config(snapshot: Snapshot) -> str:
    choices = "".join(f'    <Choice value="{label.value}"/>\n' for label in Label)
    parts = [
        f"  <Header value={quoteattr(each.question)}/>\n"
        f'  <Choices name="{each.key}" toName="video_a" choice="single">\n{choices}  </Choices>\n'
        for each in snapshot.dimensions.dimensions
    ]
    clips = (
        '  <Video name="video_a" value="$video_a"/>\n  <Video name="video_b" value="$video_b"/>\n'
    )
    text = '  <Text name="prompt" value="$prompt"/>\n'
    return f"<View>\n{text}{clips}{''.join(parts)}</View>\n"


FORMATS: Final[dict[str, Callable[[Artifact, Snapshot, Path], Export]]] = {
    "videoalign": _videoalign,
    "parquet": _parquet,
    "trl": _trl,
    "labelstudio": _labelstudio,
    "hf": _hf,
}
SUFFIXES: Final = {
    "videoalign": ".csv",
    "parquet": ".parquet",
    "trl": ".jsonl",
    "labelstudio": ".json",
    "hf": "",
}
