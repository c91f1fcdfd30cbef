"""When training goes wrong: pure functions over what a run has shown of itself so far.

Each looks at whole series and says at which step it is sure, since when, and what to change. The
rules are ML.md 4.2 and 8.15; the thresholds are settings.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from scipy.special import stdtrit

from models_align.watching.settings import (
    DISPLACEMENT,
    DIVERSITY,
    HACKING,
    MOTION,
    SATURATION,
    AlarmSettings,
)

Curve = Sequence[tuple[int, float]]  # (step, value), by step
# (step, one value per prompt), by step; the first is the base. Prompts stand in one order.
Looks = Sequence[tuple[int, Sequence[float]]]

ADVICE: Final = {
    DISPLACEMENT: "take safe_dpo, a lower lr or a larger beta, or pairs with a larger gap",
    SATURATION: "take a lower lr, fewer steps or a smaller beta, and look for what gives the "
    "chosen clips away: pairs this easy teach little",
    MOTION: "weigh the motion dimension more when pairs are built, drop pairs whose chosen clip "
    "moves less, or stop earlier",
    DIVERSITY: "take a lower lr, a larger beta or fewer steps, and pairs of more prompts",
    HACKING: "stop earlier, take the constant beta or a larger one, and build pairs by several "
    "judges (Pareto) instead of this one alone",
}
# Of the methods without a beta.
_ADVICE_OF_REGRESSION: Final = {
    DISPLACEMENT: "take a lower lr or fewer steps, or pairs whose chosen clips are alike in kind",
    DIVERSITY: "take a lower lr or fewer steps, and chosen clips of more prompts",
    HACKING: "stop earlier, take a lower lr, and choose clips by several judges instead of one",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """`since` is the last step at which nothing was wrong yet; 0 is the base."""

    name: str
    step: int
    since: int
    sentence: str


class Change(NamedTuple):
    """The mean difference over prompts with its 95 % interval."""

    mean: float
    low: float
    high: float


def change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Of values per prompt, paired. Student's interval; infinite for fewer than two prompts."""
    differences = [late - early for early, late in zip(before, after, strict=True)]
    count = len(differences)
    mean = math.fsum(differences) / count
    if count < 2:
        return Change(mean, -math.inf, math.inf)
    variance = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
    half = float(stdtrit(count - 1, 0.975)) * math.sqrt(variance / count)
    return Change(mean, mean - half, mean + half)


def advice(name: str, method: str) -> str:
    """What to change; `method` is that of the config."""
    found = _ADVICE_OF_REGRESSION if method in {"sft", "rwr"} else {}
    return found.get(name, ADVICE[name])


def displacement(winner_drift: Curve, settings: AlarmSettings) -> Alarm | None:
    """Likelihood displacement: the model leaves the chosen clips too, the rejected ones faster.

    winner_drift: error of the policy on winners minus that of the reference.
    """
    wanted = settings.displacement_logs
    since = _since(winner_drift, [value > 0 for _, value in winner_drift], wanted)
    if since is None:
        return None
    sentence = (
        f"the error on chosen clips has been above that of the reference for {wanted} logs: the "
        "model forgets what people like"
    )
    return Alarm(DISPLACEMENT, winner_drift[-1][0], since, sentence)


def saturation(
    z_max: Curve, accuracy: Curve, settings: AlarmSettings, *, steps: int
) -> Alarm | None:
    """The pairs are told apart so surely that there is nothing left to learn from them.

    z_max: largest |z| of each log; accuracy: share of pairs with z > 0; steps: of the whole run.
    """
    wanted = settings.saturation_logs
    since = _since(z_max, [value > settings.saturation_z for _, value in z_max], wanted)
    if since is not None:
        sentence = f"|z| has been above {settings.saturation_z:g} for {wanted} logs"
        return Alarm(SATURATION, z_max[-1][0], since, f"{sentence}: the loss is saturated")
    early = settings.saturation_early * steps
    sure = [step <= early and value > settings.saturation_accuracy for step, value in accuracy]
    since = _since(accuracy, sure, wanted)
    if since is None:
        return None
    sentence = (
        f"the implicit accuracy has been above {settings.saturation_accuracy:g} for {wanted} logs "
        f"within the first {settings.saturation_early:.0%} of the steps"
    )
    return Alarm(SATURATION, accuracy[-1][0], since, sentence)


def loss_of_motion(motion: Looks, settings: AlarmSettings) -> Alarm | None:
    """Clips of held-out prompts move less than those of the base. motion: amount per prompt."""
    fallen = _fallen(motion, settings.motion_fall)
    if fallen is None:
        return None
    since, share = fallen
    sentence = f"clips of held-out prompts move {share:.0%} less than those of the base"
    return Alarm(MOTION, motion[-1][0], since, sentence)


def loss_of_diversity(spread: Looks, settings: AlarmSettings) -> Alarm | None:
    """Clips of one prompt look alike, whatever the seed. spread: between seeds, per prompt."""
    fallen = _fallen(spread, settings.diversity_fall)
    if fallen is None:
        return None
    since, share = fallen
    sentence = f"clips of one prompt differ {share:.0%} less between seeds than those of the base"
    return Alarm(DIVERSITY, spread[-1][0], since, sentence)


def reward_hacking(reward: Looks, judge: Looks, settings: AlarmSettings) -> Alarm | None:
    """The training judge still rises and the independent judge falls.

    Both are compared with the look that the independent judge liked best, on the same prompts and
    seeds; each change must be beyond its interval. Scores per prompt, in standard deviations.
    """
    if len(judge) < 2 or len(reward) != len(judge):
        return None
    best = max(range(len(judge) - 1), key=lambda n: math.fsum(judge[n][1]))
    rise = change(reward[best][1], reward[-1][1])
    fall = change(judge[best][1], judge[-1][1])
    if rise.low <= 0 or fall.high >= 0 or -fall.mean < settings.hacking_fall:
        return None
    sentence = (
        f"since step {judge[best][0]} the training judge has risen by {rise.mean:.2f} and the "
        f"independent judge has fallen by {-fall.mean:.2f}"
    )
    return Alarm(HACKING, judge[-1][0], judge[best][0], sentence)


def _since(curve: Sequence[tuple[int, Any]], wrong: Sequence[bool], wanted: int) -> int | None:
    """Where the last `wanted` logs are all wrong: the step before this row of wrong ones."""
    row = sum(1 for _ in itertools.takewhile(bool, reversed(wrong)))
    if row < wanted:
        return None
    return curve[-row - 1][0] if row < len(curve) else 0


def _fallen(looks: Looks, most: float) -> tuple[int, float] | None:
    """(last good step, share lost) where the newest look is surely below the first by `most`."""
    if len(looks) < 2:
        return None
    base = math.fsum(looks[0][1])
    shares = [1 - math.fsum(values) / base if base > 0 else 0.0 for _, values in looks]
    if shares[-1] < most or change(looks[0][1], looks[-1][1]).high >= 0:
        return None
    since = _since(looks, [share >= most for share in shares], 1)
    return since or 0, shares[-1]
