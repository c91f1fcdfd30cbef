"""Scores that another judge gave to clips, from a file (run kind `imported_scores`).

A table below MEDIA_ROOT/incoming, CSV or JSON lines: which clip (`video`, `path`, or `prompt` with
`seed`) and one column per dimension. The config says the scale of each; a value off the scale
refuses the file. Higher is better.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.errors import AnnotationError
from annotation.media.keeping import below_incoming
from annotation.models import Video
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.generations import read_generations
from pipelines.scoring import FILE
from pipelines.step_configs import StepConfig, require
from pipelines.suites.score_files import NAMES, matched, read_rows

KIND: Final = "imported_scores"
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class ImportedScoresConfig(StepConfig):
    """`scale`: per dimension the lowest and the highest value that the judge can give."""

    file: str = ""
    judge: str = ""
    scale: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("file", "judge"):
            value = getattr(self, name)
            require(isinstance(value, str) and value.strip(), name, "a name", value)
        require(isinstance(self.scale, dict), "scale", 'as {"VQ": [0, 1]}', self.scale)
        require(self.scale, "scale", 'given, as {"VQ": [0, 1]}', self.scale)
        for key, ends in self.scale.items():
            require(_are_ends(ends), f"the scale of {key}", "[lowest, highest]", ends)
            require(key not in NAMES, "a dimension", f"none of {', '.join(NAMES)}", key)


def _are_ends(value: object) -> bool:
    """Two finite numbers, the lower one first."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    numbers = [each for each in value if type(each) in (int, float) and math.isfinite(each)]
    return len(numbers) == 2 and numbers[0] < numbers[1]


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; a file that is not there is said before the start."""
    config = trainer_configs.checked(ImportedScoresConfig.from_json, values)
    try:
        if not below_incoming(config["file"]).is_file():
            raise InvalidRunConfig(f"there is no file incoming/{config['file']} on the server")
    except AnnotationError as error:
        raise InvalidRunConfig(error.message) from None
    return config


def perform(run: Supervised) -> Outcome:
    """Bring each row to its clip; every clip of the set must have its scores."""
    config = ImportedScoresConfig.from_json(run.dir.config())
    clips = read_generations(run.dir.input("generations"))
    run.dir.log_metrics(0, len(clips), stage="reading")
    given = read_rows(below_incoming(config.file), config.file, config.scale)
    run.check()
    records = matched(clips, given, config.file, _original_paths(clips))
    sha256 = ScoreRecord.write(run.dir.outputs / FILE, records)
    run.dir.log_metrics(len(clips), len(clips), stage="done")
    means = {
        f"mean_{key}": sum(each.score[key] for each in records) / len(records)
        for key in config.scale
    }
    meta = {
        "judge": config.judge, "scale": config.scale, "dimensions": list(config.scale),
        "scored": len(records), "unreadable": 0, **means,
    }  # fmt: skip
    output = Output(OutputKind.SCORES, f"outputs/{FILE}", sha256, meta)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=meta)


def _original_paths(clips: Iterable[GenerationRecord]) -> dict[str, str]:
    """What the files of clips of an import were called, by content."""
    wanted = sorted({clip.video.sha256 for clip in clips})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Video.objects.filter(sha256__in=wanted[start : start + _AT_ONCE])
        found |= dict(rows.values_list("sha256", "original_path"))
    return found
