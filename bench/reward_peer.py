"""The released VideoAlign code on the shapes of `bench.reward_speed`; runs in a venv of its own.

    PEER/bin/python bench/reward_peer.py CODE BACKBONE SHARED STEPS

CODE is a checkout of github.com/KwaiVGI/VideoAlign, BACKBONE the folder with our tokenizer. It is
imported and run as it is: its dataset, collator, model, trainer and callback, with the settings of
its train.sh; only flash attention is off (there is none on a CPU), types are float32, a step is
one pair, and files are written nowhere. Needs torch 2.3.1, transformers 4.45.2, trl 0.8.6,
peft 0.10.0, and what the checkout's environment.yaml names beside. Says one line of JSON.

This file runs under old libraries, so it imports nothing of this project.
"""

import json
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

THREADS = 2
ROPE = {"type": "mrope", "mrope_section": [8, 12, 12]}
TEXT = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192,
    "vocab_size": 32000, "rope_scaling": ROPE, "rope_theta": 1e6,
}  # fmt: skip
VISION = {
    "depth": 4, "embed_dim": 256, "hidden_size": 256, "num_heads": 8, "mlp_ratio": 4,
    "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
}  # fmt: skip
SPECIAL = {
    "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
}  # fmt: skip


def make_backbone(folder: Path, tokenizer_file: Path, chat_template: str) -> None:
    """The same sizes in the layout of transformers 4.45, with random weights."""
    import torch
    from transformers import (
        Qwen2TokenizerFast,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
    )

    tokenizer = Qwen2TokenizerFast(
        tokenizer_file=str(tokenizer_file),
        eos_token="<|im_end|>",  # noqa: S106, a token of text
        pad_token="<|endoftext|>",  # noqa: S106
        model_max_length=8192,
    )
    ids = {key: tokenizer.convert_tokens_to_ids(word) for key, word in SPECIAL.items()}
    torch.manual_seed(0)
    config = Qwen2VLConfig(**TEXT, vision_config=VISION, tie_word_embeddings=False, **ids)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    pictures = Qwen2VLImageProcessor()
    Qwen2VLProcessor(pictures, tokenizer, chat_template=chat_template).save_pretrained(folder)


def trainer_of(backbone: Path, shared: Path, steps: int, out: str) -> Any:
    """What the script's `train()` builds, up to `trainer.train()`."""
    from data import DataConfig, QWen2VLDataCollator
    from train_reward import create_dataset, create_model_and_processor, set_requires_grad
    from trainer import PartialEmbeddingUpdateCallback, VideoVLMRewardTrainer
    from utils import ModelConfig, PEFTLoraConfig, TrainingConfig

    media = shared / "data" / "videoalign"
    data = DataConfig(
        meta_data=str(media / "example.csv"), data_dir=str(media), max_frame_pixels=200704,
        fps=2, eval_dim=["VQ", "MQ", "TA"], prompt_template_type="detailed_special",
    )  # fmt: skip
    args = TrainingConfig(
        output_dir=out, per_device_train_batch_size=1, gradient_accumulation_steps=1,
        max_steps=steps, learning_rate=2e-6, vision_lr=2e-6, merger_lr=2e-6,
        special_token_lr=2e-6, warmup_ratio=0.05, lr_scheduler_type="constant_with_warmup",
        save_strategy="no", report_to=[], use_cpu=True, disable_flash_attn2=True,
        dataloader_num_workers=0, gradient_checkpointing=False,
    )  # fmt: skip
    model_config = ModelConfig(
        model_name_or_path=str(backbone), output_dim=3, use_special_tokens=True,
        reward_token="special", loss_type="btt", torch_dtype="float32",  # noqa: S106
    )  # fmt: skip
    lora = PEFTLoraConfig(
        lora_enable=True, vision_lora=False, lora_r=64, lora_alpha=128, lora_dropout=0.0,
        lora_namespan_exclude=["lm_head", "rm_head", "embed_tokens", "visual"],
    )  # fmt: skip
    model, processor, peft_config = create_model_and_processor(
        model_config=model_config, peft_lora_config=lora, training_args=args
    )
    set_requires_grad(model.model.visual.parameters(), requires_grad=True)
    set_requires_grad(model.model.rm_head.parameters(), requires_grad=True)
    return VideoVLMRewardTrainer(
        model=model,
        data_collator=QWen2VLDataCollator(processor),
        args=args,
        train_dataset=create_dataset(data),
        peft_config=peft_config,
        callbacks=[PartialEmbeddingUpdateCallback(model.special_token_ids)],
        loss_type="btt",
        tokenizer=processor.tokenizer,
    )


def main() -> None:
    code, backbone, shared, steps = sys.argv[1:]
    sys.path.insert(0, code)
    import torch
    from transformers import TrainerCallback

    torch.set_num_threads(THREADS)
    ends: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
            ends.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as scratch:
        template = (Path(backbone) / "chat_template.jinja").read_text()
        make_backbone(Path(scratch), Path(backbone) / "tokenizer.json", template)
        trainer = trainer_of(Path(scratch), Path(shared), int(steps) + 1, scratch)
        trainer.add_callback(Clock())
        trainer.train()
    # Each difference holds the reading of the clips, forward, backward and the step.
    pairs = list(pairwise(ends))
    said = {
        "seconds": [b[0] - a[0] for a, b in pairs],
        "processor": [b[1] - a[1] for a, b in pairs],
        "of": 1,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
