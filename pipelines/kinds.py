"""The registry of run kinds: what starts, what it reads, what it leaves, how its rows come to be.

A kind is either a trainer (`command`: a program that runs without Django) or Django-bound
(`perform`: a function that a child process of manage.py calls). Both get one argument: the run
directory.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pkgutil import resolve_name
from typing import Any, Final

from formats.outcome import Outcome, OutputKind
from formats.supervised import Supervised
from pipelines import registry, trainer_configs
from pipelines.comparisons import guidance_grids
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, QueueName, Run
from pipelines.pairs import rules as pair_rules
from pipelines.parts import Part
from pipelines.retests import people_waits
from pipelines.splitting import VALIDATION

Check = Callable[[Mapping[str, Any]], dict[str, Any]]
Perform = Callable[[Supervised], Outcome]
Ingest = Callable[[Run, Outcome], None]
Finish = Callable[[Run, Outcome, list[Artifact]], None]
Parts = Callable[[Mapping[str, Any], Iterable[str], str], list[Part]]
# Of the config, and of what plays each role: a row, or the records that are given.
Fits = Callable[[Mapping[str, Any], Mapping[str, object]], None]


def _alone(_config: Mapping[str, Any]) -> int:
    return 1


def _as_the_config_says(config: Mapping[str, Any]) -> object:
    return config.get("processes", 1)


@dataclass(frozen=True, slots=True)
class Role:
    """One input of a kind.

    `artifacts` are the kinds that may play it, `base_model` the role of a base model that may.
    `given`: it may be a list of records, written beside the config. `many`: the role may be
    repeated with a suffix, as in `candidate:truth`. `side` of the split: what a form offers first.
    """

    name: str
    artifacts: tuple[OutputKind, ...] = ()
    base_model: BaseModel.Role | None = None
    given: bool = False
    required: bool = True
    many: bool = False
    side: str = ""
    inner: bool = False  # filled by the runs that are written beside this one, not by people

    def names(self, role: str) -> bool:
        return role == self.name or (self.many and role.startswith(f"{self.name}:"))


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind of run.

    `check` gives the whole config with its defaults, or raises InvalidRunConfig (one sentence).
    `fits` raises it where config and inputs are good, but not for one another.
    `ingest` runs after the outputs were verified and before the rows are written, outside a
    transaction, perhaps more than once: it must give the same result when it is repeated.
    `finish` runs inside the transaction that makes the run succeeded, after the Artifact rows.
    `gathered_by`: where the config has `chunks` above 1, one run per chunk is written and one of
    that kind, which reads what they leave as `<output>:0`, `<output>:1` … and leaves the whole.
    It gets the number of chunks and the entries `gathered_with` of the config.
    `parts`: of config, roles and name, the runs that one start of this kind writes; its own is the
    last of them.
    """

    name: str
    title: str
    check: Check
    command: tuple[str, ...] | None = None  # a trainer: the words between python and RUN_DIR
    perform: Perform | None = None  # Django-bound: python manage.py perform RUN_DIR
    roles: tuple[Role, ...] = ()
    output: OutputKind | None = None
    beside: tuple[OutputKind, ...] = ()  # what it may leave besides
    queue: QueueName = QueueName.DEFAULT
    threads: int | None = None
    processes: Callable[[Mapping[str, Any]], object] = _alone  # of a config; one torchrun
    presets: tuple[trainer_configs.NamedConfig, ...] = ()
    upload: str = ""  # entry of the config that an uploaded file fills
    for_leads: bool = False  # leads may start it too, not ML engineers alone
    splits: bool = False  # its trainer halves its micro-batch where retry.json says so
    connects: bool = False  # a trainer that talks to a site; all others get no network
    opens_media: bool = True  # the clips that its inputs name are made local before it starts
    waits_for_people: bool = False  # it starts when a campaign has its votes (people_waits)
    gathered_by: str = ""
    gathered_with: tuple[str, ...] = ()
    parts: Parts | None = None
    fits: Fits | None = None
    ingest: Ingest | None = None
    finish: Finish | None = None

    def __post_init__(self) -> None:
        if (self.command is None) == (self.perform is None):
            raise ValueError(f"kind {self.name} needs either a command or a perform function")

    @property
    def leaves(self) -> tuple[OutputKind, ...]:
        """All kinds of artifacts that a run of this kind may leave."""
        return (*([] if self.output is None else [self.output]), *self.beside)

    def role(self, name: str) -> Role | None:
        return next((each for each in self.roles if each.names(name)), None)

    def preset(self, name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A named config with the entries of `given` over it, one level deep.

        InvalidRunConfig with the names for one that is not there.
        """
        found = next((each.values for each in self.presets if each.name == name), None)
        if found is None:
            there = ", ".join(each.name for each in self.presets) or "none"
            raise InvalidRunConfig(f"a {self.name} run has no preset {name!r}; there are: {there}")
        result = dict(found)
        for key, value in (given or {}).items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = {**result[key], **value} if both else value
        return result


def trainer(package: str, word: str) -> tuple[str, ...]:
    """`python -I -m PACKAGE WORD RUN_DIR`: fixed words, nothing that a person typed."""
    return ("-I", "-m", package, word)


def _config(name: str) -> Check:
    """The check that reads the config of this class, `module:Class`."""
    return partial(trainer_configs.checked, _late(f"{name}.from_json"))


def _late(name: str) -> Callable[..., Any]:
    """What stands in this package under `module:name`, imported when it is called.

    A worker knows all kinds and does nothing of them itself: the statistics, tables and decoders
    behind them would be a third of its start and of its memory.
    """
    return partial(_called, f"pipelines.{name}")


def _called(name: str, *given: Any) -> Any:
    return resolve_name(name)(*given)


_REGISTRY: Final[dict[str, KindSpec]] = {}


def register(spec: KindSpec) -> KindSpec:
    if spec.name in _REGISTRY:
        raise ValueError(f"the run kind {spec.name} is registered twice")
    _REGISTRY[spec.name] = spec
    return spec


def unregister(name: str) -> None:
    """For tests, which register kinds of their own."""
    del _REGISTRY[name]


def get(name: str) -> KindSpec:
    if name not in _REGISTRY:
        raise InvalidRunConfig(f"there is no run kind {name!r}; there are: {', '.join(names())}")
    return _REGISTRY[name]


def names() -> list[str]:
    return list(_REGISTRY)


# The trainers. Django-bound kinds and the callbacks that register rows are added below them.

_VLM = Role("backbone", (OutputKind.BASE_MODEL,), BaseModel.Role.VLM)
_GENERATOR = Role("generator", (OutputKind.BASE_MODEL,), BaseModel.Role.GENERATOR)

register(
    KindSpec(
        "reward_model",
        "Train a reward model",
        trainer_configs.reward_model,
        command=trainer("models_rm", "train"),
        roles=(Role("snapshot", (OutputKind.SNAPSHOT,)), _VLM),
        output=OutputKind.REWARD_MODEL,
        queue=QueueName.GPU,
        splits=True,
        processes=_as_the_config_says,
        presets=trainer_configs.REWARD_PRESETS,
    )
)
register(
    KindSpec(
        "learning_curve",
        "Measure a learning curve: how many more votes?",
        trainer_configs.learning_curve,
        command=trainer("models_rm", "learning-curve"),
        roles=(Role("snapshot", (OutputKind.SNAPSHOT,)), _VLM),
        output=OutputKind.LEARNING_CURVE,
        queue=QueueName.GPU,
        processes=lambda config: _as_the_config_says(config.get("model", {})),
        presets=trainer_configs.CURVE_PRESETS,
    )
)
register(
    KindSpec(
        "scoring",
        "Score clips with a reward model",
        trainer_configs.scoring,
        command=trainer("models_rm", "score"),
        roles=(
            Role("reward_model", (OutputKind.REWARD_MODEL,)),
            # The members of a composed model, and models that hold theirs, bring their backbones.
            replace(_VLM, required=False),
            Role("generations", (OutputKind.GENERATIONS,)),
        ),
        output=OutputKind.SCORES,
        queue=QueueName.GPU,
        splits=True,
        gathered_by="scores_gathered",
    )
)
register(
    KindSpec(
        "scores_gathered",
        "Gather the scores of all chunks",
        trainer_configs.gathering,
        command=trainer("models_rm", "gather"),
        roles=(
            Role("reward_model", (OutputKind.REWARD_MODEL,)),
            Role("generations", (OutputKind.GENERATIONS,)),
            Role("scores", (OutputKind.SCORES,), many=True),
        ),
        output=OutputKind.SCORES,
        ingest=_late("chunking:refuse_other_judges"),
    )
)
register(
    KindSpec(
        "reward_evaluation",
        "Hold a reward model against the votes of a snapshot",
        trainer_configs.reward_evaluation,
        command=trainer("models_rm", "evaluate"),
        roles=(
            Role("reward_model", (OutputKind.REWARD_MODEL,)),
            replace(_VLM, required=False),
            Role("snapshot", (OutputKind.SNAPSHOT,)),
            Role("other", (OutputKind.REWARD_MODEL,), required=False),  # to be compared with
        ),
        output=OutputKind.REWARD_EVALUATION,
        queue=QueueName.GPU,
    )
)
register(
    KindSpec(
        "reward_benchmark",
        "Examine a reward model on a published benchmark",
        _late("benchmarking:check"),
        command=trainer("models_rm", "benchmark"),
        roles=(
            Role("reward_model", (OutputKind.REWARD_MODEL,)),
            replace(_VLM, required=False),
        ),
        output=OutputKind.BENCHMARK,
        queue=QueueName.GPU,
    )
)
register(
    KindSpec(
        "composition",
        "Make one reward model of several",
        trainer_configs.composition,
        command=trainer("models_rm", "compose"),
        roles=(Role("reward_model", (OutputKind.REWARD_MODEL,), many=True),),
        output=OutputKind.REWARD_MODEL,
    )
)
register(
    KindSpec(
        "conversion",
        "Convert a released VideoReward",
        _late("conversions:check"),
        command=trainer("models_rm", "conversion"),
        roles=(_VLM,),
        output=OutputKind.REWARD_MODEL,
    )
)
register(
    KindSpec(
        "generation",
        "Make clips with a generator",
        trainer_configs.generation,
        command=trainer("models_align", "sample"),
        roles=(
            Role("prompts", given=True),
            _GENERATOR,
            Role("adapter", (OutputKind.ADAPTER,), required=False),
            Role("latent_reward_model", (OutputKind.LATENT_REWARD_MODEL,), required=False),
        ),
        output=OutputKind.GENERATIONS,
        queue=QueueName.GPU,
        splits=True,
        ingest=_late("generations:ingest"),
        gathered_by="generations_gathered",
        gathered_with=("seed", "clips_per_prompt"),
    )
)
register(
    KindSpec(
        "generations_gathered",
        "Gather the clips of all chunks",
        trainer_configs.gathered_generations,
        command=trainer("models_align", "gather"),
        roles=(
            Role("prompts", given=True),
            Role("generations", (OutputKind.GENERATIONS,), many=True),
        ),
        output=OutputKind.GENERATIONS,
        queue=QueueName.IO,
    )
)
register(
    KindSpec(
        "alignment",
        "Align a generator",
        trainer_configs.alignment,
        command=trainer("models_align", "train"),
        fits=_late("adapters.alignment_inputs:refuse_unfit"),
        roles=(
            Role("pairs", (OutputKind.PAIRS,)),
            _GENERATOR,
            # What is watched while it trains: held-out prompts, judged by the reward model of the
            # pairs and by an independent one. Judges that hold their backbone need none.
            Role("watch_prompts", given=True, required=False, side=VALIDATION),
            Role("reward_model", (OutputKind.REWARD_MODEL,), required=False),
            replace(_VLM, name="reward_backbone", required=False),
            Role("judge", (OutputKind.REWARD_MODEL,), required=False),
            replace(_VLM, name="judge_backbone", required=False),
        ),
        output=OutputKind.ADAPTER,
        beside=(OutputKind.GENERATIONS,),
        queue=QueueName.GPU,
        splits=True,
        processes=_as_the_config_says,
        presets=trainer_configs.ALIGNMENT_PRESETS,
    )
)
register(
    KindSpec(
        "guidance_cells",
        "Make the clips of a guidance grid",
        trainer_configs.guidance_cells,
        command=trainer("models_align", "grid"),
        roles=(
            Role("prompts", given=True),
            _GENERATOR,
            Role("latent_reward_model", (OutputKind.LATENT_REWARD_MODEL,)),
            Role("adapter", (OutputKind.ADAPTER,), required=False),
        ),
        output=OutputKind.GENERATIONS,
        queue=QueueName.GPU,
        ingest=_late("generations:ingest"),
    )
)
register(
    KindSpec(
        "latent_reward",
        "Train a latent reward model",
        trainer_configs.latent_reward,
        command=trainer("models_align", "latent_reward"),
        roles=(
            Role("snapshot", (OutputKind.SNAPSHOT,), required=False),
            Role("pairs", (OutputKind.PAIRS,), required=False),
            _GENERATOR,
        ),
        output=OutputKind.LATENT_REWARD_MODEL,
        queue=QueueName.GPU,
        splits=True,
    )
)
register(
    KindSpec(
        "vbench",
        "Measure clips by VBench and by weight-free proxies",
        trainer_configs.vbench,
        command=trainer("measuring", "vbench"),
        roles=(Role("generations", (OutputKind.GENERATIONS,)),),
        output=OutputKind.VBENCH,
        queue=QueueName.GPU,
        gathered_by="vbench_gathered",
        gathered_with=("protocol",),
    )
)
register(
    KindSpec(
        "vbench_gathered",
        "Gather the VBench values of all chunks",
        trainer_configs.gathered_vbench,
        command=trainer("measuring", "gather"),
        roles=(
            Role("generations", (OutputKind.GENERATIONS,)),
            Role("vbench", (OutputKind.VBENCH,), many=True),
        ),
        output=OutputKind.VBENCH,
    )
)
register(
    KindSpec(
        "pretrain",
        "Pretrain a tiny base model of the demo",
        trainer_configs.left_to_the_child,
        command=trainer("demo", "pretrain"),
        output=OutputKind.BASE_MODEL,
        finish=registry.register_base_model,
    )
)
register(
    KindSpec(
        "votes",
        "Let the simulated annotators of the demo vote",
        trainer_configs.left_to_the_child,
        command=trainer("demo", "annotate"),
        # The config names the campaign; one that a run opens must be there first.
        roles=(Role("retest", (OutputKind.RETEST,), required=False),),
        connects=True,
        output=OutputKind.VOTES,
    )
)
register(
    KindSpec(
        "truth",
        "Measure the true quality of clips of the demo world",
        trainer_configs.left_to_the_child,
        command=trainer("demo", "measure"),
        roles=(Role("generations", (OutputKind.GENERATIONS,)),),
        output=OutputKind.SCORES,
    )
)

# The steps that need the database: children of manage.py.

register(
    KindSpec(
        "demo_loop",
        "Fill a world of the demo and start its loop",
        _late("loops.demo_runs:check"),
        perform=_late("loops.demo_runs:perform"),
    )
)

register(
    KindSpec(
        "ingest",
        "Take clips into the store",
        _late("ingests.ingesting:check"),
        perform=_late("ingests.ingesting:perform"),
        output=OutputKind.INGEST,
        queue=QueueName.IO,
        upload="archive",
        for_leads=True,
        gathered_by="ingests_gathered",
    )
)
register(
    KindSpec(
        "ingests_gathered",
        "Gather the reports of all chunks of an import",
        _late("ingests.gathered:check"),
        perform=_late("ingests.gathered:perform"),
        roles=(Role("ingest", (OutputKind.INGEST,), many=True),),
        output=OutputKind.INGEST,
        queue=QueueName.IO,
    )
)
register(
    KindSpec(
        "snapshot",
        "Take a snapshot of a campaign",
        _late("snapshots:check"),
        perform=_late("snapshots:perform"),
        roles=(Role("votes", (OutputKind.VOTES,), required=False),),
        output=OutputKind.SNAPSHOT,
    )
)
register(
    KindSpec(
        "export",
        "Export a snapshot for another tool",
        _config("exports.runs:ExportConfig"),
        perform=_late("exports.runs:perform"),
        roles=(Role("snapshot", (OutputKind.SNAPSHOT,)),),
        output=OutputKind.EXPORT,
        queue=QueueName.IO,
        for_leads=True,
        opens_media=False,
    )
)
register(
    KindSpec(
        "vbench_import",
        "Take in results of the official VBench tool",
        _late("vbench.importing:check"),
        perform=_late("vbench.importing:perform"),
        fits=_late("vbench.importing:refuse_unfit"),
        roles=(
            # What was measured, as far as it is here: clips, the adapter, the generator.
            Role("generations", (OutputKind.GENERATIONS,), required=False),
            Role("adapter", (OutputKind.ADAPTER,), required=False),
            replace(_GENERATOR, required=False),
            Role("result", (OutputKind.VBENCH,), required=False, many=True),
        ),
        output=OutputKind.VBENCH,
        queue=QueueName.IO,
        opens_media=False,
    )
)
register(
    KindSpec(
        "judged_clips",
        "Give the clips that people judged to a reward model",
        _config("disagreement.judged_clips:JudgedClipsConfig"),
        perform=_late("disagreement.judged_clips:perform"),
        roles=(Role("snapshot", (OutputKind.SNAPSHOT,)),),
        output=OutputKind.GENERATIONS,
    )
)
register(
    KindSpec(
        "existing_clips",
        "Take clips that are here as the clips of a suite",
        _config("suites.existing_clips:ExistingClipsConfig"),
        perform=_late("suites.existing_clips:perform"),
        roles=(
            Role("prompts", given=True),
            Role("ingest", (OutputKind.INGEST,), required=False),
            Role("generations", (OutputKind.GENERATIONS,), required=False),
        ),
        output=OutputKind.GENERATIONS,
        queue=QueueName.IO,
        opens_media=False,
        fits=_late("suites.existing_clips:fits"),
    )
)
register(
    KindSpec(
        "imported_scores",
        "Import the scores of another judge",
        _late("suites.imported_scores:check"),
        perform=_late("suites.imported_scores:perform"),
        roles=(Role("generations", (OutputKind.GENERATIONS,)),),
        output=OutputKind.SCORES,
        queue=QueueName.IO,
        opens_media=False,
    )
)
register(
    KindSpec(
        "pairing",
        "Build preference pairs",
        _config("pairs.rules:PairingConfig"),
        perform=_late("pairing:perform"),
        roles=(
            Role("generations", (OutputKind.GENERATIONS,), required=False),
            Role("scores", (OutputKind.SCORES,), required=False),
            Role("snapshot", (OutputKind.SNAPSHOT,), required=False),
            # The clips of the snapshot as a generation set, scored: rewards for pairs of people.
            Role("judged_clips", (OutputKind.GENERATIONS,), required=False),
            Role("judged_scores", (OutputKind.SCORES,), required=False),
            # Clips of validation prompts and their scores, or earlier pairs: where the map of
            # rewards to [0, 1] comes from.
            Role("validation", (OutputKind.GENERATIONS,), required=False),
            Role("validation_scores", (OutputKind.SCORES,), required=False),
            Role("reward_map", (OutputKind.PAIRS,), required=False),
        ),
        output=OutputKind.PAIRS,
        presets=pair_rules.PRESETS,
    )
)
register(
    KindSpec(
        "evaluation",
        "Compare a candidate with its base",
        _config("evaluation:EvaluationConfig"),
        perform=_late("evaluation:perform"),
        roles=(
            Role("base", (OutputKind.GENERATIONS,)),
            Role("candidate", (OutputKind.GENERATIONS,)),
            Role("base_scores", (OutputKind.SCORES,), many=True),
            Role("candidate_scores", (OutputKind.SCORES,), many=True),
        ),
        output=OutputKind.EVALUATION,
    )
)
register(
    KindSpec(
        "retest",
        "Ask people, blind: candidate or base",
        _late("retests.campaigns:check"),
        perform=_late("retests.campaigns:perform"),
        roles=(
            Role("base", (OutputKind.GENERATIONS,)),
            Role("candidate", (OutputKind.GENERATIONS,)),
        ),
        output=OutputKind.RETEST,
        opens_media=False,
        for_leads=True,
        finish=people_waits.tell,
    )
)
register(
    KindSpec(
        "human_test",
        "Count the votes of a re-test",
        _late("retests.human_tests:check"),
        perform=_late("retests.human_tests:perform"),
        roles=(Role("retest", (OutputKind.RETEST,)),),
        output=OutputKind.HUMAN_TEST,
        opens_media=False,
        for_leads=True,
        waits_for_people=True,
        finish=_late("retests.human_tests:end_campaign"),
    )
)
register(
    KindSpec(
        guidance_grids.KIND,
        "Compare ways of reward guidance",
        guidance_grids.check,
        perform=_late("comparisons.guidance_tables:perform"),
        roles=(
            Role("prompts", given=True),
            _GENERATOR,
            Role("latent_reward_model", (OutputKind.LATENT_REWARD_MODEL,)),
            Role("adapter", (OutputKind.ADAPTER,), required=False),
            Role(guidance_grids.JUDGES, (OutputKind.REWARD_MODEL,), required=False, many=True),
            replace(_VLM, required=False),
            Role("generations", (OutputKind.GENERATIONS,), required=False, inner=True),
            Role("scores", (OutputKind.SCORES,), required=False, many=True, inner=True),
        ),
        output=OutputKind.GUIDANCE_GRID,
        presets=guidance_grids.PRESETS,
        parts=guidance_grids.parts,
        fits=guidance_grids.fits,
    )
)
register(
    KindSpec(
        "report",
        "Write a report",
        _config("reporting:ReportConfig"),
        perform=_late("reporting:perform"),
        roles=(
            Role("evaluation", (OutputKind.EVALUATION,), required=False, many=True),
            Role("human_test", (OutputKind.HUMAN_TEST,), required=False, many=True),
            Role("vbench", (OutputKind.VBENCH,), required=False, many=True),
        ),
        output=OutputKind.REPORT,
        fits=_late("reporting:refuse_without_answers"),
    )
)
