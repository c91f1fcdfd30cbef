"""A snapshot in the format of another tool, as a run (kind `export`): large ones take minutes.

Killed at any moment, the run goes on behind the last file that was whole: what it makes lies in a
staging folder of its run directory, and appears as an output in one step (pipelines.exports).
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils.crypto import salted_hmac

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import Supervised
from pipelines.exports import exporting
from pipelines.exports.exporting import FORMATS
from pipelines.exports.source import Media, Source
from pipelines.exports.staging import Staging
from pipelines.models import Artifact, RunInput
from pipelines.step_configs import StepConfig, one_of, require

KIND: Final = "export"
FOLDER: Final = "export"
STAGING: Final = "export-staging"  # in the run directory, beside `outputs`
MEDIA: Final = ("paths", "links", "files")
_LONGEST: Final = 500
_SECONDS: Final = 0.5  # between two lines of progress


@dataclass(frozen=True, slots=True)
class ExportConfig(StepConfig):
    """Which format, and how clips are named (pipelines.exports.source.Media)."""

    format: str = "parquet"
    media: str = "paths"
    prefix: str = ""  # before the path of each clip, where `media` is `links`

    def __post_init__(self) -> None:
        one_of("format", self.format, tuple(FORMATS))
        one_of("media", self.media, MEDIA)
        require(
            _is_short(self.prefix),
            "prefix",
            f"a text of at most {_LONGEST} characters",
            self.prefix,
        )
        wanted = self.media == "links"
        rule = "what stands before the path of a clip" if wanted else "empty, as media is not links"
        require(bool(self.prefix) == wanted, "prefix", rule, self.prefix)


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def perform(run: Supervised) -> Outcome:
    """Write the files, and beside them what the format has no place for."""
    config = ExportConfig.from_json(run.dir.config())
    snapshot, chosen = _snapshot(int(run.dir.root.name)), FORMATS[config.format]
    how = Media(config.media, config.prefix)
    wish = exporting.wish_of(snapshot, chosen, how)
    target = run.dir.outputs / FOLDER
    if (published := _published(target, wish)) is not None:
        return _outcome(*published)  # killed between the last two steps
    main = exporting.main_name(snapshot, chosen)
    tell = Teller(run, passes=chosen.passes + (how.how == "files"))
    folder, campaign = run.dir.input("snapshot"), snapshot.meta.get("campaign")
    source = Source(folder, snapshot.sha256, salt_of(run.dir), how, campaign, tell)
    tell.begin(source.count)
    staging = Staging(run.dir.root / STAGING, wish)
    exporting.write(source, staging, chosen, main)
    run.check()
    done = exporting.result(staging, target, main)
    meta = wish | {"main": done.rows} | exporting.facts_of(done)
    sha256 = staging.publish(target, meta)
    tell.end()
    return _outcome(meta, sha256)


class Teller:
    """Says how far a run is, some times a second at most, and asks whether it is to go on."""

    def __init__(self, run: Supervised, passes: int) -> None:
        self._run, self._passes = run, passes
        self._count = self._read = self._last = 0
        self._next = 0.0
        run.dir.log_metrics(0, 1, stage="checking the snapshot")

    def begin(self, count: int) -> None:
        self._count = max(1, count)
        self._log("writing")

    def __call__(self, rows: int) -> None:
        """`rows` of one pass were read; a smaller number than the last one begins a new pass."""
        self._run.check()
        self._read += rows - self._last if rows > self._last else rows
        self._last = rows
        if time.monotonic() >= self._next:
            self._log("writing")

    def end(self) -> None:
        self._read = self._total
        self._log("done")

    @property
    def _total(self) -> int:
        return self._count * self._passes

    def _log(self, stage: str) -> None:
        self._next = time.monotonic() + _SECONDS
        self._run.dir.log_metrics(min(self._read, self._total), self._total, stage=stage)


def salt_of(run_dir: RunDir) -> bytes:
    """Of the names of people: the same when a run is tried again, another one in other runs."""
    digest = salted_hmac(
        "pipelines.exports",
        run_dir.root.name,
        secret=settings.TIEBREAK_PSEUDONYM_SALT,
        algorithm="sha256",
    )
    return digest.digest()


def _published(target: Path, wish: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """What an earlier attempt has shown, if it is whole and of this wish."""
    try:
        meta = verify_folder(target)
    except FormatError:
        meta = {}
    if meta.items() >= wish.items():
        return meta, sha256_of(target / "manifest.json")
    shutil.rmtree(target, ignore_errors=True)
    return None


def _outcome(meta: Mapping[str, Any], sha256: str) -> Outcome:
    summary = {"format": meta["format"], "rows": meta["main"], "left_out": meta["left_out"]}
    files = {"media": meta["media"], "rows_of_files": meta["rows"]}
    whole = {"snapshot": meta["snapshot"], **files, **summary}
    output = Output(OutputKind.EXPORT, f"outputs/{FOLDER}", sha256, whole)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _snapshot(run_id: int) -> Artifact:
    row = RunInput.objects.select_related("artifact").get(run=run_id, role="snapshot")
    assert row.artifact is not None  # it was pinned before this process was started
    return row.artifact
