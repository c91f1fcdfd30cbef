"""Clips of strangers into the store (run kind `ingest`): a folder or an archive, with a manifest.

Every file ends in one of two ways: it is in the store, ready for people and trainers, or it is
refused with a sentence. What was settled stands in a journal in the run directory, so that a run
that was killed goes on where it was; settling a file twice changes nothing either.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from annotation.errors import AnnotationError
from annotation.imports.clip_lists import Listed, files_below, listed, read_manifest
from annotation.media.archives import unpack
from annotation.media.flashes import SAFE
from annotation.media.keeping import (
    KeptClip,
    below_incoming,
    register_clip,
    store_reference_image,
    sweep_quarantine,
)
from annotation.media.taking import Taken, Taker
from annotation.media.twins import Seen, look_alike, same_bytes
from annotation.models import Generator, Prompt, Video
from formats.chunks import chunk_fault, chunk_of
from formats.errors import FormatError
from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.step_configs import StepConfig, StepConfigError, require, whole

INGEST: Final = "ingest/1"
FILE: Final = "outputs/ingest.json"
UNPACKED: Final = "unpacked"
_LOG_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class IngestConfig(StepConfig):
    """Where the clips are, below MEDIA_ROOT/incoming, and what is said about them."""

    folder: str = ""
    archive: str = ""
    manifest: str = ""  # a table in the folder or archive: path, prompt, model, seed …
    prompt: str = ""  # of every clip, where there is no manifest
    generator: str = ""  # of every clip whose row names none
    processes: int = 0  # files at a time; 0: one per core
    # Above 1 the files are shared out among so many runs, and one more gathers their reports; each
    # of them has its number in `chunk`.
    chunks: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name in ("folder", "archive", "manifest", "prompt", "generator"):
            require(isinstance(getattr(self, name), str), name, "text", getattr(self, name))
        if bool(self.folder) == bool(self.archive):
            raise StepConfigError(
                "name either a folder or a zip archive below MEDIA_ROOT/incoming, or upload one"
            )
        if bool(self.manifest) == bool(self.prompt.strip()):
            raise StepConfigError("give either a manifest or one prompt for all clips")
        whole("processes", self.processes, low=0)
        require(self.processes <= 64, "processes", "at most 64", self.processes)
        whole("chunks", self.chunks, low=1)
        if self.chunk is not None:
            whole("chunk", self.chunk, low=0)
        if fault := chunk_fault(self.chunks, self.chunk):
            raise StepConfigError(fault)

    @property
    def children(self) -> int:
        return self.processes or len(os.sched_getaffinity(0))

    def takes(self, name: str) -> bool:
        """Whether a file is of this run's chunk: by a hash, so that no run asks another."""
        return self.chunk is None or chunk_of(name, "", self.chunks) == self.chunk


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; what is missing or wrong in the folder is said before the run starts."""
    config = trainer_configs.checked(IngestConfig.from_json, values)
    try:
        found = below_incoming(config["folder"] or config["archive"])
        if config["folder"] and not found.is_dir():
            raise InvalidRunConfig(f"there is no folder incoming/{config['folder']} on the server")
        if config["archive"] and not found.is_file():
            raise InvalidRunConfig(f"there is no file incoming/{config['archive']} on the server")
        if config["folder"] and config["manifest"]:
            _rows(config["manifest"], {config["manifest"]: _inside(found, config["manifest"])})
    except AnnotationError as error:
        raise InvalidRunConfig(error.message) from None
    return config


def _inside(folder: Path, name: str) -> Path:
    """A file below the folder, wherever links would lead."""
    found = (folder / name).resolve()
    if not found.is_relative_to(folder) or not found.is_file():
        raise InvalidRunConfig(f"the folder holds no manifest {name!r}")
    return found


@dataclass(frozen=True, slots=True)
class Settled:
    """One file of the report."""

    file: str
    verdict: str  # re-muxed, encoded, refused
    reason: str = ""  # why refused
    video: str = ""  # id of the row
    known: bool = False  # the store had this clip before
    sha256: str = ""
    phash: str = ""
    prompt: str = ""  # sha256 of the prompt
    width: int = 0
    height: int = 0
    fps: float = 0.0
    num_frames: int = 0
    duration: float = 0.0
    variable: bool = False  # its rate was not constant; the copy for people is
    flashes: float | None = None


def run_journal(run_dir: Path) -> Path:
    return run_dir / "ingest.jsonl"


class Journal:
    """What is settled, one line per file, appended as it happens."""

    def __init__(self, file: Path):
        self._file = file
        self.settled: dict[str, Settled] = {}
        self.taken: set[str] = set()  # sha256 of what this run brought
        if file.exists():
            self._read()

    def _read(self) -> None:
        whole_lines = self._file.read_bytes().rpartition(b"\n")[0]
        for line in whole_lines.splitlines():
            self._note(Settled(**json.loads(line)))
        # A killed process may have left half a line: what comes next begins a line of its own.
        self._file.write_bytes(whole_lines + b"\n" if whole_lines else b"")

    def add(self, row: Settled) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        self._note(row)

    def _note(self, row: Settled) -> None:
        self.settled[row.file] = row
        if row.sha256 and not row.known:
            self.taken.add(row.sha256)


def perform(run: Supervised) -> Outcome:
    """Settle every file, then compare what was taken, and write the report."""
    config = IngestConfig.from_json(run.dir.config())
    sweep_quarantine()
    files = list(_planned(run, config))
    if not files and config.chunk is None:
        raise FormatError("there is no file to take")
    journal = Journal(run_journal(run.dir.root))
    _settle(run, config, files, journal)
    run.dir.log_metrics(len(files), len(files), stage="comparing")
    # What was unpacked is in the store by now.
    shutil.rmtree(run.dir.root / UNPACKED, ignore_errors=True)
    return reported(run, [journal.settled[each.name] for each in files])


def reported(run: Supervised, files: Sequence[Settled]) -> Outcome:
    """The report of what became of these files, as a file and as the end of the run."""
    report = _report(files)
    sha256 = write_json(run.dir.root / FILE, INGEST, report)
    counts = report["counts"]
    output = Output(OutputKind.INGEST, FILE, sha256, {"counts": counts})
    message = f"{counts['taken']} of {counts['files']} files taken, {counts['refused']} refused."
    return Outcome(
        ExitCode.DONE, message=message, outputs=(output,), summary={"what_became_of_them": counts}
    )


def _planned(run: Supervised, config: IngestConfig) -> Iterator[Listed]:
    """What there is to take."""
    try:
        files = _found(run, config)
        rows = _rows(config.manifest, files) if config.manifest else None
        files.pop(config.manifest, None)
        yield from (each for each in listed(files, rows) if config.takes(each.name))
    except AnnotationError as error:
        raise FormatError(error.message) from None


def _found(run: Supervised, config: IngestConfig) -> dict[str, Path]:
    given = below_incoming(config.folder or config.archive)
    if config.archive:
        run.dir.log_metrics(0, 1, stage="unpacking")
        return dict(_unpacked(given, run.dir.root / UNPACKED, config))
    files = files_below(given)
    if config.manifest:
        files[config.manifest] = _inside(given, config.manifest)
    return files


def _unpacked(archive: Path, folder: Path, config: IngestConfig) -> Mapping[str, Path]:
    """All names; the files of this chunk, and the pictures and the manifest that they need."""
    if config.chunk is None:
        return unpack(archive, folder)
    images: set[str] = set()
    if config.manifest:
        first = unpack(archive, folder, only=lambda name: name == config.manifest)
        rows = _rows(config.manifest, first)
        images = {row.image for name, row in rows.items() if row.image and config.takes(name)}
    needed = {*images, config.manifest}
    return unpack(archive, folder, only=lambda name: name in needed or config.takes(name))


def _rows(name: str, files: Mapping[str, Path]) -> dict[str, Any]:
    if name not in files:
        raise InvalidRunConfig(f"the archive holds no manifest {name!r}")
    return read_manifest(files[name], name)


def _settle(
    run: Supervised, config: IngestConfig, files: Sequence[Listed], journal: Journal
) -> None:
    open_files = [each for each in files if each.name not in journal.settled]
    for each in open_files:
        if each.fault:
            journal.add(Settled(each.name, "refused", each.fault))
    waiting = {each.path: each for each in open_files if not each.fault}
    progress = _Progress(run, len(files), journal)
    with Taker(config.children) as taker:
        for done in taker.take(waiting):
            if done is not None:
                path, found = done
                each = waiting[path]
                journal.add(_settled(each, found, config, journal))
            progress.tell()
            run.check()


class _Progress:
    """Files per second and how many of each kind, a few times a minute."""

    def __init__(self, run: Supervised, total: int, journal: Journal):
        self._run, self._total, self._journal = run, total, journal
        self._started, self._before = time.monotonic(), len(journal.settled)
        self._told = 0.0

    def tell(self) -> None:
        now, done = time.monotonic(), len(self._journal.settled)
        if now - self._told < _LOG_SECONDS and done < self._total:
            return
        self._told = now
        refused = sum(row.verdict == "refused" for row in self._journal.settled.values())
        speed = (done - self._before) / max(now - self._started, 1e-3)
        figures = {"clips_per_second": speed, "taken": done - refused, "refused": refused}
        self._run.dir.log_metrics(done, self._total, figures, stage="taking clips")


def _settled(each: Listed, found: Taken, config: IngestConfig, journal: Journal) -> Settled:
    if found.kept is None:
        return Settled(each.name, "refused", found.refusal)
    row = _row(each, found.kept, config)
    return replace(row, known=row.known and row.sha256 not in journal.taken)


def _row(each: Listed, kept: KeptClip, config: IngestConfig) -> Settled:
    """The row of a clip that is in the store; made, or the one that is there."""
    try:
        prompt = _prompt(each, config)
    except AnnotationError as error:
        return Settled(each.name, "refused", f"its reference image is refused: {error.message}")
    name = (each.row.a.generator if each.row else "") or config.generator
    before = Video.objects.filter(sha256=kept.sha256).exists()
    with transaction.atomic():
        video = register_clip(
            kept,
            prompt=prompt,
            generator=Generator.objects.get_or_create(name=name)[0] if name else None,
            seed=each.row.a.seed if each.row else None,
            original_path=each.name[:1000],
        )
    clip = kept.clip
    return Settled(
        each.name,
        "re-muxed" if clip.plays_everywhere else "encoded",
        video=str(video.pk),
        known=before,
        sha256=kept.sha256,
        phash=clip.phash,
        prompt=prompt.sha256,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        num_frames=clip.num_frames,
        duration=clip.duration,
        variable=clip.variable,
        flashes=clip.flashes,
    )


def _prompt(each: Listed, config: IngestConfig) -> Prompt:
    row = each.row
    if row is None:
        return Prompt.objects.for_text(config.prompt)
    if row.image and each.image is None:
        raise AnnotationError(f"{row.image} is not there")
    image = store_reference_image(each.image, original_path=row.image) if each.image else None
    prompt = Prompt.objects.for_text(row.prompt, image)
    if row.category and not prompt.category:
        Prompt.objects.filter(pk=prompt.pk).update(category=row.category)
    return prompt


# The report.


def _report(files: Sequence[Settled]) -> dict[str, Any]:
    taken = [row for row in files if row.video]
    seen = [Seen(row.file, row.sha256, row.phash, row.prompt) for row in taken]
    twins = look_alike(seen)
    repeated = same_bytes(seen)
    verdicts = Counter(row.verdict for row in files)
    flashing = [row.file for row in taken if (row.flashes or 0) > SAFE]
    return {
        "counts": {
            "files": len(files),
            "taken": len(taken),
            "re-muxed": verdicts["re-muxed"],
            "encoded": verdicts["encoded"],
            "variable rate made constant": sum(row.variable for row in taken),
            "refused": verdicts["refused"],
            "known before": sum(row.known for row in taken),
            "same bytes as another file": sum(len(names) - 1 for names in repeated),
            "look the same, same prompt": sum(twin.same_prompt for twin in twins),
            "look the same, another prompt": sum(not twin.same_prompt for twin in twins),
            "flash more than three times a second": len(flashing),
        },
        "files": [asdict(row) for row in files],
        "same_bytes": repeated,
        "alike": [twin.to_json() for twin in twins],
        "flashing": flashing,
    }
