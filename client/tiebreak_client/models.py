"""What the site answers, as frozen dataclasses. A test holds each field to the site's schema."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# Campaigns.


@dataclass(frozen=True, slots=True)
class TripletCount:
    total: int
    done: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign with what a lead has set."""

    id: int
    name: str
    state: str
    kind: str
    dimension_set: str
    votes_wanted: int
    extra_votes: int
    open_to_all: bool
    triplets: TripletCount
    pool: int  # clips that pairs may be made of
    created_by: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A line of the list of campaigns."""

    id: int
    name: str
    state: str
    votes_wanted: int
    done: int
    total: int
    mine: int  # triplets that the token's owner has voted on


@dataclass(frozen=True, slots=True)
class CampaignList:
    campaigns: list[CampaignRow]


@dataclass(frozen=True, slots=True)
class PairCount:
    untouched: int
    partly: int
    complete: int
    adjudicated: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is."""

    campaign: int
    done: int
    total: int
    votes_wanted: int
    counted: int
    annotators: int
    votes_last_day: int
    pairs: PairCount


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import has written; `duplicates` and `warnings` name file and line."""

    campaign: int
    rows: int
    triplets: int
    pooled: int
    duplicates: list[str]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Extension:
    triplets: int
    slots: int
    reopened: int


@dataclass(frozen=True, slots=True)
class Plan:
    pairs: int
    votes: int
    prompts: int
    clips: int


@dataclass(frozen=True, slots=True)
class Planned:
    plan: Plan
    created: int


# Uploads.


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way; when it is done, `path` is what imports and runs take."""

    id: str
    name: str
    bytes: int
    sha256: str
    received: int
    done: bool
    path: str
    part_bytes: int


@dataclass(frozen=True, slots=True)
class UploadList:
    uploads: list[Upload]


# Runs.


@dataclass(frozen=True, slots=True)
class Run:
    """A run as lists show it; `words` say why it stands where it stands."""

    id: int
    name: str
    kind: str
    state: str
    words: str
    step: int
    total: int
    stage: str
    left: str  # time to finish, in words
    took: str
    percent: int
    ended: bool
    priority: int
    url: str

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True)
class RunList:
    runs: list[Run]


@dataclass(frozen=True, slots=True)
class LeftArtifact:
    """An artifact as its run names it."""

    id: int
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class WholeRun(Run):
    """The same with its config, its figures and what it has left."""

    config: dict[str, Any]
    summary: dict[str, Any]
    artifacts: list[LeftArtifact]

    def artifact(self, kind: str) -> int:
        """The id of what it has left of a kind; LookupError where there is none."""
        found = [each.id for each in self.artifacts if each.kind == kind]
        if not found:
            raise LookupError(f"run {self.id} has left no {kind}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Log:
    """Whole lines of a log: `text` begins at byte `start`, what comes next at byte `end`."""

    text: str
    start: int
    end: int
    size: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Points:
    metrics: list[Point]
    since: int


# Artifacts.


@dataclass(frozen=True, slots=True)
class Artifact:
    id: int
    kind: str
    run: int
    name: str
    sha256: str
    bytes: int
    created_at: datetime
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WholeArtifact(Artifact):
    files: list[ArtifactFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    next: str | None
    results: list[Artifact]


# Exports.


@dataclass(frozen=True, slots=True)
class Export:
    """An export of a snapshot: the run that writes it, and the artifact that it has left."""

    run: int
    state: str
    format: str
    media: str
    snapshot: int | None
    artifact: int | None
    rows: int | None
    left_out: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format, and what of a snapshot it has no place for, in sentences."""

    name: str
    title: str
    about: str
    folder: bool
    lost: list[str]
    beside: list[str]


@dataclass(frozen=True, slots=True)
class ExportList:
    exports: list[Export]
    formats: list[ExportFormat]


# Chains: evaluations of suites, human re-tests.


@dataclass(frozen=True, slots=True)
class RunOfChain:
    id: int
    kind: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class RunOfRetest(RunOfChain):
    words: str


@dataclass(frozen=True, slots=True)
class Judge:
    """A reward model (an artifact) that scores clips on a suite."""

    name: str
    reward_model: int
    backbone: int | None


@dataclass(frozen=True, slots=True)
class Scoring:
    """How clips on a suite are scored."""

    weights: dict[str, float]
    vbench: list[str]
    generation: dict[str, Any]
    scoring: dict[str, Any]
    truth: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class WholeScoring(Scoring):
    judges: list[Judge]


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """A line of the list of suites."""

    id: int
    name: str
    title: str
    prompts: int
    images: int
    judges: list[str]
    evaluations: int


@dataclass(frozen=True, slots=True)
class SuiteList:
    suites: list[SuiteRow]


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What an import of prompts has done; `duplicates` name both lines."""

    id: int
    name: str
    prompts: int
    is_new: bool
    warnings: list[str]
    duplicates: list[str]


@dataclass(frozen=True, slots=True)
class Prompt:
    position: int
    text: str
    short_text: str
    translations: dict[str, str]
    category: str
    split: str
    image: str | None


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite with up to a thousand of its prompts."""

    id: int
    name: str
    title: str
    source: str
    sha256: str
    count: int
    prompts: list[Prompt]
    scoring: Scoring
    judges: list[Judge]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The chain of runs that evaluates candidates on a suite."""

    id: int
    name: str
    suite: str
    config: dict[str, Any]
    runs: list[RunOfChain]
    ended: bool
    results: dict[str, int]  # candidate: artifact of its evaluation
    report: int | None


@dataclass(frozen=True, slots=True)
class RetestRow:
    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RetestList:
    retests: list[RetestRow]


@dataclass(frozen=True, slots=True)
class Retest:
    """A human re-test: what it waits for, and its result (human_test/1) when it is counted."""

    id: int
    name: str
    runs: list[RunOfRetest]
    ended: bool
    campaign: int | None
    votes_missing: int | None
    votes_wanted: int | None
    result: dict[str, Any] | None
    artifact: int | None
    report: int | None


# Reports.


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A line of the list of reports: what it recommends, and the verdict on each candidate."""

    id: int
    run: int
    name: str
    created_at: datetime
    recommendation: str
    verdicts: dict[str, str]


@dataclass(frozen=True, slots=True)
class ReportPage:
    next: str | None
    results: list[ReportRow]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for one candidate, by which rule. Old reports name none."""

    candidate: str
    verdict: str
    judge: str
    was_training_reward: bool
    rule: str = ""
    because: str = ""
    more: int | None = None  # votes or prompts that are missing, where it is that


@dataclass(frozen=True, slots=True)
class Report:
    """Of a report what it concludes; the whole of it are the files of its artifact."""

    title: str
    recommendation: str
    rules: list[str]
    candidates: list[Verdict]
