"""Several settings of an alignment started together: one group, one table, one contest if asked.

    pairs, generator → one alignment per member
    base and each member: test clips → scores of each judge, truth → evaluations → one report

The page, the admin, the REST door and the command call `start_comparison`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.contrib.auth.models import User
from django.db import transaction

from annotation.models import Campaign
from formats.errors import FormatError
from formats.outcome import OutputKind
from formats.records import PairRecord, PromptRecord
from pipelines import kinds
from pipelines.comparisons.config import KIND, ComparisonConfig, TestConfig, members_of
from pipelines.contests import Contest, ContestConfig, Source
from pipelines.errors import InvalidRunConfig
from pipelines.group_runs import GroupRuns, known_group
from pipelines.models import Artifact, BaseModel, GroupKind, LoopGroup
from pipelines.prompt_choice import Prompts, chosen_prompts
from pipelines.registry import path_of
from pipelines.splitting import TRAIN, Split
from pipelines.step_configs import StepConfig

JUDGES: Final = "judges"  # roles of the reward models that judge the members: judges:NAME
BACKBONE: Final = "backbone"  # of the judges


def start_comparison(
    config: Mapping[str, Any],
    inputs: Mapping[str, Source],
    user: User,
    *,
    nonce: str | None = None,
    files: Mapping[str, Iterable[PromptRecord]] | None = None,
) -> LoopGroup:
    """Write all runs of a comparison, or none; InvalidRunConfig, one sentence, where it cannot be.

    `inputs`: those of an alignment run, which all members share, and for the test `judges:NAME`
    (reward models) with their `backbone`. `files` as in `start_run`, for each member. The same
    nonce again gives the comparison that it started.
    """
    wanted = _read(ComparisonConfig, config, "comparison")
    members = members_of(wanted)
    sources = _Sources.of(inputs)
    test = None
    if wanted.test is not None:
        test = _test(_read(TestConfig, wanted.test, "test"), sources)
    elif sources.judges:
        raise InvalidRunConfig("judges are given but no test: say with “test” what they judge")
    with transaction.atomic():
        first = f"{KIND} {next(iter(members))}"
        if nonce is not None and (known := known_group(user, nonce, first)) is not None:
            return known
        group = LoopGroup.objects.create(
            name=wanted.name, kind=GroupKind.COMPARISON, config=wanted.to_json(), created_by=user
        )
        runs = GroupRuns(group, user, nonce)
        given = {role: list(records) for role, records in (files or {}).items()}
        candidates = {
            name: runs.start(KIND, values, sources.trained_on, name, files=given)
            for name, values in members.items()
        }
        if test is not None:
            _contest(test, runs, sources).hold(candidates)
    return group


_Config = TypeVar("_Config", bound=StepConfig)


def _read(kind: type[_Config], values: Mapping[str, Any], what: str) -> _Config:
    try:
        return kind.from_json(values)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRunConfig(f"{what}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Sources:
    """The inputs by what they are for."""

    trained_on: dict[str, Source]
    judges: dict[str, Source]
    backbone: Source | None

    @classmethod
    def of(cls, inputs: Mapping[str, Source]) -> "_Sources":
        rest = dict(inputs)
        judges = {
            name: rest.pop(role)
            for role in inputs
            if (name := role.removeprefix(f"{JUDGES}:")) != role
        }
        backbone = rest.pop(BACKBONE, None)
        spec = kinds.get(KIND)
        for role in rest:
            if spec.role(role) is None:
                known = ", ".join([each.name for each in spec.roles] + [f"{JUDGES}:NAME", BACKBONE])
                raise InvalidRunConfig(f"a comparison has no input {role!r}; there are: {known}")
        if backbone is not None and not judges:
            raise InvalidRunConfig(f"the backbone is that of the judges: give {JUDGES}:NAME too")
        return cls(rest, judges, backbone)

    @property
    def generator(self) -> Source:
        return self.trained_on["generator"]


@dataclass(frozen=True, slots=True)
class _Test:
    """What a test needs before rows are written: everything that can be wrong is known."""

    config: TestConfig
    prompts: list[PromptRecord]


def _test(config: TestConfig, sources: _Sources) -> _Test:
    if not sources.judges and config.truth is None:
        raise InvalidRunConfig(
            f"test: nobody judges; give {JUDGES}:NAME as an input, or truth in the demo world"
        )
    if "generator" not in sources.trained_on:
        raise InvalidRunConfig(f"a {KIND} run needs an input 'generator'")
    _refuse_unknown_dimensions(config, sources.judges)
    prompts = _prompts(config)
    _refuse_trained_prompts(prompts, sources.trained_on.get("pairs"))
    return _Test(config, prompts)


def _prompts(config: TestConfig) -> list[PromptRecord]:
    campaign = None
    if config.campaign:
        campaign = Campaign.objects.filter(name=config.campaign).order_by("-pk").first()
        if campaign is None:
            raise InvalidRunConfig(f"test: there is no campaign {config.campaign!r}")
    try:
        split = Split.from_json(config.split)
        return chosen_prompts(Prompts.from_json(config.prompts), campaign, split)
    except (ValueError, TypeError, InvalidRunConfig) as error:
        raise InvalidRunConfig(f"test: {error}") from error


def _refuse_unknown_dimensions(config: TestConfig, judges: Mapping[str, Source]) -> None:
    """Where a judge says which dimensions it knows, a weight for another one is named now."""
    weights = config.evaluation.get("weights", {})
    for name, judge in judges.items():
        known = judge.meta.get("dimensions") if isinstance(judge, Artifact) else None
        unknown = sorted(set(weights) - set(known)) if known else []
        if unknown:
            raise InvalidRunConfig(
                f"test: the judge {name} does not know the dimension {unknown[0]!r}; "
                f"it knows {', '.join(known or ())}"
            )


def _refuse_trained_prompts(prompts: list[PromptRecord], pairs: Source | None) -> None:
    """A prompt that members learn from says nothing about prompts that they do not know."""
    if not isinstance(pairs, Artifact) or pairs.kind != OutputKind.PAIRS:
        return
    try:
        trained = {each.prompt for each in PairRecord.read(path_of(pairs)) if each.split == TRAIN}
    except FormatError as error:
        raise InvalidRunConfig(f"the pairs cannot be read: {error}") from error
    known = [each.text for each in prompts if each.text in trained]
    if known:
        raise InvalidRunConfig(
            f"test: {len(known)} of {len(prompts)} prompts are trained on, such as "
            f"{known[0][:80]!r}; take prompts of another suite or of the split 'test'"
        )


def _contest(test: _Test, runs: GroupRuns, sources: _Sources) -> Contest:
    config, generator = test.config, sources.generator
    named = generator.name if isinstance(generator, BaseModel) else "pretrained"
    wanted = ContestConfig(
        generation=config.generation,
        scoring=config.scoring,
        truth=config.truth,
        evaluation=config.evaluation,
        report=config.report,
        clips_of=config.generation.get("generator") or named,
        mark=f"comparison {runs.group.pk}",
    )
    backbone = sources.backbone
    return Contest(runs.start, wanted, test.prompts, generator, sources.judges, backbone)
