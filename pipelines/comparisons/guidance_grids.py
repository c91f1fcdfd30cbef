"""A grid of reward guidance, measured: one start becomes clips, scores of judges, one table.

    prompts, generator, latent reward model → clips of all cells (`guidance_cells`, one process)
    those clips → scores of each judge, truth → win rates of each cell against the plain one

The rows are written together by `parts`; the run of kind `guidance_grid` is the last of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact
from pipelines.parts import Part
from pipelines.step_configs import StepConfig, check_weights, require, whole

KIND: Final = "guidance_grid"
CELLS: Final = "guidance_cells"
JUDGES: Final = "judges"  # roles of reward models that judge the cells: judges:NAME
PROMPTS: Final = "prompts"  # given as records
BACKBONE: Final = "backbone"  # of the judges
SCORES: Final = "scores:"
_OF_CELLS: Final = ("weights", "strengths", "untrained", "generation")


# What the paper found, wins in VQ/MQ/TA against no guidance, table by table: 60.56/46.48/70.42,
# 66.50/63.73/60.86, 68.94/67.59/53.28, 86.43/93.23/26.65.
PRESETS: Final = (
    trainer_configs.NamedConfig(
        "videoalign-weights",
        "Weights per dimension as VideoAlign has them",
        "Improving Video Generation with Human Feedback, arXiv 2501.13918, Flow-NRG",
        "Four tables of weights at strength 100. There text alignment wins where it weighs most, "
        "and quality and motion where it weighs nothing.",
        {
            "weights": [
                {"VQ": 0.0, "MQ": 0.0, "TA": 1.0},
                {"VQ": 0.1, "MQ": 0.1, "TA": 0.8},
                {"VQ": 0.1, "MQ": 0.1, "TA": 0.6},
                {"VQ": 0.5, "MQ": 0.5, "TA": 0.0},
            ],
            "strengths": [100.0],
        },
    ),
)


@dataclass(frozen=True, slots=True)
class GridConfig(StepConfig):
    """The cells (as `models_align.grid_config` has them), and a section per step behind them.

    `overall` weighs the dimensions of judges for the overall win rate; none means all equally.
    Without `truth` nobody knows the truth.
    """

    weights: Sequence[Mapping[str, float]] = ()
    strengths: Sequence[float] = (100.0,)
    untrained: int = 2
    generation: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] | None = None
    overall: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        check_weights(self.overall)
        whole("seed", self.seed, low=0)
        for name in ("generation", "scoring"):
            value = getattr(self, name)
            require(isinstance(value, Mapping), name, "an object with settings", value)


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; that of the cells is checked by their own trainer's config."""
    config = trainer_configs.checked(GridConfig.from_json, values)
    return {**config, **trainer_configs.guidance_cells({key: config[key] for key in _OF_CELLS})}


def fits(config: Mapping[str, Any], inputs: Mapping[str, object]) -> None:
    """A dimension that the guide or a judge does not know is named before anything is sampled."""
    named = {key for table in config["weights"] for key in table}
    _refuse_unknown(named, inputs.get("latent_reward_model"), "latent reward model")
    for role, source in inputs.items():
        if role.startswith(f"{JUDGES}:"):
            _refuse_unknown(config["overall"], source, f"judge {role.partition(':')[2]}")


def _refuse_unknown(named: Iterable[str], source: object, what: str) -> None:
    known = source.meta.get("dimensions", []) if isinstance(source, Artifact) else []
    unknown = sorted(set(named) - set(known)) if known else []
    if unknown:
        raise InvalidRunConfig(
            f"the {what} does not know the dimension {unknown[0]!r}; it knows {', '.join(known)}"
        )


def parts(config: Mapping[str, Any], roles: Iterable[str], name: str) -> list[Part]:
    """Cells, then one scoring per judge, then the table, which is the run that was asked for."""
    given, title = set(roles), name or "Guidance grid"
    sampled = {role: role for role in given if role != PROMPTS and not _of_judges(role)}
    of_cells = {key: config[key] for key in _OF_CELLS}
    cells = Part(CELLS, f"{title}: clips", of_cells, sampled, given=(PROMPTS,))
    scored = {
        judge: _scored(judge, config, given, cells, title)
        for judge in sorted(role.partition(":")[2] for role in given if role.startswith(JUDGES))
    }
    if config["truth"] is not None:
        clips = {"generations": cells.name}
        scored["truth"] = Part("truth", f"{title}: truth", dict(config["truth"]), {}, clips)
    made = {"generations": cells.name}
    made |= {f"{SCORES}{judge}": each.name for judge, each in scored.items()}
    return [cells, *scored.values(), Part(KIND, title, dict(config), {}, made)]


def _scored(
    judge: str, config: Mapping[str, Any], given: set[str], cells: Part, title: str
) -> Part:
    inputs = {"reward_model": f"{JUDGES}:{judge}"}
    if BACKBONE in given:
        inputs[BACKBONE] = BACKBONE
    name = f"{title}: scores by {judge}"
    return Part("scoring", name, dict(config["scoring"]), inputs, {"generations": cells.name})


def _of_judges(role: str) -> bool:
    return role == BACKBONE or role.startswith(f"{JUDGES}:")
