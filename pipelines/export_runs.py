"""A snapshot in the format of another tool, as a run (kind `export`): large ones take minutes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.checkpoints import commit_folder
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from pipelines.exporting import FORMATS, SUFFIXES, Export, export
from pipelines.models import Artifact, RunInput
from pipelines.step_configs import StepConfig, one_of

KIND: Final = "export"
FOLDER: Final = "export"
_STAGES: Final = 3


@dataclass(frozen=True, slots=True)
class ExportConfig(StepConfig):
    """Which format; they are those of `manage.py export`."""

    format: str = "parquet"

    def __post_init__(self) -> None:
        one_of("format", self.format, tuple(FORMATS))


def perform(run: Supervised) -> Outcome:
    """Write the files, and beside them what the format has no place for."""
    config = ExportConfig.from_json(run.dir.config())
    run.dir.log_metrics(0, _STAGES, stage="reading the snapshot")
    source = run.dir.input("snapshot")
    snapshot = _snapshot(int(run.dir.root.name))
    run.check()
    done: list[Export] = []

    def fill(folder: Path) -> None:
        run.dir.log_metrics(1, _STAGES, stage="writing")
        name = f"snapshot-{snapshot.pk}-{config.format}{SUFFIXES[config.format]}"
        done.append(export(snapshot, config.format, folder / name, source=source))
        run.check()
        run.dir.log_metrics(2, _STAGES, stage="checking what was written")

    meta = {"format": config.format, "snapshot": snapshot.sha256}
    sha256 = commit_folder(run.dir.outputs / FOLDER, fill, meta)
    run.dir.log_metrics(_STAGES, _STAGES, stage="done")
    summary = {"format": config.format, "rows": done[0].rows, "left_out": _some(done[0])}
    output = Output(OutputKind.EXPORT, f"outputs/{FOLDER}", sha256, meta | summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _snapshot(run_id: int) -> Artifact:
    row = RunInput.objects.select_related("artifact").get(run=run_id, role="snapshot")
    assert row.artifact is not None  # it was pinned before this process was started
    return row.artifact


def _some(done: Export) -> dict[str, dict[str, int]]:
    """What the format has no place for, where there was any."""
    counted = {key: {word: n for word, n in row.items() if n} for key, row in done.left_out.items()}
    return {key: row for key, row in counted.items() if row}
