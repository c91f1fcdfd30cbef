"""Generated clips: into the store when their run ends, and back from the store for pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from django.conf import settings

from annotation.errors import MediaError
from annotation.models import Generator, Video
from formats.errors import FormatError
from formats.outcome import Outcome, OutputKind
from formats.records import GenerationRecord, VideoRef
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.start_images import prompt_row

FILE: Final = "generations.jsonl"
_AT_ONCE: Final = 500  # values in one SQL statement


def read_generations(path: Path) -> list[GenerationRecord]:
    """The records of a generation set, given its folder or its file."""
    return GenerationRecord.read(records_file(path))


def records_file(path: Path) -> Path:
    return path / FILE if path.is_dir() else path


def ingest(run: Run, outcome: Outcome) -> None:
    """Store each clip as a Video row with generator and seed. Repeated, it changes nothing."""
    for output in outcome.outputs:
        if output.kind is not OutputKind.GENERATIONS:
            continue
        records = records_file(Path(settings.RUNS_ROOT) / str(run.pk) / output.path)
        for line, record in enumerate(GenerationRecord.read(records), start=2):
            try:
                _store(record, records.parent, run)
            except MediaError as error:
                raise FormatError(str(error), path=records, line=line) from error


def _store(record: GenerationRecord, folder: Path, run: Run) -> Video:
    from annotation.media.keeping import store_video  # decoders, for who stores a clip

    generator, _ = Generator.objects.get_or_create(
        name=record.video.generator or f"{run.kind} of run {run.pk}"
    )
    return store_video(
        folder / record.video.path,
        prompt=prompt_row(record.prompt, record.image),
        generator=generator,
        seed=record.video.seed,
        original_path=record.video.path,
        meta={"run": run.pk, "prompt_id": record.prompt_id, "split": record.split},
    )


def stored_files(sha256s: Iterable[str]) -> dict[str, str]:
    """Where the store keeps these clips, below the media root, by content."""
    wanted = sorted(set(sha256s))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Video.objects.filter(sha256__in=wanted[start : start + _AT_ONCE])
        found.update(rows.values_list("sha256", "file"))
    return found


def in_store(video: VideoRef, files: Mapping[str, str]) -> VideoRef:
    """The same clip with its path below the media root."""
    if video.sha256 not in files:
        raise FormatError(f"clip {video.id!r} is not in the store; its run has not registered it")
    return replace(video, path=files[video.sha256])


@dataclass(frozen=True, slots=True)
class Shown:
    """A generated clip and the row under which people can watch it."""

    record: GenerationRecord
    video: Video


def shown_clips(artifact: Artifact, *, limit: int | None = None) -> list[Shown]:
    """The clips of a generation set with their rows, in the order of the file; one query."""
    records = read_generations(path_of(artifact))[:limit]
    return with_rows(records)


def with_rows(records: list[GenerationRecord]) -> list[Shown]:
    """A clip that came without a seed is found by its content alone."""
    rows: dict[tuple[str, int | None], Video] = {}
    wanted = {record.video.sha256 for record in records}
    for video in Video.objects.filter(sha256__in=wanted, withdrawn=False):
        rows[video.sha256, video.seed] = video
    found = [
        (record, rows.get((sha256, record.video.seed)) or rows.get((sha256, None)))
        for record in records
        for sha256 in (record.video.sha256,)
    ]
    return [Shown(record, row) for record, row in found if row is not None]
