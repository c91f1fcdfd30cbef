"""Configs refuse what cannot be, in one sentence, before anything is queued."""

import subprocess
import sys

import pytest

from models_align.config import (
    AlignmentConfig,
    ConfigError,
    FlowDpoSettings,
    GapoSettings,
    GenerationConfig,
    RwrSettings,
)


def test_a_config_survives_json_unchanged():
    config = AlignmentConfig.from_json(
        {"method": "gapo", "settings": {"beta": 300}, "lora": {"r": 4, "targets": ["to_q"]}}
    )
    assert config.settings == GapoSettings(beta=300.0)
    assert AlignmentConfig.from_json(config.to_json()) == config


def test_settings_are_those_of_the_method():
    assert AlignmentConfig.from_json({}).settings == FlowDpoSettings()
    assert AlignmentConfig.from_json({"method": "rwr"}).settings == RwrSettings()
    with pytest.raises(ConfigError, match="unknown key 'alpha'"):
        AlignmentConfig.from_json({"method": "flow_dpo", "settings": {"alpha": 2}})
    with pytest.raises(ConfigError, match="settings must be those of sft, got FlowDpoSettings"):
        AlignmentConfig(method="sft")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"metod": "sft"}, "unknown key 'metod'; did you mean 'method'?"),
        ({"settings": {"bta": 1}}, "unknown key 'bta'; did you mean 'beta'?"),
        ({"method": "ppo"}, "method must be one of sft, flow_dpo, gapo, safe_dpo, rwr, got 'ppo'"),
        ({"settings": {"beta": 0}}, "beta must be above 0, got 0.0"),
        ({"method": "gapo", "settings": {"alpha": 1}}, "alpha must be above 1, got 1.0"),
        ({"reduction": "sum"}, "reduction must be one of mean, got 'sum'"),
        ({"steps": 1.5}, "steps must be a whole number, got 1.5"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"lr": float("nan")}, "lr must be finite, got nan"),
        ({"lora": {"dropout": 1}}, "dropout must be in [0, 1), got 1.0"),
        ({"timesteps": {"distribution": "beta"}}, "distribution must be one of uniform"),
        ([], "expected an object with settings, got []"),
    ],
)
def test_a_bad_alignment_config_is_refused(values, sentence):
    with pytest.raises(ConfigError) as caught:
        AlignmentConfig.from_json(values)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"clips_per_prompt": 0}, "clips_per_prompt must be between 1 and 1024, got 0"),
        ({"height": 63}, "height must be even (H.264), got 63"),
        ({"guidence_scale": 3.0}, "did you mean 'guidance_scale'?"),
        ({"negative_prompt": None}, "negative_prompt must be a text, got None"),
    ],
)
def test_a_bad_generation_config_is_refused(values, sentence):
    with pytest.raises(ConfigError) as caught:
        GenerationConfig.from_json(values)
    assert sentence in str(caught.value)


def test_reading_a_config_loads_no_torch():
    program = "import sys, models_align.config; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
