"""Who judges an evaluation: reward models, the suite's or others, and imported scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.contests import Source
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, Run, Suite
from pipelines.suites.evaluation_config import SuiteEvaluationConfig
from pipelines.suites.scoring import NAME, judges_of
from pipelines.suites.sides import BACKBONE, JUDGES


@dataclass(frozen=True, slots=True)
class Seat:
    """A reward model that judges, and the backbone that it reads clips with, if it holds none."""

    reward_model: Source
    backbone: Source | None = None


def judges_for(suite: Suite, inputs: Mapping[str, Source]) -> dict[str, Seat]:
    """By name: those of the inputs; without any, the suite's own."""
    given = {
        name: source
        for role, source in inputs.items()
        if (name := role.removeprefix(f"{JUDGES}:")) != role
    }
    backbone = inputs.get(BACKBONE)
    if not given:
        if backbone is not None:
            raise InvalidRunConfig(f"the backbone is that of judges: give {JUDGES}:NAME too")
        return {each.name: Seat(each.reward_model, each.backbone) for each in judges_of(suite)}
    for name, source in given.items():
        _check_judge(name, source)
    return {name: Seat(source, backbone) for name, source in given.items()}


def _check_judge(name: str, source: Source) -> None:
    left = kinds.get(source.kind).leaves if isinstance(source, Run) else ()
    kind = source.kind if isinstance(source, Artifact) else ""
    if OutputKind.REWARD_MODEL not in (kind, *left):
        raise InvalidRunConfig(f"the judge {name[:60]} must be a reward model")
    if not NAME.fullmatch(name) or name == "truth":
        raise InvalidRunConfig(
            "a judge is named by up to 30 letters, digits, spaces, . + or -, and not 'truth';"
            f" got {name[:60]!r}"
        )


def imported_by(
    config: SuiteEvaluationConfig, sides: Mapping[str, Source | None]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each judge from outside and each side the config of its `imported_scores` run."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, judge in config.imported().items():
        if not NAME.fullmatch(name) or name == "truth":
            raise InvalidRunConfig(f"a judge cannot be named {name[:60]!r}")
        if set(judge.files) != set(sides):
            raise InvalidRunConfig(
                f"the judge {name} needs a file of scores for each of {', '.join(sides)};"
                f" it has: {', '.join(judge.files) or 'none'}"
            )
        found[name] = {
            side: {"file": file, "judge": name, "scale": judge.scale}
            for side, file in judge.files.items()
        }
    return found


def refuse_misjudged(
    judges: Mapping[str, Seat], imported: Mapping[str, object], truth: Mapping[str, Any] | None
) -> None:
    """Somebody judges, and no two of them under one name."""
    if not judges and not imported and truth is None:
        raise InvalidRunConfig(
            f"nobody judges: the suite has no judge; give {JUDGES}:NAME, or files of scores"
        )
    twice = sorted(set(judges) & set(imported))
    if twice:
        raise InvalidRunConfig(f"two judges are named {twice[0]!r}")


def refuse_unknown_weights(
    weights: Mapping[str, float], judges: Mapping[str, Seat], imported: Mapping[str, Any]
) -> None:
    """A weight for a dimension that a judge does not know is named now, not when all is scored."""
    known = {name: _dimensions(seat.reward_model) for name, seat in judges.items()}
    known |= {name: list(next(iter(files.values()))["scale"]) for name, files in imported.items()}
    for name, keys in known.items():
        unknown = sorted(set(weights) - set(keys)) if keys else []
        if unknown:
            raise InvalidRunConfig(
                f"the judge {name} does not know the dimension {unknown[0]!r} of the weights; "
                f"it knows {', '.join(keys)}"
            )


def _dimensions(model: Source) -> list[str]:
    """What a reward model says that it knows; nothing of one that is still being trained."""
    return list(model.meta.get("dimensions") or ()) if isinstance(model, Artifact) else []
