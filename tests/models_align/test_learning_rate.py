"""The learning rate of an alignment run over its steps."""

import pytest

from models_align.config import AlignmentConfig, ConfigError
from models_align.trainer import learning_rate

pytestmark = pytest.mark.one_engine


def rates(**values: object) -> list[float]:
    config = AlignmentConfig.from_json({"lr": 1.0, "steps": 8, **values})
    return [learning_rate(config, step) for step in range(8)]


def test_the_rate_warms_up_and_stays():
    assert rates() == [1.0] * 8
    assert rates(warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_a_linear_schedule_goes_down_in_the_second_half():
    assert rates(schedule="linear") == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ConfigError, match="schedule must be one of constant, linear"):
        rates(schedule="cosine")
