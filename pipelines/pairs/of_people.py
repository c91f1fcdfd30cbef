"""Preference pairs from what people said: the consensus of a snapshot. Pure.

Per dimension a clip has its expected share of votes: P(A) + P(tie) / 2 of the posterior, or of the
label where there is none. A dimension that people call a tie has one half, whichever way its
posterior leans: that is noise of who happened to vote. A pair on which the labels cancel out is a
tie as a whole, and makes no preference pair; an invalid dimension counts for nothing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from annotation.models.clips import prompt_sha256
from formats.labels import SIGN, Label
from formats.records import PairRecord, PreferenceRecord, VideoRef
from pipelines.pairs.rules import (
    CONTRADICTED,
    NO_LABEL,
    OTHER_SPLIT,
    SAME_FILE,
    SPLIT_PEOPLE,
    TIE,
    UNSCORED,
    WITHDRAWN,
    Fault,
    Pairing,
    PairingConfig,
    Refusal,
    Rules,
    Sides,
    worse_in,
)
from pipelines.scoring import Reward
from pipelines.start_images import prompt_key


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What people think of the clip that they prefer; shares from 0 to 1."""

    chosen: VideoRef
    rejected: VideoRef
    share: float
    shares: dict[str, float]
    tied: bool  # the labels cancel out

    @property
    def margin(self) -> float:
        return 2 * self.share - 1


@dataclass(frozen=True, slots=True)
class _Values:
    """Of both clips: the value in [0, 1], and the rewards per dimension where there are any."""

    w: float
    l: float  # noqa: E741  winner and loser, as in the papers
    rewards_w: dict[str, float]
    rewards_l: dict[str, float]


def judged_by_people(records: Iterable[PreferenceRecord]) -> dict[str, frozenset[Sides]]:
    """The pairs that people have an opinion on, ties and invalid ones too, by prompt key."""
    found: dict[str, set[Sides]] = {}
    for record in records:
        if record.video_b is not None and (record.labels or record.posterior):
            sides = frozenset((record.video_a.sha256, record.video_b.sha256))
            found.setdefault(prompt_key(record.prompt, record.image), set()).add(sides)
    return {key: frozenset(each) for key, each in found.items()}


def pairs_from_votes(
    records: Iterable[PreferenceRecord], config: PairingConfig, rules: Rules | None = None
) -> Pairing:
    """The pairs on which people agree who is better, as far as the rules allow."""
    rules = rules or Rules()
    found = Pairing()
    for record in records:
        if record.split != config.split:
            found.left_out[f"judged pair {OTHER_SPLIT}"] += 1
            continue
        opinion = _opinion(record, config.weights)
        made = _made(record, opinion, config, rules)
        if isinstance(made, Fault):
            found.refuse(_refusal(made, record, opinion))
        else:
            found.pairs.append(made)
    return found


def _opinion(record: PreferenceRecord, weights: Mapping[str, float]) -> _Opinion | None:
    """None where nobody could judge, or a clip was scored alone."""
    shares = _shares_of_a(record, weights)
    used = {key: weights.get(key, 0.0) if weights else 1.0 for key in shares}
    if record.video_b is None or not sum(used.values()):
        return None
    share = sum(shares[key] * used[key] for key in sorted(used)) / sum(used.values())
    tied = share == 0.5 or _cancel_out(record, used)
    if share >= 0.5:
        return _Opinion(record.video_a, record.video_b, share, shares, tied)
    turned = {key: 1 - each for key, each in shares.items()}
    return _Opinion(record.video_b, record.video_a, 1 - share, turned, tied)


def _cancel_out(record: PreferenceRecord, used: Mapping[str, float]) -> bool:
    """Whether all that is used has a label, and these weigh as much for one clip as for the other.

    A tie's sign is 0, so a pair of ties alone cancels out too.
    """
    if not all(key in record.labels for key in used):
        return False
    signs = sum(SIGN[record.labels[key]] * weight for key, weight in used.items())
    return math.isclose(signs, 0.0, abs_tol=1e-9)


def _shares_of_a(record: PreferenceRecord, weights: Mapping[str, float]) -> dict[str, float]:
    shares = {}
    for key in sorted({*record.labels, *record.posterior}):
        label = record.labels.get(key)
        if label is Label.INVALID or (weights and key not in weights):
            continue
        if label is Label.TIE:
            shares[key] = 0.5
        elif key in record.posterior:
            p_a, p_tie, _ = record.posterior[key]
            shares[key] = p_a + p_tie / 2
        elif label is not None:
            shares[key] = (SIGN[label] + 1) / 2
    return shares


def _made(
    record: PreferenceRecord, opinion: _Opinion | None, config: PairingConfig, rules: Rules
) -> PairRecord | Fault:
    if opinion is None:
        return Fault(NO_LABEL)
    fault = _undecided(opinion, config) or _unusable(opinion, rules)
    if fault is not None:
        return fault
    values = _values(record, opinion, config, rules)
    if isinstance(values, Fault):
        return values
    return rules.guard(opinion.chosen, opinion.rejected) or _record(record, opinion, values, rules)


def _undecided(opinion: _Opinion, config: PairingConfig) -> Fault | None:
    if opinion.tied:
        return Fault(TIE)
    if opinion.margin < config.minimum_margin:
        return Fault(SPLIT_PEOPLE, f"{opinion.margin:.3g}, wanted {config.minimum_margin:g}")
    if config.pareto:
        against = {key: 1 - each for key, each in opinion.shares.items()}
        return worse_in(opinion.shares, against, config.weights)
    return None


def _unusable(opinion: _Opinion, rules: Rules) -> Fault | None:
    sides = {opinion.chosen.sha256, opinion.rejected.sha256}
    if len(sides) == 1:
        return Fault(SAME_FILE)
    return Fault(WITHDRAWN) if sides & rules.withdrawn else None


def _values(
    record: PreferenceRecord, opinion: _Opinion, config: PairingConfig, rules: Rules
) -> _Values | Fault:
    """What the pair is worth in [0, 1]: by the reward model where it saw both clips, else by votes.

    A method that weighs pairs needs all of them on one scale, and GAPO a reward that agrees with
    the people: there such a pair is dropped.
    """
    shares = _Values(opinion.share, 1 - opinion.share, {}, {})
    if config.human_rewards == "share" or not rules.reward_of or rules.to_unit is None:
        return shares
    key = prompt_key(record.prompt, record.image)
    winner = rules.reward_of.get((key, opinion.chosen.sha256))
    loser = rules.reward_of.get((key, opinion.rejected.sha256))
    if winner is None or loser is None:
        return Fault(UNSCORED) if config.needs_one_scale else shares
    w, l = rules.to_unit(winner.total), rules.to_unit(loser.total)  # noqa: E741
    if config.needs_order and w <= l:
        return _contradicted(winner, loser)
    return _Values(w, l, winner.values, loser.values)


def _contradicted(winner: Reward, loser: Reward) -> Fault:
    return Fault(CONTRADICTED, f"{winner.total:.3g} against {loser.total:.3g}")


def _record(
    record: PreferenceRecord, opinion: _Opinion, values: _Values, rules: Rules
) -> PairRecord:
    image = record.image.sha256 if record.image else ""
    return PairRecord(
        pair_id=record.pair_id,
        prompt_id=prompt_sha256(record.prompt, image)[:16],
        prompt=record.prompt,
        split=record.split,
        chosen=rules.locate(opinion.chosen),
        rejected=rules.locate(opinion.rejected),
        gap=opinion.margin,
        reward_w=values.w,
        reward_l=values.l,
        source="votes",
        image=record.image,
        rewards_w=values.rewards_w,
        rewards_l=values.rewards_l,
        shares_w=opinion.shares,
    )


def _refusal(fault: Fault, record: PreferenceRecord, opinion: _Opinion | None) -> Refusal:
    return Refusal(
        fault,
        record.prompt,
        opinion.chosen if opinion else record.video_a,
        opinion.rejected if opinion else record.video_b,
        record.image,
        source="votes",
    )
