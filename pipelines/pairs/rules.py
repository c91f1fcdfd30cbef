"""What makes a preference pair, and what is kept of those that are none. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from formats.records import ImageRef, PairRecord, VideoRef
from pipelines import trainer_configs
from pipelines.rewards.maps import MAPPINGS
from pipelines.scoring import Reward
from pipelines.splitting import SPLITS
from pipelines.step_configs import StepConfig, check_weights, number, one_of, require, whole

# Methods that need a higher reward for the winner, and methods whose weights stand on one scale.
_NEED_ORDER: Final = ("gapo",)
_NEED_ONE_SCALE: Final = ("gapo", "rwr")
# In the order in which they are asked: what needs the pixels comes last.
GUARDS: Final = ("duration", "frame_rate", "size", "generator", "watermark")
HUMAN_REWARDS: Final = ("model", "share")
_EXAMPLES: Final = 24  # that are kept of each reason

# Why there is no pair.
TOO_FEW: Final = "prompt with too few clips"
EQUAL: Final = "group of equal scores"
NARROW: Final = "gap below the minimum"
SAME_FILE: Final = "both clips are the same file"
NOT_PARETO: Final = "not at least as good in every dimension"
JUDGED: Final = "judged by people already"
SAME_VALUE: Final = "rewards map to the same value"
NO_LABEL: Final = "no usable label"
TIE: Final = "tie"
SPLIT_PEOPLE: Final = "margin below the minimum"
CONTRADICTED: Final = "rewards contradict the people"
UNSCORED: Final = "people judged clips without a reward"
WITHDRAWN: Final = "a clip was withdrawn"
# Why a clip or a judged pair was not even looked at.
OTHER_SPLIT: Final = "of another split"
NO_SCORE: Final = "clip without a score"


@dataclass(frozen=True, slots=True)
class PairingConfig(StepConfig):
    """What makes a pair. No weights: every dimension counts the same (ML.md 2.4).

    `minimum_gap` is in units of the calibrated total (its standard deviation is about 1) and speaks
    of rewards; `minimum_margin`, of people, is the winner's expected share of votes minus the
    loser's. `pareto` wants a winner that is worse in no dimension. `method` is the one that these
    pairs are for: GAPO takes no human pair whose rewards contradict the people. `human_rewards`
    says what a human pair's rewards are: those of the reward model where its clips were scored, or
    always the share of votes. `allow` names the shortcut guards that are off.
    """

    weights: dict[str, float] = field(default_factory=dict)
    minimum_gap: float = 0.0
    minimum_margin: float = 0.0
    pareto: bool = False
    split: str = "train"
    mapping: str = "quantile"
    pairs_per_prompt: int = 1
    method: str = "flow_dpo"
    human_rewards: str = "model"
    allow: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_weights(self.weights)
        number("minimum_gap", self.minimum_gap, low=0)
        number("minimum_margin", self.minimum_margin, low=0)
        require(self.minimum_margin < 1, "minimum_margin", "below 1", self.minimum_margin)
        require(isinstance(self.pareto, bool), "pareto", "true or false", self.pareto)
        one_of("split", self.split, SPLITS)
        one_of("mapping", self.mapping, MAPPINGS)
        whole("pairs_per_prompt", self.pairs_per_prompt, low=1)
        one_of("method", self.method, trainer_configs.ALIGNMENT_METHODS)
        one_of("human_rewards", self.human_rewards, HUMAN_REWARDS)
        require(isinstance(self.allow, list), "allow", "a list of guards", self.allow)
        for each in self.allow:
            one_of("each entry of allow", each, GUARDS)

    @property
    def needs_order(self) -> bool:
        return self.method in _NEED_ORDER

    @property
    def needs_one_scale(self) -> bool:
        return self.method in _NEED_ONE_SCALE


_BEST_AND_WORST: Final = "best against worst of the clips of each prompt"
PRESETS: Final = tuple(
    trainer_configs.NamedConfig(*each)
    for each in (
        (
            "videoalign",
            f"{_BEST_AND_WORST}, all dimensions equal",
            "VideoAlign (arXiv 2501.13918): pairs relabelled by its reward model",
            "Preferences of the reward model in the place of people's; the split is train.",
            {"method": "flow_dpo"},
        ),
        (
            "gapo",
            f"{_BEST_AND_WORST}, for GAPO",
            "GAPO (arXiv 2504.10044): best and worst of four clips of a prompt",
            "Values in [0, 1] by quantiles; pairs that contradict people are left out.",
            {"method": "gapo", "mapping": "quantile"},
        ),
        (
            "pareto",
            "winners that are worse in no dimension",
            "VisionReward (arXiv 2412.21059), multi-objective preference optimisation",
            "Fewer pairs; none teaches to give up one dimension for another.",
            {"pareto": True},
        ),
    )
)


class Fault(NamedTuple):
    """Why two clips make no pair: a reason to count, and what it was this time."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pair that was not made. Where people are the source, the clips are A and B."""

    fault: Fault
    prompt: str
    chosen: VideoRef | None = None
    rejected: VideoRef | None = None
    image: ImageRef | None = None
    source: str = "rewards"
    replaced: bool = False  # a narrower pair of the prompt was made instead


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs, and why the others are none.

    `refused` counts prompts and judged pairs that gave none, by the reason of the widest;
    `replaced` those that gave a narrower pair instead; `left_out` what was not looked at.
    `examples` are the first refusals of each reason.
    """

    pairs: list[PairRecord] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[Refusal] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        counts = self.replaced if refusal.replaced else self.refused
        reason = refusal.fault.reason
        if self.refused[reason] + self.replaced[reason] < _EXAMPLES:
            self.examples.append(refusal)
        counts[reason] += 1

    def __add__(self, other: "Pairing") -> "Pairing":
        return Pairing(
            self.pairs + other.pairs,
            self.refused + other.refused,
            self.replaced + other.replaced,
            self.left_out + other.left_out,
            self.examples + other.examples,
        )


Guard = Callable[[VideoRef, VideoRef], Fault | None]
Sides = frozenset[str]  # the sha256 of both clips of a pair


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known beside the scores and the votes.

    `locate` says where a clip lies below the media root, `guard` whether two clips differ in
    something that a model could learn instead of quality. `to_unit` is the map of totals to [0, 1];
    `reward_of` gives the reward of a clip (prompt key, sha256) where a model judged it. `judged`
    are the pairs that people judged, by prompt key. `withdrawn` are clips that may not be used.
    """

    locate: Callable[[VideoRef], VideoRef] = lambda video: video
    guard: Guard = lambda _chosen, _rejected: None
    to_unit: Callable[[float], float] | None = None
    reward_of: Mapping[tuple[str, str], Reward] = field(default_factory=dict)
    judged: Mapping[str, frozenset[Sides]] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()


def worse_in(
    chosen: Mapping[str, float], rejected: Mapping[str, float], weights: Mapping[str, float]
) -> Fault | None:
    """Pareto dominance: where the chosen clip is worse in a dimension that counts, and how much."""
    used = [key for key in sorted(chosen) if not weights or weights.get(key)]
    for key in used:
        if chosen[key] < rejected[key]:
            return Fault(NOT_PARETO, f"worse in {key} by {rejected[key] - chosen[key]:.3g}")
    return None


def summary_of(found: Pairing, config: PairingConfig) -> dict[str, Any]:
    """How many pairs of which source, how far apart, and what gave none."""
    gaps = {
        source: sorted(pair.gap for pair in found.pairs if pair.source == source)
        for source in sorted({pair.source for pair in found.pairs})
    }
    everything = sorted(gap for rows in gaps.values() for gap in rows)
    return {
        "pairs": len(found.pairs),
        "prompts": len({(p.prompt, p.image) for p in found.pairs}),
        "source": next(iter(gaps)) if len(gaps) == 1 else "mixed",
        "sources": {source: len(rows) for source, rows in gaps.items()},
        "method": config.method,
        "gap_median": _median(everything),
        "gap_smallest": everything[0],
        "gaps": {
            source: {"smallest": rows[0], "median": _median(rows), "largest": rows[-1]}
            for source, rows in gaps.items()
        },
        "contradicting": sum(pair.reward_w <= pair.reward_l for pair in found.pairs),
        "refused": dict(found.refused),
        "replaced": dict(found.replaced),
        "left_out": dict(found.left_out),
    }


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
