"""Rewards with a variance: what they say of a pair, how it is learned, that it is calibrated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from formats.records import GenerationRecord, ScoreRecord
from formats.run_dir import Input, RunDir
from formats.supervised import supervise
from models_rm.config import RewardModelConfig
from models_rm.examination.evaluation import evaluate_pairs
from models_rm.examination.run import evaluate
from models_rm.losses import btt_class_nll, btt_probabilities
from models_rm.metrics import btt_log_probabilities
from models_rm.networks.network import Rewards
from models_rm.networks.thetas import Thetas
from models_rm.networks.uncertainty import bounded, probit_scale, uncertain_probabilities
from models_rm.preferences.data import Pairs, Row
from models_rm.reward_models.calibration import Calibration, Fit, calibrate, fit_uncertainty
from models_rm.reward_models.checkpoints import build_network, read_card
from models_rm.scores.run import score
from models_rm.training.objective import entry_losses
from models_rm.training.run import train
from tests.models_rm.ready_preferences import clip

THETA = 5.0
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def averaged(mean: float, variance: float) -> torch.Tensor:
    """The BTT probabilities over d ~ N(mean, variance), by quadrature."""
    gaps = torch.from_numpy(mean + variance**0.5 * NODES)
    return btt_probabilities(gaps, THETA).T @ torch.from_numpy(WEIGHTS / WEIGHTS.sum())


@pytest.mark.parametrize("mean", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("variance", [0.1, 1.0, 9.0])
def test_the_closed_form_is_near_the_average_over_the_uncertainty(
    mean: float, variance: float
) -> None:
    gap, spread = torch.tensor(mean).double(), torch.tensor(variance).double()
    found = uncertain_probabilities(gap, spread, THETA)
    assert found.sum().item() == pytest.approx(1)
    assert (found - averaged(mean, variance)).abs().max() < 0.03


def test_shrinking_the_difference_alone_would_call_everything_a_tie() -> None:
    """Why theta shrinks too: of a pair of which nothing is known, two in three are no ties."""
    gap, spread = torch.tensor(0.0).double(), torch.tensor(25.0).double()
    difference_alone = btt_probabilities(gap * probit_scale(spread), THETA)[1]
    truth, found = averaged(0.0, 25.0)[1], uncertain_probabilities(gap, spread, THETA)[1]
    assert difference_alone == pytest.approx(2 / 3)
    assert truth < 0.3
    assert abs(found - truth) < 0.03


def test_no_variance_is_plain_btt_and_both_libraries_agree() -> None:
    gaps, spread = np.linspace(-4, 4, 9), np.linspace(0, 8, 9)
    plain = uncertain_probabilities(torch.from_numpy(gaps), torch.zeros(9).double(), THETA)
    assert torch.allclose(plain, btt_probabilities(torch.from_numpy(gaps), THETA))
    ours = uncertain_probabilities(torch.from_numpy(gaps), torch.from_numpy(spread), THETA)
    assert np.allclose(ours, np.exp(btt_log_probabilities(gaps, THETA, spread)))


def test_log_variances_stay_in_bounds_and_keep_a_gradient() -> None:
    raw = torch.tensor([-1e3, -2.0, 0.0, 20.0], requires_grad=True)
    found = bounded(raw)
    assert found.abs().max() <= 8
    assert found[1].item() == pytest.approx(-2.0, abs=0.05)
    found.sum().backward()
    assert (raw.grad[1:] > 0).all()


# Simulated people: the truth of every clip is known.


def simulated(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth of clips, what a model sees of it, the deviation of that; every second is murky."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(0, 4, count)
    deviation = np.where(np.arange(count) % 2, 2.0, 0.3)
    return truth, truth + deviation * chance.normal(size=count), deviation


def judged(truth: np.ndarray, seed: int, count: int) -> Pairs:
    """Pairs of random clips, judged by BTT on the truth."""
    chance = np.random.default_rng(seed + 100)
    a, b = chance.integers(len(truth), size=(2, count))
    logs = btt_log_probabilities(truth[a] - truth[b], THETA)
    said = 1 - (chance.random(count)[:, None] > np.exp(logs).cumsum(-1)).sum(-1)
    nothing = np.full((count, 1), np.nan, dtype=np.float32)
    classes = np.eye(3, dtype=np.float32)[1 - said][:, None]
    return Pairs(
        keys=("VQ",), rows=tuple(Row(clip(str(n)), "x") for n in range(len(truth))), a=a, b=b,
        preference=said[:, None], valid=np.ones((count, 1), bool), posterior=classes,
        votes=classes, score_a=nothing, score_b=nothing,
        prompts=("x",) * count,
    )  # fmt: skip


def coverage(truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray, pairs: Pairs) -> float:
    """Share of the pairs whose true difference lies in the claimed interval of 90 %."""
    width = 1.645 * np.sqrt(deviation[pairs.a] ** 2 + deviation[pairs.b] ** 2)
    error = (mean - truth)[pairs.a] - (mean - truth)[pairs.b]
    return float((np.abs(error) <= width).mean())


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
def test_calibration_finds_the_scale_that_a_model_has_wrong(scale: float) -> None:
    truth, seen, deviation = simulated(1, 1500)
    pairs = judged(truth, 1, 6000)
    claimed = 2 * np.log(scale * deviation)[:, None]
    factor, heat = fit_uncertainty(pairs, seen[:, None], claimed, [THETA], ["btt"])["VQ"]
    assert factor * scale == pytest.approx(1.0, rel=0.2)
    assert heat == pytest.approx(1.0, rel=0.15)
    fresh, seen_fresh, of_fresh = simulated(2, 1500)
    held_out = judged(fresh, 2, 4000)
    if scale != 1.0:
        assert abs(coverage(fresh, seen_fresh, scale * of_fresh, held_out) - 0.9) > 0.09
    assert coverage(fresh, seen_fresh, factor * scale * of_fresh, held_out) == pytest.approx(
        0.9, abs=0.05
    )


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_rewards_on_a_wrong_scale_are_not_taken_for_unsure_ones(scale: float) -> None:
    """An early or an overtrained model: all differences are too small, or too large."""
    truth, seen, deviation = simulated(7, 1500)
    pairs = judged(truth, 7, 6000)
    claimed = 2 * np.log(scale * deviation)[:, None]
    found = fit_uncertainty(pairs, scale * seen[:, None], claimed, [THETA], ["btt"])["VQ"]
    # What is seen is noisy, so it tells of differences that are a tenth too large.
    assert found.temperature == pytest.approx(scale, rel=0.15)
    assert found.deviation == pytest.approx(1.0, rel=0.2)

    def nll(**known: Any) -> float:
        rows = evaluate_pairs(
            pairs, scale * seen[:, None], [THETA], log_variance=claimed, bootstrap=0, **known
        )
        return float(rows["VQ"]["nll"])

    assert nll(temperature=[found.temperature]) < nll() - 0.01


def test_scores_calibrate_a_regression() -> None:
    chance = np.random.default_rng(3)
    error = chance.normal(0, 0.5, 400)
    pairs = judged(np.zeros(400), 3, 200)
    scores = (3 - error).astype(np.float32)  # rewards of 0, each off by its error
    pairs.score_a[:], pairs.score_b[:] = scores[pairs.a][:, None], scores[pairs.b][:, None]
    found = fit_uncertainty(pairs, np.zeros((400, 1)), np.zeros((400, 1)), [THETA], ["regression"])
    assert found["VQ"].deviation == pytest.approx(0.5, rel=0.1)
    assert found["VQ"].temperature == 1.0


def test_nothing_said_leaves_the_scale_alone() -> None:
    pairs = judged(np.zeros(4), 0, 4)
    pairs.valid[:] = False
    zeros = np.zeros((4, 1))
    assert fit_uncertainty(pairs, zeros, zeros, [THETA], ["btt"]) == {"VQ": Fit()}
    assert fit_uncertainty(pairs, zeros, zeros, [THETA], ["regression"]) == {"VQ": Fit()}
    assert fit_uncertainty(pairs, zeros, None, [THETA], ["btt"]) == {}
    pairs.valid[:] = True  # four pairs cannot drive the factor to its edge
    assert 0.2 < fit_uncertainty(pairs, zeros, zeros, [THETA], ["btt"])["VQ"].deviation < 5


def test_the_factor_scales_deviations_and_log_variances() -> None:
    pairs = judged(np.zeros(4), 0, 4)
    found = calibrate(pairs, np.zeros((4, 1)), "validation", uncertainty={"VQ": Fit(2.0, 0.5)})
    assert found.deviations(("VQ", "MQ"), np.ones((3, 2))).tolist() == [[2.0, 1.0]] * 3
    scaled = found.log_variance(("VQ",), np.zeros((3, 1)))
    assert np.exp(scaled / 2).tolist() == [[2.0]] * 3
    assert found.log_variance(("VQ",), None) is None
    assert found.temperatures(("VQ", "MQ")) == [0.5, 1.0]
    assert Calibration(**found.to_json()) == found


def test_training_learns_which_clips_it_cannot_see() -> None:
    """A mean and a variance head, on features that say what is seen and whether it is murky."""
    truth, seen, deviation = simulated(5, 1200)
    murky = (deviation > 1).astype(float)
    features = torch.from_numpy(np.stack([seen, seen * murky, murky, np.ones(1200)], 1)).float()
    pairs = judged(truth, 5, 6000)
    torch.manual_seed(0)
    mean_head, spread_head = (torch.zeros(4, requires_grad=True) for _ in range(2))
    config, theta, part = RewardModelConfig(), Thetas([THETA]), np.arange(6000)
    optimizer = torch.optim.Adam([mean_head, spread_head], 0.1)
    for _ in range(150):
        # What is seen is no ground for a variance: only whether it is murky.
        mean = (features @ mean_head)[:, None]
        spread = bounded(features[:, 2:] @ spread_head[2:])[:, None]
        output = Rewards(mean, spread)
        losses, weights = entry_losses(
            output.at(pairs.a), output.at(pairs.b), pairs, part, config, theta
        )
        optimizer.zero_grad()
        (losses.sum() / weights.sum()).backward()
        optimizer.step()
    found = mean.detach().numpy()[:, 0]
    claimed = (spread.detach() / 2).exp().numpy()[:, 0]
    error = np.abs(found - truth)
    assert error[murky == 1].mean() > 3 * error[murky == 0].mean()
    assert claimed[murky == 1].mean() > 2 * claimed[murky == 0].mean()
    assert claimed[murky == 1].mean() == pytest.approx(2.0, rel=0.3)
    fresh = judged(truth, 6, 4000)
    assert coverage(truth, found, claimed, fresh) == pytest.approx(0.9, abs=0.07)


# The network and its runs.


def test_the_second_head_starts_equally_sure_of_everything_and_learns(
    small_vlm: Callable[[str], Any],
) -> None:
    from formats.dimensions import VIDEOALIGN

    config = RewardModelConfig(
        template="brief", language="frozen", vision="frozen", uncertainty=True
    )
    network, _ = build_network(small_vlm("qwen2_vl").model, VIDEOALIGN, config)
    found = network.rewards_at(torch.randn(5, 3, network.heads.shape[-1]))
    assert found.log_variance is not None
    assert torch.allclose(found.log_variance, torch.tensor(-1.96).expand(5, 3), atol=0.01)
    gap, spread = found.mean[:1] - found.mean[1:2], found.log_variance[:2].exp().sum(0)
    btt_class_nll(gap, THETA, probit_scale(spread)).sum().backward()
    assert network.spread_heads.grad.abs().sum() > 0
    assert network.spread_biases.grad.abs().sum() > 0


def test_a_run_with_uncertainty_leaves_calibrated_deviations(
    make_run: Callable[..., RunDir], media: tuple[Path, Any]
) -> None:
    from models_rm.scoring import RewardModel

    run = make_run(uncertainty=True, embed_backbone=True)
    assert supervise(train, run) == 0
    card = read_card(run.outputs / "reward_model")
    assert sorted(card.calibration.uncertainty) == ["MQ", "TA", "VQ"]
    model = RewardModel.load(run.outputs / "reward_model")
    seen = [model.read(media[0] / each.path) for each in media[1][:2]]
    found = model.judge(seen, ["x", "x"])
    assert found.std is not None
    assert (found.std > 0).all()
    doubled = {key: 2 * value for key, value in card.calibration.uncertainty.items()}
    model.members[0].card.calibration.uncertainty.update(doubled)
    assert np.allclose(model.judge(seen, ["x", "x"]).std, 2 * found.std)


def test_scores_and_figures_say_how_sure_the_model_is(
    make_run: Callable[..., RunDir], media: tuple[Path, Any], tmp_path: Path
) -> None:
    """A model of two of the three dimensions, scored and held against the whole snapshot."""
    run = make_run(uncertainty=True, embed_backbone=True)
    inputs = {role: Input(str(run.input(role))) for role in ("snapshot", "backbone")}
    run.prepare({**run.config(), "dimensions": ["VQ", "TA"]}, inputs, media_root=media[0])
    assert supervise(train, run) == 0
    generations = media[0] / "generations.jsonl"
    clips = [GenerationRecord("p", "a cat", "test", clip) for clip in media[1][:3]]
    GenerationRecord.write(generations, clips)
    scoring = RunDir(tmp_path / "scoring")
    model = Input(str(run.outputs / "reward_model"))
    scoring.prepare({}, {"reward_model": model, "generations": Input(str(generations))})
    assert supervise(score, scoring) == 0
    records = ScoreRecord.read(scoring.outputs / "scores.jsonl")
    assert [sorted(each.std) for each in records] == [["TA", "VQ"]] * 3
    factor = read_card(run.outputs / "reward_model").calibration.uncertainty["VQ"]
    # The head has hardly moved from exp(-1.96 / 2).
    assert records[0].std["VQ"] == pytest.approx(factor * np.exp(-0.98), rel=0.2)
    examination = RunDir(tmp_path / "examination")
    examination.prepare(
        {"split": "train", "bootstrap": 0}, {"reward_model": model, "snapshot": inputs["snapshot"]},
        media_root=media[0],
    )  # fmt: skip
    assert supervise(evaluate, examination) == 0
    outcome, trained = examination.outcome(), run.outcome()
    assert outcome is not None
    assert trained is not None
    found = outcome.summary["dimensions"]
    assert sorted(found) == ["TA", "VQ"]
    # The same as at the end of the training: the variances are in the probabilities of both.
    assert found["VQ"]["nll"] == pytest.approx(
        trained.summary["evaluation"]["train"]["VQ"]["nll"], abs=1e-6
    )
