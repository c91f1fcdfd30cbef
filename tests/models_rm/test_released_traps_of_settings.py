"""What the released VideoAlign code does with settings and splits, and ours (ML.md 1.4)."""

import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import models_rm
from formats.errors import FormatError
from formats.records import PreferenceRecord
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.preferences.leakage import refuse_leaks
from models_rm.presets import PRESETS

PACKAGE = Path(models_rm.__file__).parent


@pytest.mark.parametrize(
    "name", ["p_shuffle_frames", "p_color_jitter", "add_noise", "enable_noise", "max_length"]
)
def test_a_setting_that_does_nothing_is_not_accepted(name: str) -> None:
    """Trap 10: the released code takes these and never uses them."""
    with pytest.raises(ConfigError, match=f"unknown key '{name}'"):
        RewardModelConfig.from_json({name: 1})


def test_every_setting_is_read_somewhere() -> None:
    """Trap 10 again: nothing that we accept may be without effect."""
    code = "\n".join(
        path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "presets.py"
    )
    unread = [
        field.name
        for field in fields(RewardModelConfig)
        if not re.search(rf"(config|self|settings|materials\.config)\.{field.name}\b", code)
    ]
    assert unread == []


def test_rows_that_are_split_by_chance_share_prompts_and_that_is_refused(
    records: list[PreferenceRecord],
) -> None:
    """Trap 11: the released code puts 2 % of the rows aside, whatever their prompts and clips."""
    one_prompt = [replace(each, prompt="a cat") for each in records]
    chance = np.random.default_rng(0).permutation(len(one_prompt))
    aside = set(chance[: max(1, round(0.02 * len(one_prompt)))].tolist())
    released = [
        replace(each, split="test" if n in aside else "train") for n, each in enumerate(one_prompt)
    ]
    assert {each.split for each in released} == {"train", "test"}
    with pytest.raises(FormatError, match=r"splits train and test|splits test and train"):
        refuse_leaks(released)


def test_the_preset_of_the_paper_has_the_settings_of_the_paper() -> None:
    """Trap 21: paper, README and script of VideoAlign say three different things."""
    config = PRESETS["videoreward-2b"].config()
    assert (config.lora_r, config.lora_alpha, config.lora_dropout) == (64, 128, 0.0)
    assert (config.epochs, config.pairs_per_step, config.theta) == (2, 32, 5.0)
    assert (config.learning_rate, config.warmup, config.shared_head) == (2e-6, 0.05, True)
