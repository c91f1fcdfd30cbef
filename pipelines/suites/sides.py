"""The sides of an evaluation: what the base and each candidate are, and whose clips they show."""

from collections.abc import Mapping
from typing import Final

from formats.errors import FormatError
from formats.outcome import OutputKind
from formats.records import PairRecord, PromptRecord
from pipelines import kinds
from pipelines.contests import BASE, Source
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, Run
from pipelines.registry import path_of, stands_on
from pipelines.splitting import TRAIN
from pipelines.suites.evaluation_config import LONGEST_NAME, MOST, SuiteEvaluationConfig

CANDIDATE: Final = "candidate"  # roles of what is compared with the base: candidate:NAME
JUDGES: Final = "judges"  # roles of reward models that judge instead of the suite's: judges:NAME
BACKBONE: Final = "backbone"  # of those
GENERATOR: Final = "generator"
_SIDES: Final = (OutputKind.ADAPTER, OutputKind.BASE_MODEL, OutputKind.GENERATIONS)


def sides_of(
    inputs: Mapping[str, Source], config: SuiteEvaluationConfig
) -> dict[str, Source | None]:
    """The base first, then every candidate."""
    _refuse_unknown_roles(inputs)
    named = {
        name: source
        for role, source in inputs.items()
        if (name := role.removeprefix(f"{CANDIDATE}:")) != role
    }
    twice = sorted(set(config.clips) & ({*named} | ({BASE} if BASE in inputs else set())))
    if twice:
        raise InvalidRunConfig(f"{twice[0]!r} is given twice: as an input and as clips")
    candidates: dict[str, Source | None] = {**named}
    candidates |= dict.fromkeys(name for name in config.clips if name != BASE)
    if not 1 <= len(candidates) <= MOST:
        raise InvalidRunConfig(
            f"an evaluation has 1 to {MOST} candidates, got {len(candidates)}: give inputs "
            f"{CANDIDATE}:NAME, or clips of a candidate"
        )
    for name in candidates:
        if not 0 < len(name) <= LONGEST_NAME or name == BASE:
            raise InvalidRunConfig(
                f"a candidate has a name of 1 to {LONGEST_NAME} letters other than {BASE!r},"
                f" got {name[:60]!r}"
            )
    for name, source in {BASE: inputs.get(BASE), **candidates}.items():
        _check_side(name, source)
    return {BASE: inputs.get(BASE), **candidates}


def _refuse_unknown_roles(inputs: Mapping[str, Source]) -> None:
    for role in inputs:
        word, _, name = role.partition(":")
        if not (role in (BASE, GENERATOR, BACKBONE) or (word in (CANDIDATE, JUDGES) and name)):
            raise InvalidRunConfig(
                f"an evaluation has no input {role[:80]!r}; there are: {BASE}, {CANDIDATE}:NAME, "
                f"{GENERATOR}, {JUDGES}:NAME, {BACKBONE}"
            )


def what_of(source: Source) -> str:
    """What a side is: adapter, base_model or generations; a run is what it will leave."""
    if isinstance(source, BaseModel):
        return OutputKind.BASE_MODEL if source.role == BaseModel.Role.GENERATOR else source.role
    if isinstance(source, Artifact):
        return source.kind
    return next((each for each in kinds.get(source.kind).leaves if each in _SIDES), source.kind)


def _check_side(name: str, source: Source | None) -> None:
    if source is not None and what_of(source) not in _SIDES:
        raise InvalidRunConfig(
            f"{name} must be an adapter, a generator or a set of clips, got {what_of(source)}"
        )


def generator_of(
    inputs: Mapping[str, Source], sides: Mapping[str, Source | None], config: SuiteEvaluationConfig
) -> Source | None:
    """The generator that adapters belong to, and that the base is where nothing else is said."""
    given = inputs.get(GENERATOR)
    if given is not None and what_of(given) != OutputKind.BASE_MODEL:
        raise InvalidRunConfig(f"the generator must be a generator, got {what_of(given)}")
    adapters = {
        name: each
        for name, each in sides.items()
        if each is not None and what_of(each) == OutputKind.ADAPTER
    }
    made_bare = sides[BASE] is None and BASE not in config.clips
    if given is not None or not (adapters or made_bare):
        return given
    found = {name: _trained_on(each) for name, each in adapters.items()}
    named = {_key(each): each for each in found.values() if each is not None}
    if len(named) != 1 or None in found.values():
        raise InvalidRunConfig(
            "say with the input generator what makes the clips: "
            + ("the adapters were trained on several" if named else "nobody else says it")
        )
    return next(iter(named.values()))


def _trained_on(adapter: Source) -> Source | None:
    """The generator that an adapter was trained on."""
    run = adapter.run if isinstance(adapter, Artifact) else adapter
    assert isinstance(run, Run)
    row = run.inputs.select_related("artifact", "base_model", "producer").filter(role=GENERATOR)
    found = row.first()
    return None if found is None else found.base_model or found.artifact or found.producer


def _key(source: Source) -> tuple[str, int]:
    return type(source).__name__, source.pk


def refuse_trained(prompts: list[PromptRecord], sides: Mapping[str, Source | None]) -> None:
    """A prompt that a candidate has learned from says nothing about prompts it does not know."""
    asked = {each.text for each in prompts}
    for name, source in sides.items():
        if source is None or what_of(source) == OutputKind.BASE_MODEL:
            continue
        known = sorted(asked & _trained_prompts(source))
        if known:
            raise InvalidRunConfig(
                f"{name} was trained on {len(known)} of the {len(prompts)} prompts, such as "
                f"{known[0][:80]!r}; take the split 'test' or another suite, or set "
                "allow_trained_prompts"
            )


def _trained_prompts(adapter: Source) -> set[str]:
    ids = stands_on(adapter) if isinstance(adapter, Artifact) else _pinned(adapter)
    found: set[str] = set()
    for pairs in Artifact.objects.filter(pk__in=ids, kind=OutputKind.PAIRS):
        try:
            records = PairRecord.read(path_of(pairs))
        except (FormatError, OSError) as error:
            raise InvalidRunConfig(f"the pairs {pairs.pk} cannot be read: {error}") from error
        found |= {each.prompt for each in records if each.split == TRAIN}
    return found


def _pinned(run: Source) -> set[int]:
    """What a run that has not ended was given; what others will leave nobody can read yet."""
    assert isinstance(run, Run)
    rows = run.inputs.filter(artifact__isnull=False)
    return {row.artifact_id for row in rows if row.artifact_id is not None}
