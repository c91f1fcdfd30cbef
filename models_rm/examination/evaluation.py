"""A reward model against what people said: the numbers of the report, per dimension."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from formats.supervised import NonFiniteError
from models_rm.examination.figures import (
    Judged,
    Resampling,
    ceiling_figures,
    correlations,
    figures_of,
)
from models_rm.metrics import (
    HumanCeiling,
    accuracy_without_ties,
    btt_log_probabilities,
    compare,
)
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork
from models_rm.preferences.data import Clips, Pairs, Row

Rewards = NDArray[np.float64]


class RowRewards(NamedTuple):
    """What a network says of R rows, raw: the mean [R, D], and the log variance [R, D] of one that
    was trained with uncertainty."""

    mean: Rewards
    log_variance: Rewards | None = None


def rewards_of(
    network: RewardNetwork,
    collator: Collator,
    clips: Clips,
    rows: Sequence[Row],
    *,
    batch_size: int,
    check: Callable[[], None],
) -> Rewards:  # raw, [R, D]
    """Score rows with the network in evaluation mode; `check` is called before each batch."""
    found = outputs_of(network, collator, clips, rows, batch_size=batch_size, check=check)
    return found.mean


@torch.no_grad()
def outputs_of(
    network: RewardNetwork,
    collator: Collator,
    clips: Clips,
    rows: Sequence[Row],
    *,
    batch_size: int,
    check: Callable[[], None],
) -> RowRewards:
    """As `rewards_of`, with the variances. A reward that is not finite is a NonFiniteError."""
    was_training = network.training
    network.eval()
    means = [np.empty((0, len(network.keys)))]
    variances: list[Rewards] = []
    for start in range(0, len(rows), batch_size):
        check()
        chunk = rows[start : start + batch_size]
        batch = collator([clips.read(row) for row in chunk], [row.prompt for row in chunk])
        found = network(batch.to(network.tokens.device))
        means.append(found.mean.double().cpu().numpy())
        if found.log_variance is not None:
            variances.append(found.log_variance.double().cpu().numpy())
    network.train(was_training)
    refuse_not_finite(rows, network.keys, np.concatenate(means))
    return RowRewards(np.concatenate(means), np.concatenate(variances) if variances else None)


def evaluate_pairs(
    pairs: Pairs,
    rewards: Rewards,  # raw, [R, D]
    theta: Sequence[float],
    *,
    log_variance: Rewards | None = None,  # [R, D]
    temperature: Sequence[float] | None = None,  # [D]
    thresholds: Mapping[str, float | None] | None = None,
    ceilings: Mapping[str, HumanCeiling | None] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    details: bool = False,
) -> dict[str, dict[str, Any]]:
    """Per dimension: accuracies with intervals, thresholds, baselines, quality of the prediction,
    correlations with scores. A reward that is not finite is a NonFiniteError.

    `thresholds`: tie thresholds found on another split; `ceilings`: what one annotator reaches.
    With `log_variance` the probabilities take it into account, after differences and deviations
    were divided by `temperature`. `details`: see `figures_of`.
    """
    refuse_not_finite(pairs.rows, pairs.keys, rewards)
    heat = np.ones(len(pairs.keys)) if temperature is None else np.asarray(temperature)
    spread = None if log_variance is None else log_variance - 2 * np.log(heat)
    logs = pair_log_probabilities(pairs, rewards / heat, theta, spread)
    gaps = rewards[pairs.a] - rewards[pairs.b]
    result = {}
    for d, key in enumerate(pairs.keys):
        found = figures_of(
            _judged(pairs, d, gaps[:, d], logs[:, d], theta[d]),
            fitted=(thresholds or {}).get(key),
            resampling=Resampling(bootstrap, seed),
            details=details,
        )
        ceiling = ceiling_figures((ceilings or {}).get(key))
        result[key] = {**found, **correlations(pairs, rewards, d), **ceiling}
    return result


def compare_models(
    pairs: Pairs, first: Rewards, second: Rewards, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Two models on the same pairs: per dimension their accuracies without ties, the difference
    first - second with its interval, and a p-value. A dimension without decided pairs is left out.
    """
    found = {}
    for d, key in enumerate(pairs.keys):
        valid = np.flatnonzero(pairs.valid[:, d])
        human = pairs.preference[valid, d]
        one, two = ((raw[pairs.a, d] - raw[pairs.b, d])[valid] for raw in (first, second))
        prompts = [pairs.prompts[n] for n in valid]
        between = compare(human, one, two, prompts, resamples=bootstrap, seed=seed)
        if between is not None:
            mine, theirs = accuracy_without_ties(human, one), accuracy_without_ties(human, two)
            found[key] = {"first": mine, "second": theirs, **asdict(between)}
    return found


def pair_log_probabilities(
    pairs: Pairs, rewards: Rewards, theta: Sequence[float], log_variance: Rewards | None
) -> Rewards:  # [N, D, 3]
    """Of A, tie, B for each pair; flatter where the model says that it is not sure."""
    gaps = rewards[pairs.a] - rewards[pairs.b]
    if log_variance is None:
        return btt_log_probabilities(gaps, list(theta))
    variance = np.exp(_known(log_variance[pairs.a])) + np.exp(_known(log_variance[pairs.b]))
    return btt_log_probabilities(gaps, list(theta), variance)


def _known(log_variance: Rewards) -> Rewards:
    """In a composed model a dimension may have no variance at all: NaN throughout, so it is 0."""
    absent = np.isnan(log_variance).all(axis=0)
    return np.where(absent, -np.inf, log_variance)


def refuse_not_finite(rows: Sequence[Row], keys: Sequence[str], rewards: Rewards) -> None:
    """Name the first clip whose reward is no number: no accuracy is made up for it."""
    bad = np.argwhere(~np.isfinite(rewards))
    if len(bad):
        row, d = rows[bad[0][0]], keys[bad[0][1]]
        raise NonFiniteError(
            f"{len(bad)} rewards are not finite numbers; the first is the {d} of "
            f"{row.video.path} for the prompt {row.prompt!r}"
        )


def _judged(pairs: Pairs, d: int, gap: Rewards, logs: Rewards, theta: float) -> Judged:
    valid = np.flatnonzero(pairs.valid[:, d])
    of = [row.video.generator for row in pairs.rows]
    return Judged(
        human=pairs.preference[valid, d],
        gap=gap[valid],
        log_probabilities=logs[valid],
        theta=float(theta),
        prompts=[pairs.prompts[n] for n in valid],
        generators=([of[pairs.a[n]] for n in valid], [of[pairs.b[n]] for n in valid]),
    )
