"""A look-alike of the released VideoReward, made here, converted and compared with itself."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration

from formats.files import sha256_of
from formats.outcome import ExitCode, OutputKind
from formats.run_dir import Input, RunDir
from formats.supervised import supervise
from models_rm import __main__ as door
from models_rm.backbones.families import QWEN2_VL
from models_rm.clips.video import Clip
from models_rm.errors import CheckpointMismatchError
from models_rm.networks.collator import Batch, Collator, opening_of
from models_rm.networks.patches import normalised
from models_rm.networks.prompts import PromptSlot, RewardToken
from models_rm.released.converting import convert
from models_rm.released.running import conversion
from models_rm.reward_models.checkpoints import load_folder
from models_rm.scoring import RewardModel

KEYS = ("VQ", "MQ", "TA")
TOKENS = [f"<|{key}_reward|>" for key in KEYS]
TEXT = """
Look {{closely}} at it.
Visual: <|VQ_reward|>
END
Motion: <|MQ_reward|>
END
Prompt - {text_prompt}
Text: <|TA_reward|>
END
"""
TEMPLATE = f'''
import os
PLAIN = """no tokens, {{text_prompt}}"""
SPECIAL = """{TEXT}"""
def build_prompt(prompt):
    return os.getcwd()
'''
SETTINGS: dict[str, Any] = {
    "data_config": {
        "max_frame_pixels": 448 * 448, "num_frames": None, "fps": 2.0, "eval_dim": list(KEYS),
        "prompt_template_type": "detailed_special", "sample_type": "uniform",
    },
    "training_args": {"learning_rate": 2e-6},
    "model_config": {
        "model_name_or_path": "Qwen/Qwen2-VL-2B-Instruct", "output_dim": 3,
        "use_special_tokens": True, "reward_token": "special", "loss_type": "btt",
    },
    "peft_lora_config": {
        "lora_enable": True, "vision_lora": False, "lora_r": 4, "lora_alpha": 8,
        "lora_dropout": 0.05, "use_rslora": False, "lora_modules_to_save": None,
    },
    "inference_config": {
        "VQ_mean": 3.6757, "VQ_std": 2.2476, "MQ_mean": 1.1646, "MQ_std": 1.3811,
        "TA_mean": 2.8105, "TA_std": 2.5121,
    },
}  # fmt: skip


class LookAlike:
    """What the released training leaves: LoRA on the language part, a whole vision tower, rows for
    three new words in a matrix that is cut to the words of the tokenizer."""

    def __init__(self, backbone: Path, outputs: int = 3):
        torch.manual_seed(3)
        self.tokenizer = AutoTokenizer.from_pretrained(backbone)
        self.tokenizer.add_tokens(TOKENS, special_tokens=True)
        model = Qwen2VLForConditionalGeneration.from_pretrained(backbone, dtype=torch.float32)
        model.resize_token_embeddings(len(self.tokenizer))
        model.rm_head = nn.Linear(model.config.text_config.hidden_size, outputs, bias=False)
        layers = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear)
            and not re.search("visual|lm_head|rm_head|embed_tokens", name)
        ]
        self.model = get_peft_model(
            model, LoraConfig(r=4, lora_alpha=8, target_modules=layers)
        ).eval()
        for name, parameter in self.model.named_parameters():
            if "lora_B" in name or "visual" in name:
                parameter.data += 0.05 * torch.randn_like(parameter)

    def state(self) -> dict[str, torch.Tensor]:
        """By the names of transformers 4.45, with which the release was made."""
        named = {}
        for name, tensor in self.model.state_dict().items():
            old = name.replace("base_model.model.model.visual.", "base_model.model.visual.")
            named[old.replace("model.language_model.", "model.")] = tensor.clone()
        return named

    @torch.no_grad()
    def rewards(self, batch: Batch, prompt: str) -> torch.Tensor:  # [3]
        """As the released forward reads them: by the ids of the tokens, at flat positions."""
        text = opening_of(self.tokenizer) + "<|vision_start|>"
        text += "<|video_pad|>" * int(batch.video_grid_thw[0].prod() // 4) + "<|vision_end|>"
        ids = self.tokenizer(text + TEXT.format(text_prompt=prompt), return_tensors="pt").input_ids
        video = self.tokenizer.convert_tokens_to_ids("<|video_pad|>")
        model = self.model.base_model.model
        hidden = model.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=torch.arange(ids.shape[1]).expand(3, 1, -1),
            pixel_values_videos=normalised(batch.pixel_values_videos, QWEN2_VL),
            video_grid_thw=batch.video_grid_thw,
            mm_token_type_ids=torch.where(ids == video, 2, 0).int(),
        ).last_hidden_state
        special = torch.tensor(self.tokenizer.convert_tokens_to_ids(TOKENS))
        logits = model.rm_head(hidden)[torch.isin(ids, special)]
        return logits.diagonal() if logits.shape[-1] == 3 else logits[:, 0]


def write(root: Path, look: LookAlike, *, full: bool = True, step: int = 11352) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (root / "model_config.json").write_text(json.dumps(SETTINGS))
    (root / "prompt_template.py").write_text(TEMPLATE)
    state = look.state()
    if full:
        torch.save(state, folder / "model.pth")
        return root
    adapter = {
        name.replace(".default.", "."): tensor for name, tensor in state.items() if "lora_" in name
    }
    save_file(adapter, folder / "adapter_model.safetensors")
    learned = ("visual", "rm_head", "embed_tokens")
    rest = {name: each for name, each in state.items() if any(part in name for part in learned)}
    torch.save(rest, folder / "non_lora_state_dict.pth")
    return root


@pytest.fixture(scope="module")
def backbone(backbone_folder: Callable[..., Path]) -> Path:
    return backbone_folder("qwen2_vl")


@pytest.fixture(scope="module")
def look(backbone: Path) -> LookAlike:
    return LookAlike(backbone)


@pytest.fixture
def source(tmp_path: Path, look: LookAlike) -> Path:
    return write(tmp_path / "released", look)


def converted(source: Path, backbone: Path, **options: Any) -> Path:
    target = source.parent / "model"
    convert(
        source, target, backbone=str(backbone), template=source / "prompt_template.py", **options
    )
    return target


def edit(source: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = source / "checkpoint-11352" / "model.pth"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def settings(source: Path, part: str, **change: Any) -> None:
    value = json.loads((source / "model_config.json").read_text())
    value[part] |= change
    (source / "model_config.json").write_text(json.dumps(value))


def clip() -> Clip:
    generator = torch.Generator().manual_seed(7)
    frames = torch.randint(0, 255, (4, 3, 336, 336), dtype=torch.uint8, generator=generator)
    return Clip(frames, 2.0)


@pytest.mark.parametrize("full", [True, False], ids=["model.pth", "adapter and the rest"])
@pytest.mark.parametrize("outputs", [3, 1])
def test_rewards_are_those_of_the_release(
    tmp_path: Path, backbone: Path, look: LookAlike, full: bool, outputs: int
) -> None:
    made = look if outputs == 3 else LookAlike(backbone, outputs)
    source = write(tmp_path / "released", made, full=full)
    settings(source, "model_config", output_dim=outputs)
    network, tokenizer, card = load_folder(converted(source, backbone))
    assert card.config.shared_head == (outputs == 1)
    batch = Collator(tokenizer, network.family, card.rating_text)([clip()], ["a girl runs"])
    with torch.no_grad():
        found = network(batch).mean[0]
    expected = made.rewards(batch, "a girl runs")
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_card_says_what_a_score_of_the_release_means(source: Path, backbone: Path) -> None:
    _, tokenizer, card = load_folder(converted(source, backbone))
    config = card.config
    assert (config.rope_mode, config.language, config.vision) == ("flat", "lora", "full")
    assert (config.lora_r, config.lora_alpha, config.fps) == (4, 8, 2.0)
    assert (card.frame_rule.min_pixels, card.frame_rule.max_pixels) == (100352, 200704)
    assert set(card.theta.values()) == {5.0}
    assert card.calibration.mean == {"VQ": 3.6757, "MQ": 1.1646, "TA": 2.8105}
    assert card.calibration.source == "released"
    assert card.converted["checkpoint"] == "checkpoint-11352"
    assert set(card.converted["sha256"]) == {"model_config.json", "model.pth"}
    assert list(card.converted["left_out"].values()) == ["the language head is not used"]
    assert not set(TOKENS) & set(tokenizer.get_vocab())
    told = (source.parent / "model" / "README.md").read_text()
    assert "Converted from VideoReward as released" in told
    assert "`checkpoint-11352`, which names the backbone `Qwen/Qwen2-VL-2B-Instruct`" in told
    assert "the values are released." in told


def test_the_text_is_the_one_of_the_file_and_its_code_is_not_run(
    source: Path, backbone: Path
) -> None:
    (source / "prompt_template.py").write_text(f"{TEMPLATE}\nraise SystemExit('it was run')\n")
    template = load_folder(converted(source, backbone))[2].rating_text
    expected = TEXT.format(text_prompt="a cat")
    assert template.text("a cat") == expected
    assert template.keys == KEYS
    assert [type(part) for part in template.parts].count(PromptSlot) == 1
    assert RewardToken("MQ") in template.parts


def test_the_command_says_what_it_did(
    source: Path, backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["convert", str(source), str(source.parent / "model"), "--backbone", str(backbone)]
    assert door.main([*words, "--template", str(source / "prompt_template.py")]) == ExitCode.DONE
    told = capsys.readouterr().out
    assert re.search(r"model: \d+ tensors used, \d+ equal to the backbone's\n", told)
    assert "left out: base_model.model.lm_head.weight (the language head is not used)" in told
    assert door.main([*words, "--template", "/no/such/file.py"]) == ExitCode.BAD_DATA
    assert "/no/such/file.py: cannot be read" in capsys.readouterr().err


def test_a_release_that_was_not_converted_says_what_to_do(source: Path) -> None:
    for folder in (source, source / "checkpoint-11352"):
        with pytest.raises(CheckpointMismatchError, match="`python -m models_rm convert` makes a"):
            RewardModel.load(folder)


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("full", [True, False], ids=["model.pth", "non_lora_state_dict.pth"])
def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(
    tmp_path: Path, backbone: Path, look: LookAlike, full: bool
) -> None:
    source = write(tmp_path / "released", look, full=full)
    path = source / "checkpoint-11352" / ("model.pth" if full else "non_lora_state_dict.pth")
    marker = tmp_path / "it-ran"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "x": Bomb(marker)}, path)
    with pytest.raises(CheckpointMismatchError, match="holds more than tensors, so it is not open"):
        converted(source, backbone)
    assert not marker.exists()
    assert not (tmp_path / "model").exists()
    torch.load(path, weights_only=False)  # as the released loader opens it
    assert marker.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "cannot be read"), (b"not a checkpoint", "(cannot be read|holds more than tensors)")],
)
def test_a_file_that_is_none_is_named(
    source: Path, backbone: Path, content: bytes, sentence: str
) -> None:
    (source / "checkpoint-11352" / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointMismatchError, match=rf"model\.pth: .*{sentence}"):
        converted(source, backbone)


LAYER = "base_model.model.model.layers.0"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda state: state.pop(f"{LAYER}.self_attn.q_proj.lora_A.default.weight"),
            r"lacks language_model\.layers\.0\.self_attn\.q_proj\.lora_A\.default\.weight",
        ),
        (
            lambda state: state.pop("base_model.model.visual.blocks.1.norm1.bias"),
            r"the checkpoint lacks visual\.blocks\.1\.norm1\.bias",
        ),
        (
            lambda state: state.update({f"{LAYER}.extra.weight": torch.zeros(2)}),
            r"language_model\.layers\.0\.extra\.weight has no place in this backbone",
        ),
        (
            lambda state: state[f"{LAYER}.mlp.up_proj.base_layer.weight"].add_(1),
            r"up_proj\.base_layer\.weight is not that of the backbone \(2048 of 2048 numbers\)",
        ),
        (
            lambda state: state["base_model.model.model.embed_tokens.weight"][5].add_(1),
            r"embed_tokens\.weight is not that of the backbone \(32 of \d+ numbers\)",
        ),
        (
            lambda state: state.update(
                {"base_model.model.model.embed_tokens.weight": torch.zeros(9, 32)}
            ),
            "the reward tokens have the ids .* found only 9 rows",
        ),
        (lambda state: state.pop("base_model.model.rm_head.weight"), "there is no reward head"),
        (
            lambda state: state.update({"base_model.model.rm_head.weight": torch.zeros(3, 16)}),
            r"the head is \[3, 16\], the backbone is 32 wide",
        ),
        (
            lambda state: state.update(
                {"base_model.model.visual.blocks.0.norm1.bias": torch.zeros(3)}
            ),
            r"norm1\.bias is \[3\], this backbone wants \[32\]",
        ),
    ],
)
def test_every_tensor_is_used_or_named(
    source: Path, backbone: Path, change: Callable[[dict[str, Any]], Any], sentence: str
) -> None:
    edit(source, change)
    with pytest.raises(CheckpointMismatchError, match=sentence):
        converted(source, backbone)
    assert not (source.parent / "model").exists()


def test_a_vocabulary_that_was_trained_can_be_kept_whole(source: Path, backbone: Path) -> None:
    row = "base_model.model.model.embed_tokens.weight"
    edit(source, lambda state: state[row][5].add_(1))
    target = converted(source, backbone, embed_backbone=True)
    network, tokenizer, card = load_folder(target)
    state = torch.load(source / "checkpoint-11352/model.pth", weights_only=True)
    own = network.backbone.get_input_embeddings().weight
    words = len(tokenizer)
    assert torch.equal(own[:words], state[row][:words])
    assert card.backbone.embedded
    assert "backbone.language_model.norm.weight" in load_file(target / "weights.safetensors")


@pytest.mark.parametrize("embed", [False, True])
def test_a_release_in_half_precision_keeps_its_values_to_the_bit(
    source: Path, backbone: Path, embed: bool
) -> None:
    def halve(state: dict[str, torch.Tensor]) -> None:
        state.update({name: tensor.bfloat16() for name, tensor in state.items()})

    edit(source, halve)
    target = converted(source, backbone, embed_backbone=embed)
    stored = load_file(target / "weights.safetensors")
    state = torch.load(source / "checkpoint-11352/model.pth", weights_only=True)
    tower = "visual.blocks.0.attn.qkv.weight"
    assert torch.equal(stored[f"backbone.{tower}"], state[f"base_model.model.{tower}"].float())
    assert torch.equal(stored["heads"], state["base_model.model.rm_head.weight"].float())
    assert stored["tokens"].dtype is torch.float32
    name = "layers.0.mlp.up_proj.base_layer.weight"
    if embed:
        kept = stored[f"backbone.language_model.{name}"]
        assert torch.equal(kept, state[f"base_model.model.model.{name}"])
    for dtype in ("float32", "bfloat16"):
        network, _, card = load_folder(target, dtype=dtype)
        assert card.config.dtype == "bfloat16"
        assert torch.equal(network.heads, stored["heads"])


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("model_config", {"use_special_tokens": False}, "not read at tokens of their own"),
        ("model_config", {"output_dim": 4}, "its head has 4 outputs for 3 dimensions"),
        ("peft_lora_config", {"lora_enable": False}, "not trained through LoRA"),
        ("peft_lora_config", {"use_rslora": True}, "scaled by the root of the rank"),
        ("data_config", {"num_frames": 12}, "a number of frames and not a frame rate"),
        ("data_config", {"sample_type": "multi_pts"}, "in the way 'multi_pts'"),
        ("data_config", {"eval_dim": ["VQ", "TA", "XX"]}, r"not the config .* KeyError\('XX_mean"),
        ("data_config", {"eval_dim": ["VQ", "TA"]}, "its head has 3 outputs for 2 dimensions"),
        ("inference_config", {"TA_std": 0.0}, "a deviation of its inference_config is not above 0"),
    ],
)
def test_what_cannot_be_carried_over_exactly_is_refused(
    source: Path, backbone: Path, part: str, change: dict[str, Any], sentence: str
) -> None:
    settings(source, part, **change)
    with pytest.raises(CheckpointMismatchError, match=sentence):
        converted(source, backbone)


def test_one_of_several_checkpoints_must_be_named(
    source: Path, backbone: Path, look: LookAlike
) -> None:
    other = source / "checkpoint-20"
    other.mkdir()
    torch.save(look.state(), other / "model.pth")
    with pytest.raises(CheckpointMismatchError, match="several steps, 20, 11352: say which one"):
        converted(source, backbone)
    # The released loader would take the newest one here.
    with pytest.raises(CheckpointMismatchError, match="no checkpoint of step 21; found 20, 11352"):
        converted(source, backbone, step=21)
    assert load_folder(converted(source, backbone, step=20))[2].converted["checkpoint"] == (
        "checkpoint-20"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no tokens {text_prompt}", r"expected one text with each of <\|VQ_reward\|> .* found 0"),
        (TEXT.replace("{text_prompt}", "{prompt}"), "a place for 'prompt'; expected 'text_prompt'"),
        (TEXT.replace("{text_prompt}", "{text_prompt}" * 2), "more than one place for the prompt"),
        (TEXT.replace("{text_prompt}", "{"), "not a text to be filled in"),
        (TEXT.replace("{text_prompt}", ""), "the token of TA must stand behind the prompt"),
    ],
)
def test_a_text_that_is_not_the_one_of_the_release_is_refused(
    source: Path, backbone: Path, text: str, sentence: str
) -> None:
    path = source / "text.txt"
    path.write_text(text)
    with pytest.raises(CheckpointMismatchError, match=sentence):
        convert(source, source.parent / "model", backbone=str(backbone), template=path)


def test_a_tokenizer_that_numbers_the_tokens_differently_is_refused(
    source: Path, backbone: Path
) -> None:
    folder = source / "checkpoint-11352" / "tokenizer"
    folder.mkdir()
    (folder / "added_tokens.json").write_text(json.dumps({TOKENS[0]: 7}))
    with pytest.raises(CheckpointMismatchError, match=r"<\|VQ_reward\|> has the id 7"):
        converted(source, backbone)


@pytest.fixture
def conversion_run(tmp_path: Path, look: LookAlike, backbone: Path) -> Callable[..., RunDir]:
    def make(**config: Any) -> RunDir:
        write(tmp_path / "media" / "incoming" / "videoreward", look)
        run = RunDir(tmp_path / "run")
        run.prepare(
            {"folder": "videoreward", **config},
            {"backbone": Input(str(backbone))},
            media_root=tmp_path / "media",
        )
        return run

    return make


def test_a_run_converts_what_lies_in_the_folder_for_imports(
    conversion_run: Callable[..., RunDir],
) -> None:
    run = conversion_run(step=11352)
    assert supervise(conversion, run) == ExitCode.DONE
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.message.startswith("converted checkpoint-11352: ")
    (output,) = outcome.outputs
    assert output.kind is OutputKind.REWARD_MODEL
    assert output.sha256 == sha256_of(run.outputs / "reward_model" / "manifest.json")
    assert output.meta["calibration"]["mean"]["TA"] == 2.8105
    frames = np.full((4, 336, 336, 3), 90, dtype=np.uint8)
    assert set(RewardModel.load(run.outputs / "reward_model").score(["a"], [frames])) == set(KEYS)


@pytest.mark.parametrize(
    ("config", "code", "sentence"),
    [
        ({"folder": "../.."}, ExitCode.BAD_DATA, "leads out of the folder incoming"),
        ({"template": "../../x.py"}, ExitCode.BAD_DATA, "leads out of the folder videoreward"),
        ({"step": 3}, ExitCode.BAD_DATA, "there is no checkpoint of step 3; found 11352"),
        ({"folder": ""}, ExitCode.BAD_CONFIG, "folder must be a name, got ''"),
    ],
)
def test_a_run_that_cannot_convert_says_why(
    conversion_run: Callable[..., RunDir], config: dict[str, Any], code: ExitCode, sentence: str
) -> None:
    run = conversion_run(**config)
    assert supervise(conversion, run) == code
    outcome = run.outcome()
    assert outcome is not None
    assert sentence in outcome.message


def test_nothing_is_written_over_a_folder_that_is_there(source: Path, backbone: Path) -> None:
    target = converted(source, backbone)
    before = (target / "manifest.json").read_bytes()
    with pytest.raises(Exception, match="never overwritten"):
        converted(source, backbone)
    assert (target / "manifest.json").read_bytes() == before
