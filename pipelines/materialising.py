"""What a run reads, made local before it starts: trainers know files, not services.

Artifacts that another host has made come from the store of artifacts. Media lies in a folder, or
is fetched from a bucket into MEDIA_ROOT. All is checked against its sha256; what is there stays.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from annotation.errors import MediaError
from annotation.media.storage import LocalMedia, link_or_copy, media_storage
from formats.files import below
from formats.outcome import OutputKind
from formats.records import (
    GenerationRecord,
    ImageRef,
    PairRecord,
    PreferenceRecord,
    PromptRecord,
    VideoRef,
)
from formats.snapshot import read_snapshot
from pipelines import kinds, launching
from pipelines.errors import ArtifactMissing
from pipelines.generations import read_generations, records_file, stored_files
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.store.keeping import fetch, fetch_given

_AT_ONCE: Final = 8


def make_local(run: Run) -> int:
    """Fetch what the run's inputs name; give how many clips and start images they are.

    ArtifactMissing if one fails. May take long; the caller keeps the lease.
    """
    fetch_inputs(run)
    store = media_storage()
    if isinstance(store, LocalMedia) or not kinds.get(run.kind).opens_media:
        return 0
    wanted = {ref.path: ref for ref in media_of(run)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            list(pool.map(lambda ref: store.local(ref.path, ref.sha256), wanted.values()))
        except MediaError as error:
            message = f"a clip of its inputs cannot be fetched: {error.message}"
            raise ArtifactMissing(message) from None
    return len(wanted)


def fetch_inputs(run: Run) -> None:
    """The artifacts and given files that a run reads, where another host has made them."""
    rows = run.inputs.select_related("artifact", "base_model__artifact")
    for row in rows:
        artifact = row.artifact if row.base_model is None else row.base_model.artifact
        if row.file:
            fetch_given(row, launching.run_dir(run).root / row.file)
        elif artifact is not None:
            _fetch(artifact)


def _fetch(artifact: Artifact) -> None:
    # Older artifacts were never stored: what is wrong with them the run itself finds.
    if artifact.stored:
        fetch(artifact, path_of(artifact))
    if artifact.kind == OutputKind.GENERATIONS and records_file(path_of(artifact)).is_file():
        _fetch_clips(artifact)


def _fetch_clips(artifact: Artifact) -> None:
    """The clips of a generation set lie beside its list, and as media in the storage."""
    list_file = records_file(path_of(artifact))
    missing = {
        below(list_file.parent, each.video.path): each.video.sha256
        for each in read_generations(list_file)
        if not (list_file.parent / each.video.path).exists()
    }
    files = stored_files(missing.values())
    for target, sha256 in missing.items():
        if sha256 not in files:
            continue  # It was never registered; the run itself says what it cannot read.
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            link_or_copy(_local(files[sha256], sha256), temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _local(key: str, sha256: str) -> Path:
    try:
        return media_storage().local(key, sha256)
    except MediaError as error:
        message = f"a clip of its inputs cannot be fetched: {error.message}"
        raise ArtifactMissing(message) from None


def media_of(run: Run) -> Iterator[VideoRef | ImageRef]:
    """The clips and start images below the media root that the inputs of a run name."""
    for row in run.inputs.select_related("artifact"):
        if row.artifact is not None and (read := _READERS.get(row.artifact.kind)) is not None:
            yield from read(path_of(row.artifact))
        elif row.role == "prompts" and row.file:
            prompts = PromptRecord.read(launching.run_dir(run).root / row.file)
            yield from _images(prompts)


def _of_snapshot(path: Path) -> Iterator[VideoRef | ImageRef]:
    records = read_snapshot(path).records
    for record in records:
        yield record.video_a
        if record.video_b is not None:
            yield record.video_b
    yield from _images(records)


def _of_pairs(path: Path) -> Iterator[VideoRef | ImageRef]:
    records = PairRecord.read(path)
    for record in records:
        yield record.chosen
        yield record.rejected
    yield from _images(records)


def _of_generations(path: Path) -> Iterator[VideoRef | ImageRef]:
    """Their clips lie beside the list; what they started from lies in the store."""
    yield from _images(read_generations(path))


def _images(
    records: Iterable[PromptRecord | PreferenceRecord | PairRecord | GenerationRecord],
) -> Iterator[ImageRef]:
    for record in records:
        if record.image is not None:
            yield record.image


_READERS: Final[dict[str, Callable[[Path], Iterator[VideoRef | ImageRef]]]] = {
    OutputKind.SNAPSHOT: _of_snapshot,
    OutputKind.PAIRS: _of_pairs,
    OutputKind.GENERATIONS: _of_generations,
}
