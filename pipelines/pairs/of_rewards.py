"""Preference pairs from rewards: best against worst of the clips of a prompt. Pure.

Each prompt gives the widest pair that passes every rule, then the widest of the clips that are
left. A group of one, an equal group and a gap below the minimum make none (ML.md 4.6). Only prompts
of the asked split are used, so nothing is ever tuned on test prompts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from formats.records import GenerationRecord, PairRecord, ScoreRecord
from pipelines.pairs.rules import (
    EQUAL,
    JUDGED,
    NARROW,
    NO_SCORE,
    OTHER_SPLIT,
    SAME_FILE,
    SAME_VALUE,
    TOO_FEW,
    WITHDRAWN,
    Fault,
    Pairing,
    PairingConfig,
    Refusal,
    Rules,
    worse_in,
)
from pipelines.rewards.maps import fitted
from pipelines.scoring import Reward, rewards_of
from pipelines.start_images import prompt_key

# All that comes behind is narrower still.
_ENDS: frozenset[str] = frozenset((EQUAL, NARROW))


@dataclass(frozen=True, slots=True)
class Scored:
    """One clip with its reward, and its total mapped to [0, 1]."""

    clip: GenerationRecord
    reward: Reward
    unit: float


Wide = tuple[Scored, Scored]  # winner and loser


def pairs_from_scores(
    generations: Iterable[GenerationRecord],
    scores: Iterable[ScoreRecord],
    config: PairingConfig,
    rules: Rules | None = None,
) -> Pairing:
    """Best against worst of the clips of each prompt, as far as the rules allow.

    Without a map in `rules` the totals of these clips are their own scale.
    """
    rules = rules or Rules()
    found = Pairing()
    groups = _groups(generations, rewards_of(scores, config.weights), config, rules, found)
    for prompt_id in sorted(groups):
        _pairs_of(groups[prompt_id], config, rules, found)
    return found


def _groups(
    generations: Iterable[GenerationRecord],
    rewards: dict[str, Reward],
    config: PairingConfig,
    rules: Rules,
    found: Pairing,
) -> dict[str, list[Scored]]:
    """The clips of each prompt, best first."""
    kept = []
    for clip in generations:
        if (reason := _left_out(clip, rewards, config, rules)) is not None:
            found.left_out[reason] += 1
        else:
            kept.append(clip)
    to_unit = rules.to_unit
    if to_unit is None and kept:
        to_unit = fitted([rewards[clip.video.id].total for clip in kept], config.mapping)
    groups: dict[str, list[Scored]] = defaultdict(list)
    for clip in kept:
        reward = rewards[clip.video.id]
        assert to_unit is not None
        groups[clip.prompt_id].append(Scored(clip, reward, to_unit(reward.total)))
    for group in groups.values():
        group.sort(key=lambda each: (-each.reward.total, each.clip.video.id))
    return groups


def _left_out(
    clip: GenerationRecord, rewards: dict[str, Reward], config: PairingConfig, rules: Rules
) -> str | None:
    if clip.split != config.split:
        return f"clip {OTHER_SPLIT}"
    if clip.video.id not in rewards:
        return NO_SCORE
    return WITHDRAWN if clip.video.sha256 in rules.withdrawn else None


def _pairs_of(
    ranked: Sequence[Scored], config: PairingConfig, rules: Rules, found: Pairing
) -> None:
    left = list(ranked)
    for _ in range(config.pairs_per_prompt):
        if len(left) < 2:
            found.refuse(_too_few(ranked[0].clip, left))
            return
        pair, refusal = _widest(left, config, rules)
        if refusal is not None:
            found.refuse(refusal)
        if pair is None:
            return
        found.pairs.append(_record(*pair, rules))
        left = [each for each in left if each is not pair[0] and each is not pair[1]]


def _widest(
    ranked: Sequence[Scored], config: PairingConfig, rules: Rules
) -> tuple[Wide | None, Refusal | None]:
    """The widest pair that passes, and why the widest of all was refused, if it was."""
    first: Refusal | None = None
    for winner, loser in _by_gap(ranked):
        fault = _fault(winner, loser, config, rules)
        if fault is None:
            return (winner, loser), None if first is None else replace(first, replaced=True)
        first = first or _refusal(fault, winner, loser)
        if fault.reason in _ENDS:
            break
    return None, first


def _by_gap(ranked: Sequence[Scored]) -> Iterator[Wide]:
    """Every pair, the widest first; of equal ones the better winner."""
    places = combinations(range(len(ranked)), 2)
    wide = sorted(
        places,
        key=lambda at: (ranked[at[1]].reward.total - ranked[at[0]].reward.total, at[0], -at[1]),
    )
    return ((ranked[winner], ranked[loser]) for winner, loser in wide)


def _fault(winner: Scored, loser: Scored, config: PairingConfig, rules: Rules) -> Fault | None:
    """The first rule that these two clips break; what costs most is asked last."""
    gap = winner.reward.total - loser.reward.total
    if gap <= 0:
        return Fault(EQUAL, f"both {winner.reward.total:.3g}")
    if gap < config.minimum_gap:
        return Fault(NARROW, f"{gap:.3g}, wanted {config.minimum_gap:g}")
    if winner.unit <= loser.unit:
        return Fault(SAME_VALUE, f"both {winner.unit:.4g}")
    one, other = winner.clip, loser.clip
    sides = frozenset((one.video.sha256, other.video.sha256))
    if len(sides) == 1:
        return Fault(SAME_FILE)
    if sides in rules.judged.get(prompt_key(one.prompt, one.image), frozenset()):
        return Fault(JUDGED)
    if config.pareto:
        worse = worse_in(winner.reward.values, loser.reward.values, config.weights)
        if worse is not None:
            return worse
    return rules.guard(one.video, other.video)


def _refusal(fault: Fault, winner: Scored, loser: Scored) -> Refusal:
    clip = winner.clip
    return Refusal(fault, clip.prompt, clip.video, loser.clip.video, clip.image)


def _too_few(clip: GenerationRecord, left: Sequence[Scored]) -> Refusal:
    alone = left[0].clip.video if left else None
    return Refusal(Fault(TOO_FEW, f"{len(left)} of 2"), clip.prompt, alone, image=clip.image)


def _record(winner: Scored, loser: Scored, rules: Rules) -> PairRecord:
    chosen, rejected = winner.clip, loser.clip
    return PairRecord(
        pair_id=f"{chosen.video.id}>{rejected.video.id}",
        prompt_id=chosen.prompt_id,
        prompt=chosen.prompt,
        split=chosen.split,
        chosen=rules.locate(chosen.video),
        rejected=rules.locate(rejected.video),
        gap=winner.reward.total - loser.reward.total,
        reward_w=winner.unit,
        reward_l=loser.unit,
        source="rewards",
        image=chosen.image,
        rewards_w=winner.reward.values,
        rewards_l=loser.reward.values,
    )
