"""When training goes wrong: pure functions over what a run has shown of itself so far.

Each says up to which step nothing was wrong, which is where a good checkpoint lies, and a sentence
where it is time for an alarm. The rules are those of ML.md 4.2, 5.2 and 8.15; the thresholds are
settings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

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
    DISPLACEMENT: "Take safe_dpo, a lower lr or a larger beta, or pairs with a larger gap.",
    SATURATION: "Take a lower lr, fewer steps or a smaller beta, and look for what gives the "
    "chosen clips away: pairs this easy teach little.",
    MOTION: "Weigh the motion dimension more when pairs are built, drop pairs whose chosen clip "
    "moves less, or take fewer steps.",
    DIVERSITY: "Take a lower lr, a larger beta or fewer steps, and pairs of more prompts.",
    HACKING: "Take fewer steps or a larger, constant beta, and build pairs by several judges "
    "(Pareto) instead of this one alone.",
}
# Of the methods without a beta.
_WITHOUT_BETA: Final = {
    DISPLACEMENT: "Take a lower lr or fewer steps, and chosen clips that are alike in kind.",
    DIVERSITY: "Take a lower lr or fewer steps, and chosen clips of more prompts.",
    HACKING: "Take a lower lr or fewer steps, and choose clips by several judges.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`good`: the last step at which nothing was wrong. `sentence`: set where it is an alarm."""

    good: int = 0
    sentence: str = ""


class Change(NamedTuple):
    """The mean difference over prompts with its 95 % interval."""

    mean: float
    low: float
    high: float


def advice(name: str, method: str) -> str:
    """What to change; `method` is that of the config."""
    without_beta = _WITHOUT_BETA if method in {"sft", "rwr"} else {}
    return without_beta.get(name, ADVICE[name])


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


def displacement(winner_drift: Curve, settings: AlarmSettings) -> Finding:
    """Likelihood displacement: the model leaves the chosen clips too, the rejected ones faster.

    winner_drift: error of the policy on winners minus that of the reference, of each log.
    """
    wanted = settings.displacement_logs
    good, row = _last_good(winner_drift, lambda _, value: value > 0)
    if row < wanted:
        return Finding(good)
    return Finding(
        good,
        f"the error on chosen clips has been above that of the reference for {wanted} logs: the "
        "model forgets what people like",
    )


def saturation(z_max: Curve, accuracy: Curve, settings: AlarmSettings, *, steps: int) -> Finding:
    """The pairs are told apart so surely that there is nothing left to learn from them.

    z_max: largest |z| of each log; accuracy: share of pairs with z > 0; steps: of the whole run.
    """
    wanted, early = settings.saturation_logs, settings.saturation_early * steps
    good, row = _last_good(z_max, lambda _, value: value > settings.saturation_z)
    if row >= wanted:
        sentence = f"|z| has been above {settings.saturation_z:g} for {wanted} logs"
        return Finding(good, f"{sentence}: there is nothing left to learn from the pairs")
    sure = settings.saturation_accuracy
    easy, row = _last_good(accuracy, lambda step, value: step <= early and value > sure)
    if row < wanted:
        return Finding(min(good, easy))
    return Finding(
        easy,
        f"the implicit accuracy has been above {sure:g} for {wanted} logs within the first "
        f"{settings.saturation_early:.0%} of the steps",
    )


def loss_of_motion(motion: Looks, settings: AlarmSettings) -> Finding:
    """Clips of held-out prompts move less than those of the base. motion: amount per prompt."""
    good, share = _fallen(motion, settings.motion_fall)
    if share is None:
        return Finding(good)
    return Finding(good, f"clips of held-out prompts move {share:.0%} less than those of the base")


def loss_of_diversity(spread: Looks, settings: AlarmSettings) -> Finding:
    """Clips of one prompt look alike, whatever the seed. spread: between seeds, per prompt."""
    good, share = _fallen(spread, settings.diversity_fall)
    if share is None:
        return Finding(good)
    sentence = f"clips of one prompt differ {share:.0%} less between seeds than those of the base"
    return Finding(good, sentence)


def reward_hacking(reward: Looks, judge: Looks, settings: AlarmSettings) -> Finding:
    """The training judge rises and the independent judge falls.

    Both are held against the look that the independent judge liked best, on the same prompts and
    seeds, and each change must be beyond its interval. Scores per prompt, in standard deviations of
    the judge.
    """
    if not judge or len(reward) != len(judge):
        return Finding()
    best = max(range(len(judge)), key=lambda n: math.fsum(judge[n][1]))
    good = judge[best][0]
    rise = change(reward[best][1], reward[-1][1])
    fall = change(judge[best][1], judge[-1][1])
    if rise.low <= 0 or fall.high >= 0 or -fall.mean < settings.hacking_fall:
        return Finding(good)
    return Finding(
        good,
        f"since step {good} the training judge has risen by {rise.mean:.2f} and the independent "
        f"judge has fallen by {-fall.mean:.2f}",
    )


def _last_good(curve: Curve, wrong: Callable[[int, float], bool]) -> tuple[int, int]:
    """The last step that is not wrong, 0 where there is none, and how many logs are behind it."""
    for row, (step, value) in enumerate(reversed(curve)):
        if not wrong(step, value):
            return step, row
    return 0, len(curve)


def _fallen(looks: Looks, most: float) -> tuple[int, float | None]:
    """The last look that had not fallen by `most` of the base; the share that the newest one lost.

    None where it has not fallen as far, or not surely.
    """
    if not looks:
        return 0, None
    base = math.fsum(looks[0][1])
    lost = [(step, 1 - math.fsum(values) / base if base > 0 else 0.0) for step, values in looks]
    good, row = _last_good(lost, lambda _, share: share >= most)
    if not row or change(looks[0][1], looks[-1][1]).high >= 0:
        return good, None
    return good, lost[-1][1]
