"""How clips on a suite are made and scored: judges, weights, VBench dimensions, settings.

It stands with the suite, so that two evaluations of it mean the same. An evaluation may ask
otherwise, and its page shows what was asked.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from formats.outcome import OutputKind
from formats.vbench import T2V, measurable
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, Suite
from pipelines.step_configs import StepConfig, check_weights, require

NAME: Final = re.compile(r"[A-Za-z0-9][\w .+-]{0,29}")  # of a judge: part of the roles of a run
VBENCH: Final = measurable(T2V)  # of clips of any prompts
_RESERVED: Final = ("truth",)
MOST: Final = 8


@dataclass(frozen=True, slots=True)
class ScoringWay(StepConfig):
    """`weights` per dimension make the overall score; none are equal ones. `vbench` are the VBench
    dimensions that are wanted beside it. `generation` and `scoring` are entries of the configs of
    those runs. `truth`: the config of a truth run, in the demo world alone.
    """

    weights: dict[str, float] = field(default_factory=dict)
    vbench: list[str] = field(default_factory=list)
    generation: dict[str, Any] = field(default_factory=dict)
    scoring: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_weights(self.weights)
        require(isinstance(self.vbench, list), "vbench", "a list of dimensions", self.vbench)
        for each in self.vbench:
            require(each in VBENCH, "vbench", f"of {', '.join(VBENCH)}", each)
        require(len(set(self.vbench)) == len(self.vbench), "vbench", "each once", self.vbench)
        for name in ("generation", "scoring"):
            value = getattr(self, name)
            require(isinstance(value, dict), name, "an object with settings", value)
        fits = self.truth is None or isinstance(self.truth, dict)
        require(fits, "truth", "an object with settings, or nothing", self.truth)


@dataclass(frozen=True, slots=True)
class Judge:
    """A reward model under the name that its figures carry."""

    name: str
    reward_model: Artifact
    backbone: BaseModel | None = None


def way_of(suite: Suite) -> ScoringWay:
    return ScoringWay.from_json(suite.scoring)


def judges_of(suite: Suite) -> list[Judge]:
    rows = suite.judges.select_related("reward_model__run", "backbone")
    return [Judge(row.name, row.reward_model, row.backbone) for row in rows]


def checked_way(values: Mapping[str, Any], judges: Iterable[Judge]) -> dict[str, Any]:
    """The whole of it with defaults; InvalidRunConfig, one sentence, where it could not work."""
    way = trainer_configs.checked(ScoringWay.from_json, values)
    trainer_configs.generation(way["generation"])
    trainer_configs.scoring(way["scoring"])
    check_judges(list(judges), way["weights"])
    return way


def check_judges(judges: list[Judge], weights: Mapping[str, float]) -> None:
    """Names that can stand in roles, each once; models that know what the weights name."""
    if len(judges) > MOST:
        raise InvalidRunConfig(f"a suite has at most {MOST} judges, got {len(judges)}")
    names = [each.name for each in judges]
    for judge in judges:
        if not NAME.fullmatch(judge.name) or judge.name in _RESERVED:
            raise InvalidRunConfig(
                f"a judge is named by up to 30 letters, digits, spaces, . + or -, and not"
                f" {_RESERVED[0]!r}; got {judge.name[:60]!r}"
            )
        if names.count(judge.name) > 1:
            raise InvalidRunConfig(f"two judges are named {judge.name!r}")
        _check_judge(judge, weights)


def _check_judge(judge: Judge, weights: Mapping[str, float]) -> None:
    model, backbone = judge.reward_model, judge.backbone
    if model.kind != OutputKind.REWARD_MODEL:
        raise InvalidRunConfig(
            f"the judge {judge.name} must be a reward model; artifact {model.pk} is a {model.kind}"
        )
    if backbone is not None and backbone.role != BaseModel.Role.VLM:
        raise InvalidRunConfig(
            f"the backbone of the judge {judge.name} must be a vlm, got the {backbone.role}"
            f" {backbone.name!r}"
        )
    known = model.meta.get("dimensions")
    unknown = sorted(set(weights) - set(known)) if known else []
    if unknown:
        raise InvalidRunConfig(
            f"the judge {judge.name} does not know the dimension {unknown[0]!r}; "
            f"it knows {', '.join(known)}"
        )
