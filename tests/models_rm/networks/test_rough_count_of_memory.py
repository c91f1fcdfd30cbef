"""The count that the site makes before a start, held against the exact one, which needs torch.

No weight is there and no table is touched.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from models_rm.backbones.shapes import config_of
from models_rm.config import RewardModelConfig
from models_rm.reward_models.describing import describe
from pipelines.memory_estimates import Estimate, estimate
from pipelines.models import BaseModel

NAME = "Qwen2-VL-2B"


@pytest.fixture(scope="module")
def weightless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as that of the released model, of which only the header is there."""
    folder = tmp_path_factory.mktemp("weightless")
    config = config_of(NAME)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    header = {
        name: {"dtype": "F32", "shape": list(each.shape), "data_offsets": [0, 0]}
        for name, each in model.model.state_dict().items()
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    return folder


def _rough(folder: Path, config: RewardModelConfig) -> Estimate:
    base = BaseModel(name=NAME, role="vlm", source=str(folder))
    found = estimate("reward_model", config.to_json(), {"backbone": base})
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("vision", ["full", "frozen"])
def test_the_rough_count_is_near_the_exact_one(
    weightless: Path, dtype: str, vision: str, *, again: bool
) -> None:
    config = replace(
        RewardModelConfig(), dtype=dtype, gradient_checkpointing=again, vision=vision,
        accumulation=16,
    )  # fmt: skip
    rough, described = _rough(weightless, config), describe(NAME, config)
    exact = described.checkpointed if again else described.plain
    assert rough.activations is not None
    assert rough.weights == pytest.approx(exact.weights, rel=0.1)
    assert rough.learning == pytest.approx(exact.gradients + exact.optimizer, rel=0.1)
    total = rough.fixed + rough.activations
    assert 0.8 < total / exact.total < 1.25
