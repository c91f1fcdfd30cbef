"""The reports of all chunks of a media import as one (run kind `ingests_gathered`).

The clips are in the store already: each chunk has put its own there. What one file has to do with
another, which may have been in another chunk, is found here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from formats.chunks import chunk_fault
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import Outcome
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.ingests.ingesting import INGEST, Settled, reported
from pipelines.step_configs import StepConfig, StepConfigError, whole


@dataclass(frozen=True, slots=True)
class GatheredConfig(StepConfig):
    chunks: int = 1

    def __post_init__(self) -> None:
        whole("chunks", self.chunks, low=1)
        if fault := chunk_fault(self.chunks, None):
            raise StepConfigError(fault)


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    return trainer_configs.checked(GatheredConfig.from_json, values)


def perform(run: Supervised) -> Outcome:
    config = GatheredConfig.from_json(run.dir.config())
    reports = [run.dir.input(f"ingest:{number}") for number in range(config.chunks)]
    files = gathered(reports)
    if not files:
        raise FormatError("there is no file to take")
    run.dir.log_metrics(len(files), len(files), stage="comparing")
    return reported(run, files)


def gathered(reports: Sequence[Path]) -> list[Settled]:
    """Every file once, by name. What one of the chunks brought is new, whoever met it again."""
    found: dict[str, Settled] = {}
    for path in reports:
        for values in read_json(path, INGEST)["files"]:
            row = Settled(**values)
            if found.setdefault(row.file, row) is not row:
                raise FormatError(f"the file {row.file!r} is in two chunks", path=path)
    brought = {row.sha256 for row in found.values() if row.sha256 and not row.known}
    rows = [replace(row, known=row.known and row.sha256 not in brought) for row in found.values()]
    return sorted(rows, key=lambda row: row.file)
