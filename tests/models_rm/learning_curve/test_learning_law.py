"""The law of a learning curve: it finds what it was made from, and knows when it knows nothing."""

import math

import numpy as np
import pytest

from models_rm.learning_curve.law import REFUSALS, Law, band, fit_law, forecast

SIZES = np.repeat([500.0, 1000.0, 2000.0, 4000.0], 3)


def measured(law: Law, pairs: int, seed: int, resamples: int = 300) -> tuple[np.ndarray, ...]:
    """Accuracies at SIZES on `pairs` test pairs, and the same resampled over pairs."""
    rng = np.random.default_rng(seed)
    accuracy = np.array([law.at(size) for size in SIZES])[:, None]
    # A pair that is hard for one model is hard for the others too, mostly.
    shared, own = rng.random((1, pairs)), rng.random((len(SIZES), pairs))
    right = np.where(rng.random(own.shape) < 0.7, shared, own) < accuracy
    weights = rng.multinomial(pairs, np.full(pairs, 1 / pairs), size=resamples) / pairs
    return right.mean(1), weights @ right.T


def test_the_law_is_found_again_from_its_own_points() -> None:
    true = Law(asymptote=0.9, scale=0.05, exponent=0.5, unit=4000.0)
    found = fit_law(SIZES, [true.at(size) for size in SIZES])
    # At the largest size 0.9 - 0.05 = 0.85; one point more needs 0.04 = 0.05 (n / 4000)^-0.5,
    # so n = 4000 * (0.05 / 0.04)^2 = 6250.
    assert found.at(4000) == pytest.approx(0.85, abs=1e-3)
    assert true.size_for(0.86) == pytest.approx(6250)
    assert found.size_for(0.86) == pytest.approx(6250, rel=0.05)


def test_a_law_never_promises_more_than_everything() -> None:
    steep = fit_law([1.0, 2.0, 4.0], [0.5, 0.75, 0.99])
    assert steep.asymptote <= 1
    assert steep.size_for(1.01) == math.inf
    assert fit_law([1.0, 2.0, 4.0], [0.8, 0.7, 0.6]).scale == 0


def test_an_even_curve_gets_no_number() -> None:
    flat = Law(asymptote=0.8, scale=0.0, exponent=0.5, unit=4000.0)
    found = forecast(SIZES, *measured(flat, 1000, seed=2))
    assert (found.more, found.refusal) == (None, "no_rise")


def test_two_amounts_are_no_curve() -> None:
    found = forecast([1.0, 2.0], [0.7, 0.8], [[0.7, 0.8], [0.6, 0.8]])
    assert (found.more, found.refusal) == (None, "few_sizes")


def test_a_point_that_is_out_of_reach_gets_a_bound_and_no_number() -> None:
    near_its_end = Law(asymptote=0.8, scale=0.005, exponent=1.0, unit=4000.0)
    found = forecast(SIZES, *measured(near_its_end, 20_000, seed=1))
    assert found.more is None
    assert found.refusal in ("levels_off", "too_far")


def test_many_test_pairs_make_the_answer_narrow() -> None:
    true = Law(asymptote=0.9, scale=0.05, exponent=0.5, unit=4000.0)
    found = forecast(SIZES, *measured(true, 50_000, seed=1))
    assert found.low is not None
    assert found.high is not None
    assert 1500 < found.low < 2250 < found.high < 4000
    few = forecast(SIZES, *measured(true, 300, seed=5))
    assert few.high is None or few.high - (few.low or 0) > found.high - found.low


@pytest.mark.parametrize("scale", [0.05, 0.15])
def test_the_interval_holds_the_truth_as_often_as_it_says(scale: float) -> None:
    true = Law(asymptote=0.9, scale=scale, exponent=0.4, unit=4000.0)
    cost = true.size_for(true.at(4000) + 0.01) - 4000
    answers = [forecast(SIZES, *measured(true, 1000, seed, resamples=200)) for seed in range(60)]
    given = [each for each in answers if each.more is not None]
    held = [(e.low or 0) <= cost <= (math.inf if e.high is None else e.high) for e in given]
    assert len(given) > 40
    # 95 % is promised; of 60 worlds 52 would still be as bad luck as one in a hundred.
    assert np.mean(held) > 0.86


def test_the_band_widens_beyond_the_data() -> None:
    true = Law(asymptote=0.9, scale=0.05, exponent=0.5, unit=4000.0)
    _, draws = measured(true, 1000, seed=1)
    low, high = band(SIZES, draws, [2000.0, 4000.0, 16000.0])
    assert high[2] - low[2] > high[1] - low[1]
    assert (low <= high).all()


def test_every_refusal_has_words() -> None:
    assert set(REFUSALS) == {
        "few_sizes", "no_rise", "levels_off", "too_far", "no_decisions", "few_prompts"
    }  # fmt: skip
