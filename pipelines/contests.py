"""Base and candidates on the same prompts and seeds, judged by all judges, compared, reported.

The rows of a contest are written by the caller's `start`: a loop and a comparison hold the same
contest and differ in what they put before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from formats.records import PromptRecord
from pipelines.models import Artifact, BaseModel, Run

Source = Artifact | BaseModel | Run
BASE: Final = "base"


class Start(Protocol):
    """Writes one run: start(kind, config, inputs, name, files=…)."""

    def __call__(
        self,
        kind: str,
        values: Mapping[str, Any],
        inputs: Mapping[str, Source],
        name: str,
        **options: Any,
    ) -> Run: ...


@dataclass(frozen=True, slots=True)
class ContestConfig:
    """Each section is the config of its run kind; without `truth` nobody knows the truth.

    `clips_of` is the name that clips of the base carry; a candidate's carry its own behind it,
    with `mark` to tell it from candidates of the same name elsewhere.
    """

    generation: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    clips_of: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Contest:
    """One contest while its rows are written. `backbone` is that of the judges."""

    start: Start
    config: ContestConfig
    prompts: Sequence[PromptRecord]
    generator: Source
    judges: Mapping[str, Source]
    backbone: Source | None

    def hold(self, candidates: Mapping[str, Run]) -> Run:
        """Clips, scores and truth of each side; then the figures of each candidate; the report."""
        sides = {BASE: self._side(BASE, None)}
        sides |= {name: self._side(name, adapter) for name, adapter in candidates.items()}
        evaluations = {
            f"evaluation:{name}": self._evaluation(name, sides[BASE], sides[name])
            for name in candidates
        }
        return self.start("report", self.config.report, evaluations, "Report")

    def _side(self, name: str, adapter: Run | None) -> dict[str, Run]:
        config = self.config
        inputs: dict[str, Source] = {"generator": self.generator}
        values = {**config.generation, "generator": config.clips_of}
        if adapter is not None:
            inputs["adapter"] = adapter
            values["generator"] = f"{config.clips_of} + {name} ({config.mark})"
        clips = self.start(
            "generation", values, inputs, f"Test clips of {name}",
            files={"prompts": self.prompts},
        )  # fmt: skip
        return {"clips": clips, **self._scores(name, clips)}

    def _scores(self, side: str, clips: Run) -> dict[str, Run]:
        with_backbone = {} if self.backbone is None else {"backbone": self.backbone}
        scores = {
            f"scores:{judge}": self.start(
                "scoring",
                self.config.scoring,
                {"reward_model": model, **with_backbone, "generations": clips},
                f"Scores of {side} by {judge}",
            )
            for judge, model in self.judges.items()
        }
        if self.config.truth is not None:
            scores["scores:truth"] = self.start(
                "truth", self.config.truth, {"generations": clips}, f"Truth of {side}"
            )
        return scores

    def _evaluation(self, name: str, base: Mapping[str, Run], candidate: Mapping[str, Run]) -> Run:
        inputs = {"base": base["clips"], "candidate": candidate["clips"]}
        for side, runs in (("base", base), ("candidate", candidate)):
            inputs |= {
                f"{side}_{role}": run for role, run in runs.items() if role.startswith("scores:")
            }
        values = {**self.config.evaluation, "candidate": name}
        return self.start("evaluation", values, inputs, f"{name} against base")
