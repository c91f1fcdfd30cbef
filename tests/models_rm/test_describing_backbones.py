"""Full-size backbones without their weights: counts, what learns, what a step would need."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from demo.tiny_vlm import TinySize, tiny_vlm
from formats.dimensions import ANIME, VIDEOALIGN
from formats.outcome import ExitCode
from models_rm import __main__ as door
from models_rm.attention import use_for_vision
from models_rm.backbones.shapes import SHAPES, config_of
from models_rm.checkpoints import build_network
from models_rm.collator import Collator
from models_rm.config import RewardModelConfig
from models_rm.describing import ClipSize, describe, meta_network, what_is_seen
from models_rm.errors import BackboneMissingError
from models_rm.memory import FACTOR, Work, training_memory
from models_rm.network import RewardNetwork
from models_rm.video import Clip

BF16 = RewardModelConfig(dtype="bfloat16", pairs_per_step=2)


@pytest.mark.parametrize("name", SHAPES)
def test_a_full_size_backbone_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(SHAPES[name].config)
    assert sum(each.numel() for each in model.parameters()) == SHAPES[name].parameters
    assert {each.device.type for each in model.parameters()} == {"meta"}


@pytest.mark.parametrize("name", ["Qwen2-VL-2B", "Qwen2.5-VL-3B", "Qwen3-VL-8B"])
def test_what_learns_is_the_tower_adapters_tokens_and_heads(name: str) -> None:
    found = describe(name, BF16)
    width = config_of(name).text_config.hidden_size
    assert found.learning["vision"] == found.parameters["vision"] > 4e8
    assert found.learning["language"] == 0
    assert found.learning["adapters"] == found.parameters["adapters"] > 6e7
    assert found.learning["reward"] == 6 * width  # three tokens, three heads
    six = describe(name, replace(BF16, vision="frozen", shared_head=True), dimensions=ANIME)
    assert six.learning["vision"] == 0
    assert six.learning["reward"] == 7 * width


def test_adapters_are_of_the_rank_that_the_config_says() -> None:
    of_16, of_64 = (describe("Qwen2-VL-2B", replace(BF16, lora_r=r)) for r in (16, 64))
    assert 4 * of_16.learning["adapters"] == of_64.learning["adapters"]
    # q, k, v, o, gate, up and down of 28 layers: the inputs and outputs of each, 64 times.
    widths = [3072, 1792, 1792, 3072, 10496, 10496, 10496]
    assert of_64.learning["adapters"] == 28 * 64 * sum(widths)


def test_a_clip_is_seen_as_the_paper_says() -> None:
    network, text = meta_network(config_of("Qwen2-VL-2B"), BF16, VIDEOALIGN)
    for clip, expected in (
        (ClipSize(720, 1280, 126 / 24, 24.0), (10, 336, 588, 1260)),
        (ClipSize(480, 720, 49 / 8, 8.0), (12, 364, 532, 1482)),
    ):
        seen = what_is_seen(network, BF16, text, clip)
        assert (seen.frames, seen.height, seen.width, seen.visual_tokens) == expected


def test_weights_gradients_and_moments_follow_from_the_counts() -> None:
    found = describe("Qwen2-VL-2B", BF16)
    learning = sum(found.learning.values())
    frozen = sum(found.parameters.values()) - learning
    assert found.plain.weights == 2 * frozen + 4 * learning
    assert (found.plain.gradients, found.plain.optimizer) == (4 * learning, 8 * learning)
    assert found.checkpointed.activations < found.plain.activations / 5
    assert found.checkpointed.weights == found.plain.weights


def test_twice_the_clips_keep_twice_the_activations_but_for_the_copies_of_weights() -> None:
    one, two = (describe("Qwen2-VL-2B", replace(BF16, pairs_per_step=n)) for n in (1, 2))
    copies = 2 * sum(one.learning.values())
    assert two.plain.activations - copies == 2 * (one.plain.activations - copies)
    shared = describe("Qwen2-VL-2B", replace(BF16, pairs_per_step=2, processes=2))
    assert shared.plain.activations == one.plain.activations


def kept_by_autograd(network: RewardNetwork, batch: Any, *, half: bool) -> int:
    """Bytes of all storages that the backward pass needs and that are no weights."""
    own = {each.untyped_storage().data_ptr() for each in network.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        network(batch).mean.sum()
    return sum(storage.nbytes() for storage in kept.values())


PARTS: list[dict[str, Any]] = [
    {"vision": "full"},
    {"vision": "lora"},
    {"vision": "frozen", "merger": "full"},
    {"vision": "full", "language": "full"},
    {"vision": "full", "language": "frozen"},
    {"vision": "full", "gradient_checkpointing": True},
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_the_estimate_of_activations_is_what_autograd_keeps(
    tokenizer: Any, family: str, dtype: str, parts: dict[str, Any]
) -> None:
    size = TinySize(hidden=64, layers=3, heads=4, vision_width=48, vision_layers=3, vision_heads=4)
    config = RewardModelConfig(**{"template": "brief", "dtype": dtype, "lora_r": 8, **parts})
    body = tiny_vlm(family, tokenizer, size=size).to(getattr(torch, dtype)).model
    network, template = build_network(body, VIDEOALIGN, config)
    use_for_vision(network.backbone.visual)
    side = 8 * network.family.side_factor
    frames = torch.zeros(4, 3, side, side, dtype=torch.uint8)
    batch = Collator(tokenizer, network.family, template)([Clip(frames, 2.0)] * 2, ["a cat"] * 2)
    work = Work(2, int(batch.video_grid_thw.prod(1).sum()), int(batch.attention_mask.sum()))
    measured = kept_by_autograd(network.train(), batch, half=dtype == "bfloat16")
    estimated = training_memory(network, config, work).activations
    assert 1 / FACTOR < estimated / measured < FACTOR


# The command


def test_the_command_prints_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backbone_folder: Callable[..., Path]
) -> None:
    assert door.main(["describe", "Qwen/Qwen2-VL-2B-Instruct"]) == ExitCode.DONE
    told = capsys.readouterr().out
    assert "backbone of 2.21 B parameters; 739.14 M learn" in told
    assert "10 frames of 336x588, 1260 visual tokens" in told
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"vision": "frozen", "pairs_per_step": 1}))
    assert door.main(["describe", str(backbone_folder()), "--config", str(config)]) == 0
    assert "float32, 2 clips in one forward" in capsys.readouterr().out


def test_what_is_not_known_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BackboneMissingError, match="no backbone 'Qwen9' is known; expected a fold"):
        config_of("Qwen9")
    assert door.main(["describe", "Qwen9"]) == ExitCode.BAD_CONFIG
    config = tmp_path / "config.json"
    config.write_text('{"visoin": "full"}')
    assert door.main(["describe", "Qwen2-VL-2B", "--config", str(config)]) == ExitCode.BAD_CONFIG
    assert "unknown key 'visoin'; did you mean 'vision'?" in capsys.readouterr().err
