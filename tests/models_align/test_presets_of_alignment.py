"""The presets of the demo are configs that the trainers accept, unknown keys and all."""

import json
from pathlib import Path

import pytest

import demo
from demo.pretrain_generator import PretrainGeneratorConfig
from models_align.config import (
    AlignmentConfig,
    ConfigError,
    FlowDpoSettings,
    GapoSettings,
    GenerationConfig,
)
from models_align.latent_reward.config import LatentRewardConfig
from models_align.presets import PRESETS, preset

READERS = {
    "generation": GenerationConfig,
    "alignment_flow_dpo": AlignmentConfig,
    "alignment_gapo": AlignmentConfig,
    "alignment_safe_dpo": AlignmentConfig,
    "alignment_sft": AlignmentConfig,
    "alignment_rwr": AlignmentConfig,
    "latent_reward": LatentRewardConfig,
    "pretrain_generator": PretrainGeneratorConfig,
}


@pytest.mark.parametrize("size", ["demo", "micro"])
@pytest.mark.parametrize("name", READERS)
def test_a_preset_is_a_config_that_its_trainer_accepts(name, size):
    file = Path(demo.__file__).parent / "presets" / f"{name}.{size}.json"
    config = READERS[name].from_json(json.loads(file.read_text()))
    assert config.threads == 1
    if isinstance(config, AlignmentConfig):
        assert name == f"alignment_{config.method}"


# The same for every method of the paper: VideoAlign (arXiv 2501.13918), table 10.
TABLE_10 = {"lr": 5e-6, "pairs_per_step": 64}
PUBLISHED = ("flow-dpo", "flow-dpo-schedule", "flow-rwr", "sft")


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_config_says_where_it_is_from_and_what_it_is_for(name):
    found = PRESETS[name]
    assert found.config().method in {"sft", "rwr", "flow_dpo", "gapo", "safe_dpo"}
    assert "arXiv" in found.source or name == "tiny"
    assert found.title
    assert found.note


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_method_of_videoalign_has_the_settings_of_its_table_10(name):
    config = preset(name).config()
    assert {key: getattr(config, key) for key in TABLE_10} == TABLE_10
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (64, 128, 0)
    if isinstance(config.settings, FlowDpoSettings):
        assert config.settings.beta == 500


def test_gapo_as_published_is_that_of_the_released_code():
    config = preset("gapo-anisora").config()
    assert config.settings == GapoSettings(beta=5000, alpha=2, normalise_gap=False)
    assert (config.caption_dropout, config.steps) == (0.05, 2000)


def test_the_tiny_config_is_the_one_of_the_demo():
    file = Path(demo.__file__).parent / "presets" / "alignment_flow_dpo.demo.json"
    assert preset("tiny").config() == AlignmentConfig.from_json(json.loads(file.read_text()))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="no preset 'flowdpo'; did you mean 'flow-dpo'"):
        preset("flowdpo")
    with pytest.raises(ConfigError, match="there are: flow-dpo, flow-dpo-schedule"):
        preset("????")
