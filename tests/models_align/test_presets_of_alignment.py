"""The presets of the demo are configs that the trainers accept, unknown keys and all."""

import json
from pathlib import Path

import pytest

import demo
from demo.pretrain_generator import PretrainGeneratorConfig
from models_align.config import AlignmentConfig, GenerationConfig
from models_align.latent_reward.config import LatentRewardConfig

READERS = {
    "generation": GenerationConfig,
    "alignment_flow_dpo": AlignmentConfig,
    "alignment_gapo": AlignmentConfig,
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
