"""What is checked when a reward model is opened: every file, tensor, version and position."""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from demo.tiny_tokenizer import tiny_tokenizer
from formats.checkpoints import commit_folder
from formats.dimensions import VIDEOALIGN
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from models_rm.backbones import adapter, qwen2_5_vl, qwen2_vl, registry
from models_rm.backbones.loading import load_backbone
from models_rm.clips.video import Clip, FrameRule
from models_rm.config import RewardModelConfig
from models_rm.errors import CheckpointMismatchError, FingerprintError, OtherLibrariesError
from models_rm.networks.collator import Collator
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models import fingerprint, libraries
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.checkpoints import (
    SCHEMA,
    BackboneRef,
    ModelCard,
    build_network,
    fill_folder,
    learned_weights,
    load_folder,
)

KEYS = VIDEOALIGN.keys
SMALL_CLIPS = {"fps": 8.0, "min_pixels": 56 * 56, "max_pixels": 56 * 56}


def saved(folder: Path, backbone: Path, **config: Any) -> Path:
    """A reward model as a run leaves it, without the training."""
    settings = RewardModelConfig(
        **{"template": "brief", "lora_r": 2, "vision": "frozen", **SMALL_CLIPS, **config}
    )
    torch.manual_seed(0)
    body, tokenizer = load_backbone(str(backbone), settings.dtype)
    network, template = build_network(body, VIDEOALIGN, settings)
    for name, parameter in learned_weights(network).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    card = ModelCard(
        dimensions=VIDEOALIGN,
        theta=dict.fromkeys(KEYS, 5.0),
        config=settings,
        backbone=BackboneRef(
            str(backbone), "", network.family.name, embedded=settings.embed_backbone
        ),
        template_sha256=template.sha256(),
        frame_rule=FrameRule(8.0, 4, 768, 56 * 56, 56 * 56, network.family.side_factor),
        calibration=Calibration(
            "validation", 1, *(dict.fromkeys(KEYS, n) for n in (0.0, 1.0)), dict.fromkeys(KEYS, 0.0)
        ),
        snapshot_sha256="0" * 64,
        libraries=libraries.library_versions(),
    )
    commit_folder(folder, lambda inside: fill_folder(inside, network, tokenizer, card))
    return folder


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, backbone_folder: Callable[..., Path]
) -> Path:
    return saved(tmp_path_factory.mktemp("finished") / "model", backbone_folder())


@pytest.fixture
def folder(tmp_path: Path, finished: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(finished, tmp_path / "model")


def reseal(folder: Path) -> None:
    """Write the manifest anew, as somebody would who meant the change."""
    manifest = read_json(folder / "manifest.json", "manifest/1")
    for name, row in manifest["files"].items():
        row["sha256"] = sha256_of(folder / name)
    write_json(folder / "manifest.json", "manifest/1", manifest)


def change_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = read_json(folder / "model.json", SCHEMA)
    change(card)
    write_json(folder / "model.json", SCHEMA, card)
    reseal(folder)


def stored_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Copies: what `load_file` gives is the file itself, which a test may want to write."""
    weights = load_file(folder / "weights.safetensors")
    return {name: tensor.clone() for name, tensor in weights.items()}


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = stored_weights(folder)
    change(weights)
    save_file(weights, folder / "weights.safetensors")
    reseal(folder)


def test_what_was_saved_is_what_is_loaded(folder: Path) -> None:
    network, _, card = load_folder(folder)
    stored = stored_weights(folder)
    for name, tensor in network.state_dict().items():
        if name in stored:
            assert torch.equal(tensor, stored[name])
    assert set(stored) >= {"tokens", "heads"}
    assert card.fingerprint["positions"]
    assert card.template is not None


# Damage, each with its own sentence


def without_tokens(weights: dict[str, torch.Tensor]) -> None:
    del weights["tokens"]


def with_surprise(weights: dict[str, torch.Tensor]) -> None:
    weights["surprise"] = torch.zeros(1)


def with_narrow_heads(weights: dict[str, torch.Tensor]) -> None:
    weights["heads"] = weights["heads"][:, :-1].contiguous()


def with_half_heads(weights: dict[str, torch.Tensor]) -> None:
    weights["heads"] = weights["heads"].bfloat16()


def with_nan_heads(weights: dict[str, torch.Tensor]) -> None:
    weights["heads"][0, 0] = torch.nan


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_tokens, "the tensor 'tokens' is missing for the model of the card"),
        (with_surprise, "the tensor 'surprise' is unknown to the model of the card"),
        (with_narrow_heads, r"heads has shape \[3, 31\], the card wants \[3, 32\]"),
        (with_half_heads, "heads is bfloat16, the card wants float32"),
        (with_nan_heads, "heads has a number that is not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], sentence: str
) -> None:
    change_weights(folder, change)
    with pytest.raises(CheckpointMismatchError, match=sentence):
        load_folder(folder)


def test_a_file_that_was_cut_short_is_refused_even_when_its_hash_fits(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FormatError, match=r"weights\.safetensors: the file is damaged"):
        load_folder(folder)
    reseal(folder)
    with pytest.raises(CheckpointMismatchError, match=r"weights\.safetensors: cannot be read"):
        load_folder(folder)


def test_a_pickle_in_the_place_of_the_weights_is_never_opened(folder: Path) -> None:
    path = folder / "weights.safetensors"
    torch.save(stored_weights(folder), path)
    reseal(folder)
    with pytest.raises(CheckpointMismatchError, match="cannot be read"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda card: card["frame_rule"].update(fps=2.0),
            "the frame rule says fps 2.0, the ",
        ),
        (lambda card: card["frame_rule"].update(max_pixels=9), "the frame rule says max_pixels 9"),
        (lambda card: card["frame_rule"].update(side_factor=32), "in multiples of 32 pixels, the "),
        (lambda card: card["template"]["parts"].pop(), "the rating text of this version differs"),
        (lambda card: card["config"].update(rope_mode="round"), "rope_mode must be one of mrope"),
        (lambda card: card["backbone"].update(where="x"), "backbone has an unknown key 'where'"),
        (lambda card: card.pop("dimensions"), "lacks the key 'dimensions'"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    change_card(folder, change)
    with pytest.raises(FormatError, match=sentence):
        load_folder(folder)


def test_a_card_of_before_still_opens(folder: Path) -> None:
    def forget(card: dict[str, Any]) -> None:
        for key in ("template", "fingerprint", "converted"):
            del card[key]
        card["libraries"] = {}

    change_card(folder, forget)
    assert load_folder(folder)[2].rating_text == RatingTemplate.of(VIDEOALIGN, "brief")


def test_a_model_keeps_its_text_when_ours_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_folder(folder)[2].rating_text
    monkeypatch.setattr(
        "models_rm.networks.prompts._brief", lambda dimension: f"\nAnother {dimension.key}"
    )
    assert load_folder(folder)[2].rating_text == before
    assert RatingTemplate.of(VIDEOALIGN, "brief") != before


# Libraries


@pytest.mark.parametrize(
    ("name", "number", "refused"),
    [
        ("transformers", "4.45.2", True),
        ("transformers", "5.99.0", True),
        ("transformers", ".".join([*version("transformers").split(".")[:2], "99"]), False),
        ("torch", "1.13.1", True),
        ("torch", f"{version('torch').split('.')[0]}.99.0+cu130", False),
        ("numpy", "1.0.0", False),
    ],
)
def test_libraries_that_may_score_differently_are_refused(
    folder: Path, name: str, number: str, refused: bool
) -> None:
    change_card(folder, lambda card: card["libraries"].update({name: number}))
    if not refused:
        load_folder(folder)
        return
    with pytest.raises(OtherLibrariesError, match=f"{name} {number} then, .* now; its scores may"):
        load_folder(folder)
    with pytest.warns(libraries.OtherLibrariesWarning, match=f"{name} {number} then"):
        load_folder(folder, accept_other_libraries=True)


# The reference clip (trap 15: positions that a library changes without a word)


def test_positions_that_a_library_changes_are_found_and_cannot_be_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(backbone: Any, row: adapter.Row) -> torch.Tensor:
        return adapter.flat_positions(len(row.input_ids), row.input_ids.device)

    # What transformers 4.45.2 did to VideoReward: no positions from the caller, so flat ones.
    released = replace(qwen2_vl.QWEN2_VL, positions=flat)
    monkeypatch.setitem(registry.ADAPTERS, "qwen2_vl", released)
    for accept in (False, True):
        with pytest.raises(FingerprintError, match="the positions of these words differ"):
            load_folder(folder, accept_other_libraries=accept)


def test_patches_that_are_cut_differently_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = qwen2_vl._family
    other = replace(
        qwen2_vl.QWEN2_VL, family=lambda config: replace(family(config), mean=(0.5, 0.5, 0.5))
    )
    monkeypatch.setitem(registry.ADAPTERS, "qwen2_vl", other)
    with pytest.raises(FingerprintError, match="the patches that the clip becomes differ"):
        load_folder(folder)


def test_a_tokenizer_that_splits_differently_is_found(folder: Path) -> None:
    tiny_tokenizer(["across the snow a fox"], vocabulary=290).save_pretrained(folder / "tokenizer")
    reseal(folder)
    with pytest.raises(FingerprintError, match="the words that text and clip become differ"):
        load_folder(folder)


def test_resizing_may_differ_by_one_level_and_not_by_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resized = fingerprint.resized
    for shift, found in ((1, False), (2, True)):
        monkeypatch.setattr(
            fingerprint, "resized", lambda frames, rule, by=shift: resized(frames, rule) + by
        )
        if found:
            with pytest.raises(FingerprintError, match="the frames after resizing differ"):
                load_folder(folder)
        else:
            load_folder(folder)


def test_seconds_are_in_the_positions_of_qwen2_5(
    tmp_path: Path, backbone_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path / "model", backbone_folder("qwen2_5_vl"))
    load_folder(folder)
    forgetful = replace(qwen2_5_vl.QWEN2_5_VL, positions=adapter.rope_index)
    monkeypatch.setitem(registry.ADAPTERS, "qwen2_5_vl", forgetful)
    with pytest.raises(FingerprintError, match="the positions of these words differ"):
        load_folder(folder)


# Reward tokens are vectors of ours


@pytest.mark.parametrize("language", ["lora", "full"])
def test_neither_the_tokenizer_nor_the_vocabulary_of_the_backbone_is_touched(
    tmp_path: Path, backbone_folder: Callable[..., Path], language: str
) -> None:
    source = backbone_folder()
    folder = saved(tmp_path / "model", source, language=language)
    for each in (folder / "tokenizer", source):
        assert "reward" not in (each / "tokenizer_config.json").read_text()
    name = "tokenizer.json"
    assert (folder / "tokenizer" / name).read_bytes() == (source / name).read_bytes()
    weights = load_file(folder / "weights.safetensors")
    assert not any("embed_tokens" in name for name in weights)
    assert weights["tokens"].shape == (3, 32)
    card = (folder / "model.json").read_text()
    assert json.loads(card)["config"]["language"] == language


def test_an_embedded_backbone_has_the_vocabulary_of_its_source_to_the_bit(
    tmp_path: Path, backbone_folder: Callable[..., Path]
) -> None:
    source = backbone_folder()
    folder = saved(tmp_path / "model", source, embed_backbone=True, language="full")
    before = load_backbone(str(source), "float32")[0].get_input_embeddings().weight
    after = stored_weights(folder)["backbone.language_model.embed_tokens.weight"]
    assert torch.equal(before, after)


def test_an_embedded_backbone_in_half_precision_opens_in_both(
    tmp_path: Path, backbone_folder: Callable[..., Path]
) -> None:
    folder = saved(tmp_path / "model", backbone_folder(), embed_backbone=True, dtype="bfloat16")
    stored = load_file(folder / "weights.safetensors")
    assert {stored["heads"].dtype, stored["tokens"].dtype} == {torch.float32}
    assert stored["backbone.visual.patch_embed.proj.weight"].dtype is torch.bfloat16
    for dtype in (torch.float32, torch.bfloat16):
        network, _, _ = load_folder(folder, dtype=str(dtype).removeprefix("torch."))
        assert network.backbone.visual.patch_embed.proj.weight.dtype is dtype


def test_the_same_model_gives_the_same_rewards_after_loading(folder: Path) -> None:
    torch.manual_seed(1)
    clip = Clip(torch.randint(0, 255, (4, 3, 56, 56), dtype=torch.uint8), 8.0)
    found = []
    for _ in range(2):
        network, tokenizer, card = load_folder(folder)
        with warnings.catch_warnings(), torch.no_grad():
            found.append(
                network(Collator(tokenizer, network.family, card.rating_text)([clip], ["a"])).mean
            )
    assert torch.equal(*found)
    assert bool(found[0].isfinite().all())
