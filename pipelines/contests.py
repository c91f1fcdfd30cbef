"""Base and candidates on the same prompts and seeds, judged by all judges, compared, reported.

The rows of a contest are written by the caller's `start`: a loop, a comparison and the evaluation
of a suite hold the same contest and differ in what they put before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from formats.records import PromptRecord
from formats.vbench import FLICKERING
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

    `vbench` are dimensions of VBench that the clips of every side are measured on. `clips_of` is
    the name that clips of the base carry; a candidate's carry its own behind it, with `mark` to
    tell it from candidates of the same name elsewhere.
    """

    generation: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    vbench: Sequence[str] = ()
    clips_of: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Contest:
    """One contest while its rows are written. `backbone` is that of the judges, but for those that
    `backbones` names. `imported`: per judge from outside and side the config of its scores.
    """

    start: Start
    config: ContestConfig
    prompts: Sequence[PromptRecord]
    generator: Source | None
    judges: Mapping[str, Source]
    backbone: Source | None
    backbones: Mapping[str, Source] = field(default_factory=dict)
    imported: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def hold(self, candidates: Mapping[str, Source]) -> Run:
        """Clips of the base and of each adapter, and all that `judge` does with them."""
        adapters: dict[str, Source | None] = {BASE: None, **candidates}
        return self.judge({name: self.clips(name, each) for name, each in adapters.items()})

    def judge(self, clips: Mapping[str, Source]) -> Run:
        """Scores and truth of each side; then the figures of each candidate; the report."""
        sides = {name: {"clips": each, **self._scores(name, each)} for name, each in clips.items()}
        evaluations = {
            f"evaluation:{name}": self._evaluation(name, sides[BASE], side)
            for name, side in sides.items()
            if name != BASE
        }
        return self.start(
            "report", self.config.report, {**evaluations, **self._measured(clips)}, "Report"
        )

    def _measured(self, clips: Mapping[str, Source]) -> dict[str, Run]:
        """VBench of every side, for the report where it needs nothing that may not be here.

        What needs the official package and its weights stands beside: a report waits for no
        measurement that fails for want of them.
        """
        wanted = list(self.config.vbench)
        if not wanted:
            return {}
        runs = {
            f"vbench:{name}": self.start(
                "vbench", {"dimensions": wanted}, {"generations": each}, f"VBench of {name}"
            )
            for name, each in clips.items()
        }
        return runs if set(wanted) == {FLICKERING} else {}

    def clips(self, name: str, adapter: Source | None, generator: Source | None = None) -> Run:
        """The run that makes the clips of one side, of the contest's generator or another one."""
        config, made_by = self.config, generator or self.generator
        assert made_by is not None  # who starts a contest asks for what its sides need
        inputs: dict[str, Source] = {"generator": made_by}
        values = {**config.generation, "generator": config.clips_of}
        if isinstance(generator, BaseModel):
            values["generator"] = generator.name
        if adapter is not None:
            inputs["adapter"] = adapter
            values["generator"] = f"{values['generator']} + {name} ({config.mark})"
        return self.start(
            "generation", values, inputs, f"Test clips of {name}",
            files={"prompts": self.prompts},
        )  # fmt: skip

    def _scores(self, side: str, clips: Source) -> dict[str, Run]:
        scores = {
            f"scores:{judge}": self.start(
                "scoring",
                self.config.scoring,
                {"reward_model": model, **self._backbone_of(judge), "generations": clips},
                f"Scores of {side} by {judge}",
            )
            for judge, model in self.judges.items()
        }
        for judge, files in self.imported.items():
            scores[f"scores:{judge}"] = self.start(
                "imported_scores", files[side], {"generations": clips},
                f"Imported scores of {side} by {judge}",
            )  # fmt: skip
        if self.config.truth is not None:
            scores["scores:truth"] = self.start(
                "truth", self.config.truth, {"generations": clips}, f"Truth of {side}"
            )
        return scores

    def _backbone_of(self, judge: str) -> dict[str, Source]:
        found = self.backbones.get(judge, self.backbone)
        return {} if found is None else {"backbone": found}

    def _evaluation(
        self, name: str, base: Mapping[str, Source], candidate: Mapping[str, Source]
    ) -> Run:
        inputs = {"base": base["clips"], "candidate": candidate["clips"]}
        for side, runs in (("base", base), ("candidate", candidate)):
            inputs |= {
                f"{side}_{role}": run for role, run in runs.items() if role.startswith("scores:")
            }
        values = {**self.config.evaluation, "candidate": name}
        return self.start("evaluation", values, inputs, f"{name} against base")
