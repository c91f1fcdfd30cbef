"""How a trainer ends: an exit code for the machine, outcome.json for everybody."""

from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final


class ExitCode(IntEnum):
    """Exit codes of a trainer; every other code is a crash and is tried again."""

    DONE = 0
    BAD_CONFIG = 64
    BAD_DATA = 65
    NON_FINITE = 70
    OUT_OF_MEMORY = 71
    DISK_FULL = 73
    RUN_ME_AGAIN = 75  # saved, then stopped because it was asked to


# Trying these again would give the same answer.
FINAL: Final = frozenset({ExitCode.BAD_CONFIG, ExitCode.BAD_DATA, ExitCode.NON_FINITE})


class OutputKind(StrEnum):
    """What a run can leave behind. The web side registers one `Artifact` row for each."""

    VOTES = "votes"  # who voted how often, as the simulated annotators of the demo saw it
    SNAPSHOT = "snapshot"
    BASE_MODEL = "base_model"
    REWARD_MODEL = "reward_model"
    LATENT_REWARD_MODEL = "latent_reward_model"
    ADAPTER = "adapter"
    GENERATIONS = "generations"
    SCORES = "scores"
    PAIRS = "pairs"
    EVALUATION = "evaluation"
    REPORT = "report"
    GUIDANCE_GRID = "guidance_grid"  # every way of reward guidance against plain sampling
    LEARNING_CURVE = "learning_curve"  # accuracy over amounts of votes
    REWARD_EVALUATION = "reward_evaluation"  # a reward model against the votes of a snapshot
    BENCHMARK = "benchmark"  # a reward model against the votes of a published benchmark
    EXPORT = "export"  # a snapshot in the format of another tool
    INGEST = "ingest"  # what became of each file of a media import
    VBENCH = "vbench"  # the dimensions of VBench and proxies of them, of one generator
    RETEST = "retest"  # a blind campaign, and which clip of each of its pairs is the candidate's
    HUMAN_TEST = "human_test"  # what people said of a candidate against its base


@dataclass(frozen=True, slots=True)
class Output:
    """`path` is relative to the run directory: a file, or a folder with a manifest.json.

    `sha256` is of the file, or of the folder's manifest.json.
    """

    kind: OutputKind
    path: str
    sha256: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What outcome.json says: `reason` is a word for machines, `message` a sentence for people."""

    exit_code: int
    reason: str = ""
    message: str = ""
    outputs: tuple[Output, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Outcome":
        outputs = tuple(
            Output(**{**row, "kind": OutputKind(row["kind"])}) for row in value.get("outputs", ())
        )
        return cls(**{**value, "outputs": outputs})
