"""What a step descends and what a person watches, from the errors of policy and reference."""

from typing import NamedTuple

import torch

from models_align.config import (
    AlignmentConfig,
    FlowDpoSettings,
    GapoSettings,
    RwrSettings,
    SafeDpoSettings,
    SftSettings,
)
from models_align.data import PairFacts
from models_align.methods.flow_dpo import flow_dpo_loss, preference_logit, squared_schedule
from models_align.methods.gapo import gapo_loss
from models_align.methods.rwr import effective_sample_size, rwr_loss
from models_align.methods.safe_dpo import loser_share, safe_dpo_loss
from models_align.methods.sft import sft_loss

# The methods that hold a pair's two errors against each other, with a beta.
Contrastive = FlowDpoSettings | GapoSettings | SafeDpoSettings


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


def pair_losses(config: AlignmentConfig, batch: PairFacts, errors: Errors) -> torch.Tensor:  # [B]
    """The loss of each pair, before any mean; its gradient is that of the method's own file."""
    settings, four = config.settings, errors[:4]
    match settings:
        case FlowDpoSettings():
            return flow_dpo_loss(*four, _beta(settings, batch))
        case GapoSettings():
            return gapo_loss(*four, _beta(settings, batch), batch.weight_w)
        case SafeDpoSettings():
            return safe_dpo_loss(*four, _beta(settings, batch), _share(settings, errors))
        case RwrSettings():
            weighted = rwr_loss(errors.policy_w, batch.weight_w)
            return (weighted + rwr_loss(errors.policy_l, batch.weight_l)) / 2
        case SftSettings():
            return sft_loss(errors.policy_w)


def _share(settings: SafeDpoSettings, errors: Errors) -> torch.Tensor:
    if errors.overlap is None:
        raise ValueError("safe_dpo needs the overlap of the residuals, and the errors have none")
    return loser_share(
        errors.policy_w, errors.reference_w, errors.overlap,
        caution=settings.caution, hold=settings.hold,
    )  # fmt: skip


def _beta(settings: Contrastive, batch: PairFacts) -> float | torch.Tensor:
    if settings.beta_schedule == "squared":
        return squared_schedule(settings.beta, batch.t)
    return settings.beta


@torch.no_grad()
def readings(config: AlignmentConfig, batch: PairFacts, errors: Errors) -> dict[str, float]:
    """What a person watches. Winner and loser have a curve each: both may get worse."""
    values = {
        "winner_drift": (errors.policy_w - errors.reference_w).mean().item(),
        "loser_drift": (errors.policy_l - errors.reference_l).mean().item(),
    }
    settings = config.settings
    if isinstance(settings, Contrastive):
        values |= _margins(preference_logit(*errors[:4], _beta(settings, batch)))
    if isinstance(settings, SafeDpoSettings):
        values["loser_share"] = _share(settings, errors).mean().item()
    if isinstance(settings, RwrSettings):
        weights = torch.cat([batch.weight_w, batch.weight_l])
        values["effective_samples"] = effective_sample_size(weights).item()
    return values


def _margins(z: torch.Tensor) -> dict[str, float]:
    # At step 0 every z is 0: half of a coin's throws, not none.
    right = (z > 0).float() + (z == 0).float() / 2
    return {
        "z_mean": z.mean().item(),
        "z_max": z.abs().max().item(),
        "implicit_accuracy": right.mean().item(),
    }
