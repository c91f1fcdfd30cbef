"""What a step descends and what a person watches, from the errors of policy and reference."""

from typing import NamedTuple

import torch

from models_align.config import (
    AlignmentConfig,
    FlowDpoSettings,
    GapoSettings,
    RwrSettings,
    SftSettings,
)
from models_align.data import Batch
from models_align.methods.flow_dpo import flow_dpo_loss, preference_logit, squared_schedule
from models_align.methods.gapo import gap_factor, gapo_loss, normalised
from models_align.methods.rwr import effective_sample_size, rwr_loss
from models_align.methods.sft import sft_loss


class Errors(NamedTuple):
    """Mean squared errors of the prediction per pair, [B]; the reference has the adapter off.

    `overlap` [B], without gradient, is the mean over elements of (prediction_w - target_w) *
    (prediction_l - target_l): how alike the policy's mistakes on winner and loser are.
    """

    policy_w: torch.Tensor
    policy_l: torch.Tensor
    reference_w: torch.Tensor
    reference_l: torch.Tensor
    overlap: torch.Tensor | None = None


def pair_losses(config: AlignmentConfig, batch: Batch, errors: Errors) -> torch.Tensor:  # [B]
    four = (errors.policy_w, errors.policy_l, errors.reference_w, errors.reference_l)
    match config.settings:
        case FlowDpoSettings():
            return flow_dpo_loss(*four, _beta(config, batch))
        case GapoSettings(alpha=alpha, normalise_gap=normalise):
            beta, rewards = _beta(config, batch), (batch.reward_w, batch.reward_l)
            if not normalise:
                return gapo_loss(*four, beta, *rewards, alpha)
            return normalised(gap_factor(*rewards, alpha)) * flow_dpo_loss(*four, beta)
        case RwrSettings():
            weighted = rwr_loss(errors.policy_w, batch.weight_w)
            return (weighted + rwr_loss(errors.policy_l, batch.weight_l)) / 2
        case SftSettings():
            return sft_loss(errors.policy_w)


def _beta(config: AlignmentConfig, batch: Batch) -> float | torch.Tensor:
    settings = config.settings
    assert isinstance(settings, FlowDpoSettings | GapoSettings)
    if settings.beta_schedule == "squared":
        return squared_schedule(settings.beta, batch.t)
    return settings.beta


@torch.no_grad()
def readings(config: AlignmentConfig, batch: Batch, errors: Errors) -> dict[str, float]:
    """What a person watches. Winner and loser have a curve each: both may get worse."""
    values = {
        "winner_drift": (errors.policy_w - errors.reference_w).mean().item(),
        "loser_drift": (errors.policy_l - errors.reference_l).mean().item(),
    }
    settings = config.settings
    if isinstance(settings, FlowDpoSettings | GapoSettings):
        z = preference_logit(
            errors.policy_w, errors.policy_l, errors.reference_w, errors.reference_l,
            _beta(config, batch),
        )  # fmt: skip
        # At step 0 every z is 0: half of a coin's throws, not none.
        right = (z > 0).float() + (z == 0).float() / 2
        values |= {
            "z_mean": z.mean().item(),
            "z_max": z.abs().max().item(),
            "implicit_accuracy": right.mean().item(),
        }
    if isinstance(settings, RwrSettings):
        weights = torch.cat([batch.weight_w, batch.weight_l])
        values["effective_samples"] = effective_sample_size(weights).item()
    return values
