"""Full-size backbones without their weights: counts, what learns, what a step would need."""

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from transformers import AutoModelForImageTextToText

from demo.tiny_vlm import TinySize, tiny_vlm
from formats.dimensions import ANIME, VIDEOALIGN
from formats.outcome import ExitCode
from models_rm import __main__ as door
from models_rm.backbones.shapes import SHAPES, config_of
from models_rm.clips.video import Clip
from models_rm.config import RewardModelConfig
from models_rm.errors import BackboneMissingError
from models_rm.networks.attention import use_for_vision
from models_rm.networks.collator import Collator
from models_rm.networks.memory import FACTOR, FACTOR_OF_CHECKPOINTS, Work, training_memory
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.checkpoints import build_network
from models_rm.reward_models.describing import (
    ClipSize,
    Description,
    describe,
    meta_network,
    what_is_seen,
)

BF16 = RewardModelConfig(dtype="bfloat16", pairs_per_step=2)


@pytest.mark.parametrize("name", SHAPES)
def test_a_full_size_backbone_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(SHAPES[name].config)
    assert sum(each.numel() for each in model.parameters()) == SHAPES[name].parameters
    assert {each.device.type for each in model.parameters()} == {"meta"}


@pytest.fixture(scope="module")
def described() -> Description:
    return describe("Qwen2-VL-2B", BF16)


@pytest.fixture(scope="module")
def full_size() -> tuple[RewardNetwork, RatingTemplate]:
    return meta_network(config_of("Qwen2-VL-2B"), BF16, VIDEOALIGN)


def test_what_learns_is_the_tower_adapters_tokens_and_heads(described: Description) -> None:
    # q, k, v, o, gate, up and down of 28 layers: the inputs and outputs of each, 64 times.
    widths = [3072, 1792, 1792, 3072, 10496, 10496, 10496]
    adapters = 28 * 64 * sum(widths)
    tower = 665_271_296
    reward = 6 * 1536  # three tokens, three heads
    names = ("vision", "language", "adapters", "reward")
    assert described.parameters == dict(
        zip(names, (tower, 2_208_985_600 - tower, adapters, reward), strict=True)
    )
    assert described.learning == {**described.parameters, "language": 0}


def test_six_dimensions_with_one_head_over_a_frozen_tower() -> None:
    config = replace(BF16, vision="frozen", shared_head=True, lora_r=16)
    found = describe("Qwen3-VL-8B", config, dimensions=ANIME)
    assert found.learning["vision"] == 0 < found.parameters["vision"]
    assert found.learning["reward"] == 7 * 4096
    assert found.seen.height % 32 == 0 == found.seen.width % 32


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        (ClipSize(720, 1280, 126 / 24, 24.0), (10, 336, 588, 1260)),
        (ClipSize(480, 720, 49 / 8, 8.0), (12, 364, 532, 1482)),
        (ClipSize(256, 256, 16 / 8, 8.0), (4, 336, 336, 288)),
    ],
)
def test_a_clip_is_seen_as_the_paper_says(
    full_size: tuple[RewardNetwork, RatingTemplate], clip: ClipSize, expected: tuple[int, ...]
) -> None:
    network, text = full_size
    seen = what_is_seen(network, BF16, text, clip)
    assert (seen.frames, seen.height, seen.width, seen.visual_tokens) == expected


def test_weights_gradients_and_moments_follow_from_the_counts(described: Description) -> None:
    learning = sum(described.learning.values())
    frozen = sum(described.parameters.values()) - learning
    plain, checkpointed = described.plain, described.checkpointed
    assert plain.weights == checkpointed.weights == 2 * frozen + 4 * learning
    assert (plain.gradients, plain.optimizer) == (4 * learning, 8 * learning)
    assert checkpointed.activations < plain.activations / 5
    assert checkpointed.total < plain.total


def test_twice_the_clips_keep_twice_the_activations_but_for_the_copies_of_weights(
    full_size: tuple[RewardNetwork, RatingTemplate], described: Description
) -> None:
    one, two = (
        training_memory(full_size[0], BF16, Work(n, n * 5040, n * 1600)).activations for n in (1, 2)
    )
    copies = 2 * sum(described.learning.values())
    assert two - copies == 2 * (one - copies)
    assert described.clips == 4


PARTS: list[dict[str, Any]] = [
    {"vision": "full"},
    {"vision": "lora"},
    {"vision": "frozen", "merger": "full"},
    {"vision": "full", "language": "full"},
    {"vision": "full", "language": "frozen"},
    {"vision": "full", "gradient_checkpointing": True},
]


SMALL_LAYERS = TinySize(
    hidden=64, layers=3, heads=4, vision_width=48, vision_layers=3, vision_heads=4
)
# Large enough that pixels, which only the first layer holds as floats, do not decide.
LARGER_LAYERS = TinySize(
    hidden=128, layers=4, heads=4, vision_width=96, vision_layers=4, vision_heads=4
)


class Live(TorchDispatchMode):
    """Bytes of the tensors that come while it watches, and the most there were at once."""

    def __init__(self, network: RewardNetwork) -> None:
        super().__init__()
        self.now = self.most = 0
        # Weights and gradients are there already.
        held = [each for weight in network.parameters() for each in (weight, weight.grad)]
        self._known = {each.untyped_storage()._cdata for each in held if each is not None}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for each in tree_flatten(result)[0]:
            if isinstance(each, torch.Tensor):
                self._count(each.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class Rig:
    """A small network of a family, a batch, and what is estimated for it."""

    def __init__(
        self,
        tokenizer: Any,
        family: str,
        dtype: str,
        parts: dict[str, Any],
        size: TinySize = SMALL_LAYERS,
    ):
        self.half = dtype == "bfloat16"
        config = RewardModelConfig(**{"template": "brief", "dtype": dtype, "lora_r": 8, **parts})
        body = tiny_vlm(family, tokenizer, size=size).to(getattr(torch, dtype)).model
        network, template = build_network(body, VIDEOALIGN, config)
        use_for_vision(network.backbone.visual)
        side = 8 * network.family.side_factor
        clip = Clip(torch.zeros(4, 3, side, side, dtype=torch.uint8), 2.0)
        collate = Collator(tokenizer, network.family, template)
        self.network = network.train()
        self.batch = collate([clip] * 2, ["a cat"] * 2)
        patches = int(self.batch.video_grid_thw.prod(1).sum())
        work = Work(2, patches, int(self.batch.attention_mask.sum()))
        self.estimate = training_memory(network, config, work)

    def loss(self) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.network(self.batch).mean.sum()


def kept_by_autograd(rig: Rig) -> int:
    """Bytes of all storages that the backward pass needs and that are no weights."""
    own = {each.untyped_storage().data_ptr() for each in rig.network.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        rig.loss()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("family", "parts"),
    [
        *[("qwen2_vl", parts) for parts in PARTS],
        *[(family, parts) for family in ("qwen2_5_vl", "qwen3_vl") for parts in PARTS[:2]],
    ],
    ids=str,
)
def test_the_estimate_of_activations_is_what_autograd_keeps(
    tokenizer: Any, family: str, dtype: str, parts: dict[str, Any]
) -> None:
    rig = Rig(tokenizer, family, dtype, parts)
    assert 1 / FACTOR < rig.estimate.activations / kept_by_autograd(rig) < FACTOR


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("family", "dtype"),
    [("qwen2_vl", "float32"), ("qwen2_5_vl", "float32"), ("qwen3_vl", "bfloat16")],
)
def test_the_estimate_of_a_step_is_its_peak(
    tokenizer: Any, family: str, dtype: str, checkpointing: bool
) -> None:
    parts = {"gradient_checkpointing": checkpointing}
    rig = Rig(tokenizer, family, dtype, parts, LARGER_LAYERS)
    rig.loss().backward()  # the gradients are there, as in the second part of a step
    with Live(rig.network) as live:
        rig.loss().backward()
    found = rig.estimate.activations + rig.estimate.working
    assert 1 / FACTOR < found / live.most < (FACTOR_OF_CHECKPOINTS if checkpointing else FACTOR)


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
