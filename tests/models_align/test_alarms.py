"""When training goes wrong: what raises an alarm, what does not, and where good weights lie."""

import math

import pytest

from models_align import alarms
from models_align.alarms import Curve, Looks, change
from models_align.config import AlignmentConfig, ConfigError
from models_align.watching.settings import ALARMS, AlarmSettings

pytestmark = pytest.mark.one_engine

SETTINGS = AlarmSettings(displacement_logs=3, saturation_logs=2)


def curve(*values: float) -> Curve:
    """A log at each step from 1 on."""
    return list(enumerate(values, start=1))


def looks(*rows: list[float]) -> Looks:
    """A look every 10 steps; the first is the base."""
    return [(10 * number, row) for number, row in enumerate(rows)]


# Likelihood displacement.


def test_an_error_on_winners_above_its_reference_for_long_enough_is_displacement() -> None:
    found = alarms.displacement(curve(-0.1, -0.1, 0.1, 0.2, 0.1), SETTINGS)
    assert "above that of the reference for 3 logs" in found.sentence
    assert found.good == 2


def test_an_error_that_comes_down_again_in_time_is_none() -> None:
    found = alarms.displacement(curve(0.1, 0.1, -0.1, 0.1, 0.1), SETTINGS)
    assert found == alarms.Finding(good=3)


def test_displacement_from_the_first_log_on_leaves_the_base_alone_as_good() -> None:
    assert alarms.displacement(curve(0.1, 0.1, 0.1), SETTINGS).good == 0


def test_an_error_of_zero_is_not_above() -> None:
    assert not alarms.displacement(curve(0.0, 0.0, 0.0, 0.0), SETTINGS).sentence


# Saturation.


def test_a_large_z_is_saturation_at_any_time() -> None:
    found = alarms.saturation(curve(1, 5, 21, 22), curve(0.6, 0.6, 0.6, 0.6), SETTINGS, steps=4)
    assert "|z| has been above 20 for 2 logs" in found.sentence
    assert found.good == 2
    assert not alarms.saturation(curve(1, 21, 5), curve(1, 1, 1), SETTINGS, steps=3).sentence


def test_a_sure_model_is_saturated_early_and_not_late() -> None:
    sure = curve(0.5, 0.97, 0.98, 0.99, 0.99)
    small = curve(1, 1, 1, 1, 1)
    early = alarms.saturation(small[:3], sure[:3], SETTINGS, steps=100)
    assert "implicit accuracy" in early.sentence
    assert early.good == 1
    assert not alarms.saturation(small, sure, SETTINGS, steps=5).sentence


# Loss of motion and of diversity.


def test_clips_that_move_less_than_the_base_are_loss_of_motion() -> None:
    motion = looks([10, 20, 30, 20], [9, 19, 28, 19], [7, 15, 22, 15])
    found = alarms.loss_of_motion(motion, SETTINGS)
    # 80 became 59: 26 % less.
    assert found.sentence == "clips of held-out prompts move 26% less than those of the base"
    assert found.good == 10
    assert not alarms.loss_of_motion(motion[:2], SETTINGS).sentence


def test_a_fall_that_one_prompt_alone_makes_is_not_sure_enough() -> None:
    motion = looks([10, 10, 10, 10], [10, 10.2, 9.8, 0])
    assert not alarms.loss_of_motion(motion, SETTINGS).sentence


def test_a_base_that_stands_still_can_lose_no_motion() -> None:
    assert not alarms.loss_of_motion(looks([0, 0], [0, 0]), SETTINGS).sentence


def test_clips_of_one_prompt_that_grow_alike_are_loss_of_diversity() -> None:
    found = alarms.loss_of_diversity(looks([4, 5, 6], [2, 2.5, 3.1]), SETTINGS)
    assert "differ 49% less between seeds" in found.sentence
    assert found.good == 0


# Reward hacking.

RISING = looks([0.0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.6, 0.75, 0.8], [0.9, 1.0, 1.15])


def test_a_training_judge_that_rises_while_the_independent_one_falls_is_hacking() -> None:
    judge = looks([0.0, 0.0, 0.0], [0.5, 0.6, 0.5], [0.3, 0.4, 0.3], [0.0, 0.15, 0.0])
    found = alarms.reward_hacking(RISING, judge, SETTINGS)
    assert found.good == 10  # where the independent judge was content
    assert "since step 10 the training judge has risen by 0.62" in found.sentence


def test_judges_that_rise_or_fall_together_are_no_hacking() -> None:
    falling = looks([0.5, 0.5, 0.5], [0.3, 0.3, 0.35], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0])
    assert not alarms.reward_hacking(RISING, RISING, SETTINGS).sentence
    assert not alarms.reward_hacking(falling, falling, SETTINGS).sentence


def test_a_fall_within_its_interval_or_below_the_threshold_is_none() -> None:
    noisy = looks([0.0, 0.0, 0.0], [0.5, 0.6, 0.5], [0.3, 0.4, 0.3], [-1.5, 0.9, 0.3])
    small = looks([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [0.06, 0.06, 0.05], [0.06, 0.05, 0.05])
    assert not alarms.reward_hacking(RISING, noisy, SETTINGS).sentence
    assert not alarms.reward_hacking(RISING, small, SETTINGS).sentence


def test_one_judge_alone_shows_no_hacking() -> None:
    assert alarms.reward_hacking(RISING, [], SETTINGS) == alarms.Finding()


# What they have in common.


def test_the_interval_of_a_change_is_students() -> None:
    found = change([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    # mean 2, standard deviation 1, t(2, 0.975) = 4.3027: half = 4.3027 / sqrt(3) = 2.4841
    assert found.mean == 2
    assert found.low == pytest.approx(2 - 2.48414, abs=1e-4)
    assert found.high == pytest.approx(2 + 2.48414, abs=1e-4)
    assert change([0.0], [5.0]).low == -math.inf


@pytest.mark.parametrize("name", ALARMS)
@pytest.mark.parametrize("method", ["sft", "gapo"])
def test_every_alarm_says_what_to_change_in_words_of_the_config(name: str, method: str) -> None:
    said = alarms.advice(name, method)
    assert said.startswith(("Take", "Weigh"))
    assert any(word in said for word in ("lr", "steps", "pairs", "beta"))
    assert ("beta" in said) <= (method == "gapo" or name in ("saturation", "motion"))


def test_a_run_cannot_stop_on_an_alarm_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="each of stop_on must be one of displacement, "):
        AlignmentConfig.from_json({"stop_on": ["displacment"]})


def test_thresholds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="motion_fall must be in"):
        AlignmentConfig.from_json({"alarms": {"motion_fall": 0.0}})
    with pytest.raises(ConfigError, match="clips_per_prompt must be 1 or more, got 0"):
        AlignmentConfig.from_json({"watch": {"clips_per_prompt": 0}})
