"""The evaluation of a suite: base and candidates on its prompts, scored as it says, compared.

    made:      generator (+ adapter) → clips, the same seeds for every side
    existing:  clips of a generator, of a folder with a table, or of an earlier run → clips
    clips → scores of each judge, imported scores, truth → evaluations → one report

The page, the admin, the REST door and the command call `start_suite_evaluation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction

from formats.outcome import OutputKind
from formats.records import PromptRecord
from pipelines.contests import Contest, ContestConfig, Source
from pipelines.errors import InvalidRunConfig
from pipelines.group_runs import GroupRuns, known_group
from pipelines.models import BaseModel, GroupKind, LoopGroup, Run, Suite
from pipelines.suites.evaluation_config import SuiteEvaluationConfig
from pipelines.suites.existing_clips import KIND as EXISTING
from pipelines.suites.judges import (
    Seat,
    imported_by,
    judges_for,
    refuse_misjudged,
    refuse_unknown_weights,
)
from pipelines.suites.scoring import ScoringWay, way_of
from pipelines.suites.shelf import suite_prompts
from pipelines.suites.sides import generator_of, refuse_trained, sides_of, what_of

_REPORT: Final = "report Report"  # the run that every such group has


def start_suite_evaluation(
    config: Mapping[str, Any],
    inputs: Mapping[str, Source],
    user: User,
    *,
    nonce: str | None = None,
) -> LoopGroup:
    """Write all runs of an evaluation, or none; InvalidRunConfig, one sentence, where it cannot be.

    `inputs`: `candidate:NAME` and perhaps `base` – an adapter, a generator, or clips – and the
    `generator` of adapters, found by itself where it is theirs; `judges:NAME` with `backbone` where
    others than the suite's are to judge. The same nonce again gives what it started.
    """
    plan = _plan(config, inputs)
    with transaction.atomic():
        if nonce is not None and (known := known_group(user, nonce, _REPORT)) is not None:
            return known
        group = LoopGroup.objects.create(
            name=plan.config.name or f"Evaluation on {plan.suite}"[:200],
            kind=GroupKind.EVALUATION,
            config=plan.config.to_json(),
            created_by=user,
        )
        _Evaluation(plan, GroupRuns(group, user, nonce)).start()
    return group


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is known before a row is written, and nothing of it is wrong."""

    suite: Suite
    config: SuiteEvaluationConfig
    way: ScoringWay
    prompts: list[PromptRecord]
    sides: dict[str, Source | None]  # None: clips that the config names, or the bare generator
    generator: Source | None
    judges: dict[str, Seat]
    imported: dict[str, dict[str, dict[str, Any]]]

    @property
    def existing(self) -> set[str]:
        return set(self.config.clips)


def _plan(config: Mapping[str, Any], inputs: Mapping[str, Source]) -> _Plan:
    wanted = _read(config)
    suite = Suite.objects.filter(name=wanted.suite).first()
    if suite is None:
        raise InvalidRunConfig(f"there is no suite {wanted.suite[:100]!r}; import it first")
    way = way_of(suite)
    prompts = _prompts(suite, wanted)
    sides = sides_of(inputs, wanted)
    generator = generator_of(inputs, sides, wanted)
    judges = judges_for(suite, inputs)
    imported = imported_by(wanted, sides)
    refuse_misjudged(judges, imported, wanted.truth if wanted.truth is not None else way.truth)
    refuse_unknown_weights(wanted.weights or way.weights, judges, imported)
    if not wanted.allow_trained_prompts:
        refuse_trained(prompts, sides)
    return _Plan(suite, wanted, way, prompts, sides, generator, judges, imported)


def _read(config: Mapping[str, Any]) -> SuiteEvaluationConfig:
    try:
        wanted = SuiteEvaluationConfig.from_json(config)
        wanted.existing()
        wanted.imported()
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRunConfig(f"evaluation: {error}") from error
    return wanted


def _prompts(suite: Suite, config: SuiteEvaluationConfig) -> list[PromptRecord]:
    found = [
        each
        for each in suite_prompts(suite, config.split)
        if not config.category or each.category == config.category
    ]
    if not found:
        asked = [word for word in (config.split, config.category) if word]
        raise InvalidRunConfig(f"the suite {suite.name!r} has no prompt of {' and '.join(asked)}")
    return found[: config.limit or None]


# The rows.


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One evaluation while its rows are written."""

    plan: _Plan
    runs: GroupRuns

    def start(self) -> Run:
        contest = self._contest()
        clips = {name: self._clips(contest, name) for name in self.plan.sides}
        return contest.judge(clips)

    def _contest(self) -> Contest:
        plan, config, way = self.plan, self.plan.config, self.plan.way
        weights = config.weights or way.weights
        wanted = ContestConfig(
            generation={**way.generation, **config.generation},
            scoring={**way.scoring, **config.scoring},
            truth=config.truth if config.truth is not None else way.truth,
            evaluation={"weights": weights, "allow_other_rates": config.allow_other_rates},
            report=config.report,
            vbench=way.vbench,
            clips_of=_called(plan.generator),
            mark=f"evaluation {self.runs.group.pk}",
        )
        return Contest(
            self.runs.start, wanted, plan.prompts, plan.generator,
            {name: seat.reward_model for name, seat in plan.judges.items()}, None,
            {name: seat.backbone for name, seat in plan.judges.items() if seat.backbone},
            plan.imported,
        )  # fmt: skip

    def _clips(self, contest: Contest, name: str) -> Source:
        source = self.plan.sides[name]
        if name in self.plan.existing:
            return self._existing(name)
        if source is None:
            return contest.clips(name, None)
        what = what_of(source)
        if what == OutputKind.ADAPTER:
            return contest.clips(name, source)
        if what == OutputKind.BASE_MODEL:
            return contest.clips(name, None, source)
        return self._taken(name, source)

    def _existing(self, name: str) -> Run:
        side = self.plan.config.existing()[name]
        values = {
            "generator": side.generator,
            "clips_per_prompt": side.clips_per_prompt,
            "missing": side.missing,
        }
        inputs: dict[str, Source] = {}
        if side.is_imported:
            given = {"folder": side.folder, "archive": side.archive, "manifest": side.manifest}
            inputs["ingest"] = self.runs.start("ingest", given, {}, f"Import of clips of {name}")
        return self._brought(name, values, inputs)

    def _taken(self, name: str, clips: Source) -> Run:
        """Of clips that an earlier run left, those of the suite."""
        return self._brought(name, {}, {"generations": clips})

    def _brought(self, name: str, values: Mapping[str, Any], inputs: Mapping[str, Source]) -> Run:
        return self.runs.start(
            EXISTING, values, inputs, f"Clips of {name}", files={"prompts": self.plan.prompts}
        )


def _called(generator: Source | None) -> str:
    """The name that clips of the base carry."""
    return generator.name if isinstance(generator, BaseModel) else "generator"
