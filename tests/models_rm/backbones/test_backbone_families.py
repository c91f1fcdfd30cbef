"""What an adapter promises, and that a fourth family needs nothing but one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

from formats.checkpoints import commit_folder
from formats.dimensions import VIDEOALIGN, Dimension, DimensionSet
from models_rm.backbones import registry
from models_rm.backbones.adapter import Adapter, Row
from models_rm.backbones.loading import load_backbone
from models_rm.backbones.preparing import lora_layers
from models_rm.backbones.qwen3_vl import QWEN3_VL
from models_rm.clips.video import Clip, FrameRule
from models_rm.config import RewardModelConfig
from models_rm.errors import BackboneMissingError
from models_rm.networks.collator import Collator, opening_of
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.checkpoints import (
    BackboneRef,
    ModelCard,
    build_network,
    fill_folder,
    learned_weights,
    load_folder,
)

FAMILIES = sorted(registry.ADAPTERS)
CONFIG = RewardModelConfig(
    template="brief", lora_r=2, vision="frozen", fps=8.0, min_pixels=4096, max_pixels=4096
)


def random_clip(side: int, seed: int = 1) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    shape = (4, 3, side, side)
    return Clip(torch.randint(0, 255, shape, dtype=torch.uint8, generator=generator), 8.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_names_parts_that_its_backbone_has(
    family: str, small_vlm: Callable[[str], Any]
) -> None:
    backbone = small_vlm(family).model
    adapter = registry.adapter_of(backbone.config)
    assert adapter.model_type == family
    assert adapter.family(backbone.config).name == family
    assert list(adapter.mergers_of(backbone))
    linear = {
        name.rpartition(".")[2]
        for name, module in adapter.vision_of(backbone).blocks.named_modules()
        if isinstance(module, nn.Linear)
    }
    assert linear == set(adapter.vision_lora_targets)
    assert isinstance(adapter.language_of(backbone).layers, nn.ModuleList)


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_are_a_whole_number_per_token_and_axis(
    family: str, small_vlm: Callable[[str], Any], tokenizer: Any
) -> None:
    network, text = build_network(small_vlm(family).model, VIDEOALIGN, CONFIG)
    clip = random_clip(2 * network.family.side_factor)
    batch = Collator(tokenizer, network.family, text)([clip], ["a cat"])
    row = Row(
        batch.input_ids[0],
        batch.mm_token_type_ids[0],
        batch.video_grid_thw[0],
        batch.seconds_per_grid[0],
    )
    positions = network.positions_of(row)
    assert positions.shape == (3, batch.input_ids.shape[1])
    assert not positions.is_floating_point()
    first_grid = positions[:, row.types == 2][:, :4]  # two rows of two visual tokens
    assert len(set(first_grid[0].tolist())) == 1
    assert (first_grid[1] - first_grid[1, 0]).tolist() == [0, 0, 1, 1]
    assert (first_grid[2] - first_grid[2, 0]).tolist() == [0, 1, 0, 1]


def test_a_family_that_nobody_knows_is_named() -> None:
    class Config:
        model_type = "llava"

    with pytest.raises(BackboneMissingError, match="'llava' is not supported; expected qwen2_5_vl"):
        registry.adapter_of(Config())


def damaged(folder: Path, backbone: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    shutil.copytree(backbone, folder)
    path = folder / "model.safetensors"
    weights = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def test_a_backbone_that_lacks_a_tensor_is_not_filled_with_chance(
    tmp_path: Path, backbone_folder: Callable[..., Path]
) -> None:
    name = "model.language_model.norm.weight"
    folder = damaged(
        tmp_path / "short", backbone_folder("qwen3_vl"), lambda weights: weights.pop(name)
    )
    sentence = rf"the backbone '{folder}' lacks 1 of its tensors, {name} first"
    with pytest.raises(BackboneMissingError, match=sentence):
        load_backbone(str(folder), "float32")


def test_a_backbone_whose_weights_are_damaged_is_named(
    tmp_path: Path, backbone_folder: Callable[..., Path]
) -> None:
    def narrow(weights: dict[str, torch.Tensor]) -> None:
        weights["model.language_model.norm.weight"] = torch.zeros(3)

    folder = damaged(tmp_path / "narrow", backbone_folder("qwen3_vl"), narrow)
    with pytest.raises(BackboneMissingError, match="narrow' cannot be used: they are damaged, or"):
        load_backbone(str(folder), "float32")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BackboneMissingError, match="cannot be used: they are damaged"):
        load_backbone(str(folder), "float32")


# A fourth family. Its adapter is all that has to be written.

FOURTH = Adapter(
    model_type="qwen3_vl_moe",
    vision="visual",
    language="language_model",
    mergers=("visual.merger", "visual.deepstack_merger_list"),
    vision_lora_targets=("qkv", "proj", "linear_fc1", "linear_fc2"),
    family=lambda config: replace(QWEN3_VL.family(config), name="qwen3_vl_moe"),
    positions=QWEN3_VL.positions,
)


@pytest.fixture
def fourth(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small Qwen3-VL of experts, which this project does not ship."""
    monkeypatch.setitem(registry.ADAPTERS, FOURTH.model_type, FOURTH)
    ids = {
        key: tokenizer.convert_tokens_to_ids(word)
        for key, word in {
            "image_token_id": "<|image_pad|>",
            "video_token_id": "<|video_pad|>",
            "vision_start_token_id": "<|vision_start|>",
            "vision_end_token_id": "<|vision_end|>",
        }.items()
    }
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
        "head_dim": 16, "pad_token_id": tokenizer.pad_token_id,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10.0, "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
        "out_hidden_size": 32, "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    torch.manual_seed(0)
    config = Qwen3VLMoeConfig(text_config=text, vision_config=vision, **ids)
    Qwen3VLMoeForConditionalGeneration(config).save_pretrained(tmp_path / "backbone")
    tokenizer.save_pretrained(tmp_path / "backbone")
    return tmp_path / "backbone"


def test_a_fourth_family_trains_scores_and_is_saved(fourth: Path, tmp_path: Path) -> None:
    # Experts are no feed-forward that packed rows know.
    config = replace(CONFIG, batching="padded", lora_targets=("q_proj", "v_proj"))
    body, tokenizer = load_backbone(str(fourth), "float32")
    network, text = build_network(body, VIDEOALIGN, config)
    clips = [random_clip(64), random_clip(64)]
    batch = Collator(tokenizer, network.family, text)(clips, ["a cat", "a dog on a sofa"])
    rewards = network(batch).mean
    assert torch.allclose(rewards[0, :2], rewards[1, :2], atol=1e-5)
    assert abs(rewards[0, 2] - rewards[1, 2]) > 1e-4
    rewards.sum().backward()
    assert all(
        each.grad is not None and bool(each.grad.isfinite().all())
        for each in learned_weights(network).values()
    )
    card = ModelCard(
        dimensions=VIDEOALIGN,
        theta=dict.fromkeys(VIDEOALIGN.keys, 5.0),
        config=config,
        backbone=BackboneRef(str(fourth), "", network.family.name, embedded=False),
        template_sha256=text.sha256(),
        frame_rule=FrameRule(8.0, 4, 768, 4096, 4096, 32),
        calibration=Calibration("validation", 1, *({},) * 3),
        snapshot_sha256="",
    )
    target = tmp_path / "model"
    commit_folder(target, lambda folder: fill_folder(folder, network, tokenizer, card))
    again, _, _ = load_folder(target)
    with torch.no_grad():
        assert torch.equal(again(batch).mean, rewards)


# What learns


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("vision", ["frozen", "lora", "full"])
@pytest.mark.parametrize("merger", ["vision", "frozen", "full"])
def test_the_merger_learns_with_the_tower_or_by_itself(
    small_vlm: Callable[[str], Any], family: str, vision: str, merger: str
) -> None:
    config = replace(CONFIG, vision=vision, merger=merger)
    network, _ = build_network(small_vlm(family).model, VIDEOALIGN, config)
    mergers = list(network.adapter.mergers_of(network.backbone))
    of_mergers = {id(each) for module in mergers for each in module.parameters()}
    tower = [
        each
        for each in network.adapter.vision_of(network.backbone).parameters()
        if id(each) not in of_mergers
    ]
    whole = [each.requires_grad for module in mergers for each in module.parameters()]
    adapted = any(isinstance(each, LoraLayer) for module in mergers for each in module.modules())
    if merger != "vision":
        assert not adapted
        assert set(whole) == {merger == "full"}
    else:
        assert all(whole) == (vision == "full")
    learns = [each.requires_grad for each in tower]
    assert any(learns) == (vision != "frozen")
    assert all(learns) == (vision == "full")


@pytest.mark.parametrize("family", FAMILIES)
def test_without_names_the_tower_gets_the_adapters_that_its_family_names(
    small_vlm: Callable[[str], Any], family: str
) -> None:
    backbone = small_vlm(family).model
    names = lora_layers(backbone, replace(CONFIG, vision="lora", language="frozen"))
    last = {name.rpartition(".")[2] for name in names}
    assert last == set(registry.ADAPTERS[family].vision_lora_targets)
    only = lora_layers(
        backbone, replace(CONFIG, vision="lora", language="frozen", lora_vision_targets=("qkv",))
    )
    assert {name.rpartition(".")[2] for name in only} == {"qkv"}


@pytest.mark.parametrize(
    ("vision", "merger"), [("frozen", "full"), ("full", "frozen"), ("lora", "full")]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_merger_of_another_type_than_its_tower_is_no_obstacle(
    small_vlm: Callable[[str], Any], tokenizer: Any, family: str, vision: str, merger: str
) -> None:
    config = replace(CONFIG, vision=vision, merger=merger, dtype="bfloat16")
    network, text = build_network(small_vlm(family).bfloat16().model, VIDEOALIGN, config)
    batch = Collator(tokenizer, network.family, text)(
        [random_clip(2 * network.family.side_factor)], ["a cat"]
    )
    with torch.no_grad():
        plain = network(batch).mean
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(batch).mean
    assert plain.dtype is torch.float32
    assert torch.allclose(plain, mixed, atol=0.1)
    mixed.sum().backward()
    assert all(
        bool(each.grad.isfinite().all())
        for each in learned_weights(network).values()
        if each.grad is not None
    )


# Reward tokens in the text (ML.md 1.4, traps 4 and 5)


def as_released(ids: torch.Tensor, special: list[int], dimensions: int) -> torch.Tensor:
    """Where the released code reads rewards: wherever an id of a reward token stands."""
    _, place = torch.isin(ids, torch.tensor(special)).nonzero(as_tuple=True)
    return place.view(len(ids), dimensions)


def test_a_prompt_with_a_reward_token_moves_the_rewards_of_the_release_and_not_ours(
    backbone_folder: Callable[..., Path], small_vlm: Callable[[str], Any]
) -> None:
    words = [f"<|{key}_reward|>" for key in VIDEOALIGN.keys]
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder())
    tokenizer.add_tokens(words, special_tokens=True)
    special = tokenizer.convert_tokens_to_ids(words)
    text = RatingTemplate.of(VIDEOALIGN, "brief")
    prompts = ["a <|VQ_reward|> fox", "a fox"]

    def whole(prompt: str) -> str:  # as `str.format` puts a prompt in
        mark = "\0"
        return opening_of(tokenizer) + text.text(mark).replace(mark, prompt)

    rows = [tokenizer(whole(prompt))["input_ids"] for prompt in prompts]
    # One row with four tokens crashes the release; beside one with two it takes rewards of the
    # wrong row, without a word.
    rows[1] = [each for each in rows[1] if each != special[2]]
    length = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (length - len(row)) for row in rows])
    hits = torch.isin(ids, torch.tensor(special)).sum(1).tolist()
    assert hits == [4, 2]
    assert as_released(ids, special, 3)[1, 0] > as_released(ids, special, 3)[1, 1]

    network, _ = build_network(small_vlm("qwen2_vl").model, VIDEOALIGN, CONFIG)
    batch = Collator(tokenizer, network.family, text)([random_clip(56)] * 2, prompts)
    assert not torch.isin(batch.input_ids, torch.tensor(special)).any()
    with torch.no_grad():
        rewards = network(batch).mean
    assert torch.allclose(rewards[0, :2], rewards[1, :2], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_dimensions_has_a_reward_each(
    small_vlm: Callable[[str], Any], tokenizer: Any, count: int
) -> None:
    # The released code knows three: with one it trains all three tokens on it, with two it crashes.
    rows = [Dimension(f"D{n}", f"Point {n}", "?", sees_prompt=n % 2 == 1) for n in range(count)]
    dimensions = DimensionSet("some", "Some", tuple(rows))
    network, text = build_network(small_vlm("qwen2_vl").model, dimensions, CONFIG)
    batch = Collator(tokenizer, network.family, text)([random_clip(56)], ["a cat"])
    rewards = network(batch).mean
    assert rewards.shape == (1, count)
    for n in range(count):
        network.zero_grad()
        rewards[0, n].backward(retain_graph=True)
        touched = network.heads.grad.abs().sum(1) > 0
        assert touched.tolist() == [index == n for index in range(count)]
