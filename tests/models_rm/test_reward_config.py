"""Configs of reward-model runs check themselves and need no torch."""

import json
import subprocess
import sys
from typing import Any

import pytest

from models_rm.config import ConfigError, EvaluationConfig, RewardModelConfig, ScoringConfig


@pytest.mark.parametrize("kind", [RewardModelConfig, ScoringConfig, EvaluationConfig])
def test_a_config_survives_json(kind: Any) -> None:
    assert kind.from_json(json.loads(json.dumps(kind().to_json()))) == kind()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tehta": 5}, r"unknown key 'tehta'; did you mean 'theta'\?"),
        ({"zzz": 5}, "unknown key 'zzz'; known keys: accumulation,"),
        ({"theta": 1.0}, r"theta must be above 1, got 1\.0"),
        ({"theta": {"VQ": 0.5}}, r"theta of VQ must be above 1, got 0\.5"),
        ({"theta": "5"}, "theta must be above 1, got '5'"),
        ({"theta": float("nan")}, "theta must be above 1, got nan"),
        ({"loss": "scaled"}, "loss must be one of btt, bt, margin, .*; got 'scaled'"),
        ({"loss": {"VQ": "btt", "MQ": "?"}}, "loss must be one of .*; got '?'"),
        ({"loss": {}}, "loss names no dimension"),
        ({"steps": 0}, "steps must be a whole number, at least 1; got 0"),
        ({"steps": 2.5}, r"steps must be a whole number, at least 1; got 2\.5"),
        ({"steps": True}, "steps must be a whole number, at least 1; got True"),
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1"),
        ({"shared_head": 1}, "shared_head must be true or false, got 1"),
        ({"lora_targets": "q_proj"}, "lora_targets must be a list of names"),
        ({"pairs_per_step": 10, "accumulation": 3}, "accumulation must divide pairs_per_step"),
        ({"min_pixels": 9, "max_pixels": 4}, "min_pixels must not exceed max_pixels"),
        ({"min_frames": 9, "max_frames": 4}, "min_frames must not exceed max_frames"),
        ({"labels": "voices"}, "labels must be one of consensus, posterior, votes; got 'voices'"),
        ({"labels": "votes", "loss": "regression"}, "learns from scores; labels 'votes' say nothi"),
        ({"annotator_weights": "reliability"}, "'reliability' needs labels 'votes', got 'consens"),
        ({"learn_theta": True, "loss": "bt"}, "learn_theta needs the loss btt, got bt"),
        ({"constant_margin": 0}, "constant_margin must be above 0, got 0"),
        ({"margin_without_scores": "guess"}, "margin_without_scores must be one of leave_out, no"),
        ({"dimensions": ["VQ", "VQ"]}, "dimensions names one twice: VQ, VQ"),
        ({"dimension_weights": {"VQ": -1}}, "dimension_weights of VQ must be a number, at least 0"),
        ({"patience": 0}, "patience must be a whole number, at least 1; got 0"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardModelConfig.from_json(values)


def test_theta_is_one_number_or_one_per_dimension() -> None:
    assert RewardModelConfig().theta_of(("VQ", "MQ")) == [5.0, 5.0]
    own = RewardModelConfig(theta={"MQ": 2.0, "VQ": 3.0})
    assert own.theta_of(("VQ", "MQ")) == [3.0, 2.0]
    with pytest.raises(ConfigError, match="exactly the dimensions VQ, MQ, TA; got MQ, VQ"):
        own.theta_of(("VQ", "MQ", "TA"))


def test_configs_load_no_deep_learning_library() -> None:
    code = (
        "import sys, models_rm.config;"
        "print([m for m in ('torch', 'numpy', 'transformers', 'django') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
