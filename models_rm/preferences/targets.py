"""What people said, as numbers that a loss can use: weights of the classes, margins, scores.

Whatever a pair says on a dimension becomes three weights, in the order A, tie, B: one for the
consensus, a posterior, or a sum over judgements. An entry without weight does not exist: it is in
neither the loss nor its divisor.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from formats.snapshot import Snapshot
from formats.supervised import BadConfigError
from models_rm.config import FROM_SCORES, RewardModelConfig
from models_rm.preferences.data import Pairs

Floats = NDArray[np.float32]
Part = NDArray[np.int64]

TIE: Final = 1  # the place of the tie among the classes
_PLAIN: Final = ("bt", "margin", "constant_margin")  # losses to which a tie says nothing


@dataclass(frozen=True, slots=True)
class Targets:
    """n pairs, D dimensions, on the device of the rewards."""

    classes: torch.Tensor  # [n, D, 3]: weights of A, tie, B; 0 where the loss cannot use them
    margin: torch.Tensor  # [n, D]: mean score of A - mean score of B; 0 where one is missing
    scores: torch.Tensor  # [n, D, 2]: of A and of B, from 1 to 5; 3 where nobody gave one
    scored: torch.Tensor  # bool [n, D, 2]
    weights: torch.Tensor  # [n, D]: `entry_weights`
    of_dimensions: torch.Tensor  # [D]: what a judgement of each dimension weighs

    @classmethod
    def of(cls, pairs: Pairs, part: Part, config: RewardModelConfig, device: torch.device) -> Self:
        scores = np.stack([pairs.score_a[part], pairs.score_b[part]], axis=-1)
        found = (
            class_weights(pairs, part, config),
            _margins(scores),
            np.nan_to_num(scores, nan=3.0),
            np.isfinite(scores),
            entry_weights(pairs, part, config),
            np.asarray(config.weights_of(pairs.keys), dtype=np.float32),
        )
        return cls(*(torch.from_numpy(each).to(device) for each in found))


def class_weights(pairs: Pairs, part: Part, config: RewardModelConfig) -> Floats:  # [n, D, 3]
    """How much each pair says for A, tie and B, without what the loss of a dimension cannot use.

    `consensus`: 1 for its label. `posterior`: the soft label, which is the label where there is
    none. `votes`: each judgement its annotator's weight; an imported label is one vote.
    """
    said = {"consensus": _consensus, "posterior": _posterior, "votes": _votes}
    weights = said[config.labels](pairs, part)
    for d, loss in enumerate(config.loss_of(pairs.keys)):
        if loss == "regression":
            weights[:, d] = 0
        elif loss in _PLAIN:
            weights[:, d, TIE] = 0
        if loss == "margin" and config.margin_without_scores == "leave_out":
            weights[~_both_scored(pairs, part)[:, d], d] = 0
    return weights


def entry_weights(pairs: Pairs, part: Part, config: RewardModelConfig) -> Floats:  # [n, D]
    """What each entry adds to the divisor of the loss; needs no forward.

    The loss of a step is the sum of the weighted losses over the sum of these, both over the
    global batch. A pair with scores on one side alone weighs half in a regression.
    """
    weights = class_weights(pairs, part, config).sum(-1)
    sides = np.isfinite(pairs.score_a[part]).astype(np.float32) + np.isfinite(pairs.score_b[part])
    for d, loss in enumerate(config.loss_of(pairs.keys)):
        if loss == "regression":
            weights[:, d] = sides[:, d] / 2
    factors = np.asarray(config.weights_of(pairs.keys), dtype=np.float32)
    result: Floats = (weights * factors).astype(np.float32)
    return result


def tie_rates(pairs: Pairs, config: RewardModelConfig) -> list[float]:  # [D]
    """Share of ties per dimension, with one made-up vote per class: few votes say little."""
    everything = np.arange(len(pairs))
    said = {"consensus": _consensus, "posterior": _posterior, "votes": _votes}
    counts = said[config.labels](pairs, everything).sum(0, dtype=np.float64) + 1  # [D, 3]
    rates: list[float] = (counts[:, TIE] / counts.sum(-1)).tolist()
    return rates


def refuse_useless(pairs: Pairs, config: RewardModelConfig) -> None:
    """BadConfigError where a loss wants scores of which the training pairs have none."""
    weights = entry_weights(pairs, np.arange(len(pairs)), config)
    losses, factors = config.loss_of(pairs.keys), config.weights_of(pairs.keys)
    for d, (key, loss) in enumerate(zip(pairs.keys, losses, strict=True)):
        if loss in FROM_SCORES and factors[d] and not weights[:, d].any():
            raise BadConfigError(
                f"the loss {loss!r} of {key} needs 1-5 scores, and no training pair has them"
            )


def refuse_without_judgements(snapshot: Snapshot, config: RewardModelConfig) -> None:
    """BadConfigError where single votes are asked for and the snapshot keeps none."""
    voted = [record for record in snapshot.records if record.source == "votes" and record.video_b]
    if config.labels == "votes" and voted and not any(record.judgements for record in voted):
        raise BadConfigError(
            "labels 'votes' needs the single judgements, and this snapshot has none: "
            "take it again, or learn from the consensus"
        )
    if config.annotator_weights == "reliability" and voted and not snapshot.annotators:
        raise BadConfigError(
            "annotator_weights 'reliability' needs a snapshot that says how reliable its "
            "annotators are; take it again, or weigh them equally"
        )


def _consensus(pairs: Pairs, part: Part) -> Floats:
    preference, valid = pairs.preference[part], pairs.valid[part]
    places = np.stack([preference > 0, preference == 0, preference < 0], axis=-1)
    return (places & valid[..., None]).astype(np.float32)


def _posterior(pairs: Pairs, part: Part) -> Floats:
    return pairs.posterior[part].astype(np.float32)


def _votes(pairs: Pairs, part: Part) -> Floats:
    return pairs.votes[part].astype(np.float32)


def _both_scored(pairs: Pairs, part: Part) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isfinite(pairs.score_a[part]) & np.isfinite(pairs.score_b[part])
    return found


def _margins(scores: Floats) -> Floats:  # [n, D, 2] -> [n, D]
    return np.nan_to_num(scores[..., 0] - scores[..., 1], nan=0.0)
