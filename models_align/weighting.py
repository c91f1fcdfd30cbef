"""What each clip of a pair weighs in a training, from the rewards in its record; refusals by name.

Made once, before the first clip is encoded: a pair that a method cannot use ends the run there.
"""

import math
from collections.abc import Callable, Sequence

import torch

from formats.errors import FormatError
from formats.records import PairRecord
from models_align.config import (
    AlignmentConfig,
    FlowDpoSettings,
    GapoSettings,
    RwrSettings,
    SafeDpoSettings,
)
from models_align.methods.gapo import gap_factor, normalised
from models_align.methods.rwr import rwr_weights


def pair_weights(pairs: Sequence[PairRecord], config: AlignmentConfig) -> torch.Tensor:  # [N, 2]
    """Of winner and loser of each pair; ones where the method weighs nothing.

    Flow-RWR: exp(r / temperature), mean 1 within a prompt or over all clips. GAPO: the factor of
    the pair, for both, with mean 1 over all pairs if asked. FormatError for a pair that the method
    cannot use.
    """
    settings = config.settings
    match settings:
        case GapoSettings():
            _refuse(pairs, _not_for_gapo)
            return _gap_factors(pairs, settings)
        case FlowDpoSettings() | SafeDpoSettings():
            _refuse(pairs, _no_preference)
        case RwrSettings():
            _refuse(pairs, _outside)
            return _rwr(pairs, settings)
    return torch.ones(len(pairs), 2)


def _refuse(pairs: Sequence[PairRecord], reason: Callable[[PairRecord], str]) -> None:
    for each in pairs:
        if found := reason(each):
            raise FormatError(f"the pair {each.pair_id} {found}")


def _no_preference(pair: PairRecord) -> str:
    """A tie is never a decisive pair (ML.md 4.6)."""
    if pair.gap > 0:
        return ""
    return f"has a gap of {pair.gap:g}: a tie is no preference, leave it out or raise minimum_gap"


def _outside(pair: PairRecord) -> str:
    for side, reward in (("chosen", pair.reward_w), ("rejected", pair.reward_l)):
        if not (math.isfinite(reward) and 0 <= reward <= 1):
            return (
                f"has a reward of {reward:g} for the {side} clip; rewards of pairs lie in [0, 1], "
                "as a pairing run maps them"
            )
    return ""


def _not_for_gapo(pair: PairRecord) -> str:
    if found := _outside(pair) or _no_preference(pair):
        return found
    if pair.reward_w > pair.reward_l:
        return ""
    return (
        f"has a reward of {pair.reward_w:g} for the chosen and {pair.reward_l:g} for the rejected "
        "clip; GAPO needs the chosen one's above the other's"
    )


def _gap_factors(pairs: Sequence[PairRecord], settings: GapoSettings) -> torch.Tensor:
    # Rewards that differ in their last digits are equal in float32, and would be refused here.
    rewards = torch.tensor([(e.reward_w, e.reward_l) for e in pairs], dtype=torch.float64)
    factor = gap_factor(rewards[:, 0], rewards[:, 1], settings.alpha).float()
    # Over all pairs and not over a step: with one pair a step, a factor over its own mean is 1,
    # and GAPO would be Flow-DPO.
    factor = normalised(factor) if settings.normalise_gap else factor
    return factor[:, None].expand(-1, 2).clone()


def _rwr(pairs: Sequence[PairRecord], settings: RwrSettings) -> torch.Tensor:
    rewards = [reward for each in pairs for reward in (each.reward_w, each.reward_l)]
    groups = None
    if settings.within == "prompt":
        prompts = {each.prompt_id: number for number, each in enumerate(pairs)}
        groups = [prompts[each.prompt_id] for each in pairs for _ in range(2)]
    return rwr_weights(rewards, groups, settings.temperature, settings.max_weight).view(-1, 2)
