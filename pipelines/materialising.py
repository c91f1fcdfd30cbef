"""The media that a run reads, made local before it starts: trainers know files, not services.

Where the storage is a folder they are there already. Where it is a bucket, what the run's inputs
name is fetched into MEDIA_ROOT and checked against its sha256; what is there from before stays.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from annotation.errors import MediaError
from annotation.storage import LocalMedia, media_storage
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
from pipelines import launching
from pipelines.errors import ArtifactMissing
from pipelines.generations import read_generations
from pipelines.models import Run
from pipelines.registry import path_of

_AT_ONCE: Final = 8


def make_local(run: Run) -> int:
    """Fetch what the run's inputs name; give how many clips and start images they are.

    ArtifactMissing if one fails. May take long; the caller keeps the lease.
    """
    store = media_storage()
    if isinstance(store, LocalMedia):
        return 0
    wanted = {ref.path: ref for ref in media_of(run)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            list(pool.map(lambda ref: store.local(ref.path, ref.sha256), wanted.values()))
        except MediaError as error:
            message = f"a clip of its inputs cannot be fetched: {error.message}"
            raise ArtifactMissing(message) from None
    return len(wanted)


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
