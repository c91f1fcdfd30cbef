"""What a re-test compares: clips that are there already, or what must be made first.

An evaluation names its two sets of clips. Of an adapter, clips are taken that were made with it on
the same prompts and seeds as the other side's; where there are none, the chain makes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from formats.outcome import OutputKind
from pipelines.contests import Source
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, Run, RunInput, RunState
from pipelines.registry import lineage

ROLES: Final = ("evaluation", "candidate", "base", "generator")
_LONGEST: Final = 40  # of a side's name: it becomes part of a role
_GATHERS: Final = "generations_gathered"
_Row = TypeVar("_Row", Artifact, Run)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a re-test. Without clips they are made, by the generator with this adapter."""

    name: str
    clips: Artifact | None
    adapter: Artifact | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    base: Side
    candidate: Side
    evaluation: Artifact | None = None  # goes into the report beside what people say
    generator: Source | None = None  # for clips that must be made

    @property
    def ready(self) -> bool:
        return self.base.clips is not None and self.candidate.clips is not None

    @property
    def stands_on(self) -> list[int]:
        """Runs from which the lineage of both sides can be read."""
        known = (self.candidate.adapter, self.candidate.clips, self.base.adapter, self.base.clips)
        return [each.run_id for each in known if each is not None]


def sides_of(inputs: Mapping[str, Source], names: tuple[str, str] = ("", "")) -> Sides:
    """InvalidRunConfig, one sentence, where these inputs are no two sides.

    `inputs`: an `evaluation`; or `candidate`, an adapter or a set of clips, and `base` likewise: no
    base means the generator without any adapter. `names`: of base and candidate, where given.
    """
    unknown = sorted(set(inputs) - set(ROLES))
    if unknown:
        there = ", ".join(ROLES)
        raise InvalidRunConfig(f"a re-test has no input {unknown[0]!r}; there are: {there}")
    if "evaluation" in inputs and len(inputs) > 1:
        raise InvalidRunConfig("give an evaluation or two sides, not both: it names its own")
    if "evaluation" in inputs:
        found = _of_evaluation(_artifact(inputs, "evaluation", OutputKind.EVALUATION))
    else:
        found = _of_artifacts(inputs)
    return _named(found, names)


def _artifact(inputs: Mapping[str, Source], role: str, *kinds: OutputKind) -> Artifact:
    given = inputs.get(role)
    if isinstance(given, Artifact) and given.kind in kinds:
        return given
    expected = " or ".join(kind.replace("_", " ") for kind in kinds)
    what = f"a {given.kind}" if isinstance(given, Artifact) else "none"
    raise InvalidRunConfig(f"the {role} of a re-test must be an artifact: {expected}; got {what}")


def _of_evaluation(artifact: Artifact) -> Sides:
    rows = {row.role: row.artifact for row in _inputs(artifact.run)}
    base, candidate = rows.get("base"), rows.get("candidate")
    if base is None or candidate is None:
        raise InvalidRunConfig(f"evaluation {artifact.pk} does not say which clips it compared")
    name = str(artifact.meta.get("candidate") or "") or _maker(candidate)
    adapter = _adapter_of(candidate)
    return Sides(Side("base", base), Side(name, candidate, adapter), evaluation=artifact)


def _of_artifacts(inputs: Mapping[str, Source]) -> Sides:
    either = (OutputKind.ADAPTER, OutputKind.GENERATIONS)
    candidate = _artifact(inputs, "candidate", *either)
    base = _artifact(inputs, "base", *either) if "base" in inputs else None
    if base is not None and base.pk == candidate.pk:
        raise InvalidRunConfig("base and candidate are the same artifact")
    if candidate.kind == OutputKind.GENERATIONS:
        if base is None or base.kind != OutputKind.GENERATIONS:
            raise InvalidRunConfig("a set of clips is compared with another set: give it as base")
        return Sides(Side(_maker(base), base), Side(_maker(candidate), candidate))
    if base is not None and base.kind != OutputKind.ADAPTER:
        raise InvalidRunConfig("an adapter is compared with another adapter, or with its base")
    return _of_adapters(candidate, base, inputs.get("generator"))


def _of_adapters(candidate: Artifact, base: Artifact | None, generator: Source | None) -> Sides:
    found = _tested(candidate) if base is None else _made_alike(candidate, base)
    if found is not None:
        return found
    return Sides(
        Side("base" if base is None else str(base), None, base),
        Side(str(candidate), None, candidate),
        generator=generator or _generator_of(candidate),
    )


def _tested(candidate: Artifact) -> Sides | None:
    """The newest evaluation of this adapter against its base."""
    sets = [clips.pk for clips in clips_of(candidate)]
    row = RunInput.objects.filter(
        role="candidate", artifact__in=sets, run__kind="evaluation", run__state=RunState.SUCCEEDED
    )
    newest = row.order_by("-run").select_related("run").first()
    artifact = newest.run.artifacts.first() if newest is not None else None
    return None if artifact is None else _of_evaluation(artifact)


def _made_alike(candidate: Artifact, base: Artifact) -> Sides | None:
    """The newest sets of both adapters with the same prompts and seeds."""
    of_base = {_asked(clips): clips for clips in reversed(clips_of(base))}
    for clips in clips_of(candidate):
        other = of_base.get(_asked(clips))
        if other is not None:
            return Sides(Side(str(base), other, base), Side(str(candidate), clips, candidate))
    return None


def clips_of(adapter: Artifact) -> list[Artifact]:
    """Whole sets that were made with this adapter, newest first."""
    rows = RunInput.objects.filter(role="adapter", artifact=adapter, run__kind="generation")
    made = Artifact.objects.filter(kind=OutputKind.GENERATIONS, run__in=rows.values("run"))
    chunks = RunInput.objects.filter(artifact__in=made, run__kind=_GATHERS)
    whole = Artifact.objects.filter(kind=OutputKind.GENERATIONS, run__in=chunks.values("run"))
    parts = set(chunks.values_list("artifact", flat=True))
    alone = [each for each in made.select_related("run") if each.pk not in parts]
    return sorted([*alone, *whole.select_related("run")], key=lambda each: -each.pk)


def _asked(clips: Artifact) -> tuple[Any, ...]:
    """What a set was asked for: equal where prompts and seeds are."""
    prompts = clips.run.inputs.filter(role="prompts").values_list("sha256", flat=True).first()
    config = clips.run.config
    return prompts, config.get("seed", 0), config.get("clips_per_prompt", 1)


def _generator_of(adapter: Artifact) -> Source | None:
    row = adapter.run.inputs.filter(role="generator").first()
    return None if row is None else row.base_model or row.artifact


def _adapter_of(clips: Artifact) -> Artifact | None:
    row = clips.run.inputs.filter(role="adapter").select_related("artifact").first()
    return None if row is None else row.artifact


def _inputs(run: Run) -> Iterable[RunInput]:
    return run.inputs.select_related("artifact__run")


def _maker(clips: Artifact) -> str:
    return str(clips.run.config.get("generator") or clips)


def _named(sides: Sides, names: tuple[str, str]) -> Sides:
    base = _short(names[0] or sides.base.name)
    candidate = _short(names[1] or sides.candidate.name)
    if base == candidate:
        candidate, base = (
            f"{name} ({_run(side)})"
            for name, side in ((candidate, sides.candidate), (base, sides.base))
        )
    return Sides(
        Side(base, sides.base.clips, sides.base.adapter),
        Side(candidate, sides.candidate.clips, sides.candidate.adapter),
        sides.evaluation,
        sides.generator,
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _run(side: Side) -> str:
    known = side.adapter or side.clips
    return f"run {known.run_id}" if known is not None else "without"


# What the lineage of both sides knows.


@dataclass(frozen=True, slots=True)
class Origin:
    """Of the runs that both sides stand on, newest first of its kind; None where there is none."""

    snapshot: Artifact | None
    generation: Run | None  # how clips were sampled
    votes: Run | None  # simulated annotators that voted

    @classmethod
    def of(cls, sides: Sides) -> "Origin":
        steps = lineage(sides.stands_on)
        snapshots = [out for step in steps for out in step.outputs if out.kind == "snapshot"]
        made = [step.run for step in steps if step.run.kind == "generation"]
        votes = [step.run for step in steps if step.run.kind == "votes"]
        return cls(_last(snapshots), _last(made), _last(votes))

    @property
    def dimension_set(self) -> str:
        if self.snapshot is None:
            return ""
        return str(self.snapshot.meta.get("dimension_set", {}).get("name", ""))


def _last(rows: list[_Row]) -> _Row | None:
    return rows[-1] if rows else None


def is_generator(source: Source | None) -> bool:
    return isinstance(source, BaseModel) or (
        isinstance(source, Artifact) and source.kind == OutputKind.BASE_MODEL
    )
