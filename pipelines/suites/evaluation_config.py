"""What an evaluation of a suite is asked for; its candidates and judges are inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.splitting import SPLITS
from pipelines.step_configs import StepConfig, check_weights, one_of, require, whole, yes_or_no
from pipelines.suites.existing_clips import LEAVE_OUT, REFUSE

MOST: Final = 8  # candidates of one evaluation
LONGEST_NAME: Final = 40  # of a candidate


@dataclass(frozen=True, slots=True)
class ExistingSide(StepConfig):
    """Clips that are there already: of a generator known here, or in a folder or an archive below
    MEDIA_ROOT/incoming with a table (path, prompt, model, seed).
    """

    generator: str = ""
    folder: str = ""
    archive: str = ""
    manifest: str = ""
    clips_per_prompt: int = 0
    missing: str = REFUSE

    def __post_init__(self) -> None:
        places = [self.folder, self.archive]
        for value in (self.generator, self.manifest, *places):
            require(isinstance(value, str), "where clips are", "a text", value)
        given = sum(map(bool, (self.generator, *places)))
        require(given == 1, "clips", "of one of: generator, folder, archive", given)
        table = bool(self.manifest) == any(places)
        require(table, "manifest", "the table of a folder or archive", self.manifest)
        whole("clips_per_prompt", self.clips_per_prompt, low=0)
        one_of("missing", self.missing, (REFUSE, LEAVE_OUT))

    @property
    def is_imported(self) -> bool:
        return bool(self.folder or self.archive)


@dataclass(frozen=True, slots=True)
class ImportedJudge(StepConfig):
    """A judge from outside: its scale per dimension, and a file of scores per side."""

    scale: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(isinstance(self.files, dict), "files", "an object from side to file", self.files)
        for side, file in self.files.items():
            require(isinstance(file, str), f"the file of {side}", "a text", file)


@dataclass(frozen=True, slots=True)
class SuiteEvaluationConfig(StepConfig):
    """What is left out is as the suite says.

    `split`, `category`, `limit` choose among its prompts. `clips` goes from a side (`base`, or the
    name of a candidate) to an ExistingSide; `scores` from the name of a judge to an ImportedJudge.
    `allow_trained_prompts`: prompts that a candidate was trained on count too. `allow_other_rates`:
    clips of other frame rates are compared all the same.
    """

    name: str = ""
    suite: str = ""
    split: str = ""
    category: str = ""
    limit: int = 0
    generation: dict[str, Any] = field(default_factory=dict)
    scoring: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    truth: dict[str, Any] | None = None
    report: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    scores: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_other_rates: bool = False
    allow_trained_prompts: bool = False

    def __post_init__(self) -> None:
        for name in ("name", "suite", "category"):
            require(isinstance(getattr(self, name), str), name, "a text", getattr(self, name))
        require(self.suite, "suite", "the name of a suite", self.suite)
        one_of("split", self.split, ("", *SPLITS))
        whole("limit", self.limit, low=0)
        check_weights(self.weights)
        for name in ("generation", "scoring", "report", "clips", "scores"):
            value = getattr(self, name)
            require(isinstance(value, dict), name, "an object", value)
        for name in ("allow_other_rates", "allow_trained_prompts"):
            yes_or_no(name, getattr(self, name))

    def existing(self) -> dict[str, ExistingSide]:
        return {side: ExistingSide.from_json(values) for side, values in self.clips.items()}

    def imported(self) -> dict[str, ImportedJudge]:
        return {name: ImportedJudge.from_json(values) for name, values in self.scores.items()}
