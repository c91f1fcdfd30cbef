"""Flow-DPO written plainly, twice, to be measured beside ours: `bench.align_speed` starts it.

    python -m bench.align_peer {public,cached} GENERATOR PAIRS MEDIA_ROOT CONFIG OUT

`public` does what the public script does (github.com/yifan123/flow_grpo, scripts/train_sd3_dpo.py):
two LoRA adapters on one transformer, `learner` and `ref`, switched in every step; winners and
losers behind one another; the clips of a step are decoded and go through the autoencoder in that
step, and its prompts through the text encoder. `cached` is the same with latents and text
embeddings made once. CONFIG is an alignment config: method, lr, LoRA and counts are read from it.

Says one line of JSON: seconds of the whole training, of its loop, of each step, of the processor.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, WanPipeline
from peft import LoraConfig, get_peft_model_state_dict

import models_align.generators.dct_vae
import models_align.generators.tiny_wan  # noqa: F401  classes that the folder names
from formats.records import PairRecord, VideoRef
from models_align.video import read_clip

Encoded = tuple[torch.Tensor, torch.Tensor]  # latents [2 B, ...], text [2 B, L, D]


class Script:
    """The state of the script while it runs."""

    def __init__(self, generator: str, pairs: str, media_root: str, config: dict[str, Any]):
        self.config = config
        self.pipeline = DiffusionPipeline.from_pretrained(generator)
        self.transformer = self.pipeline.transformer.requires_grad_(requires_grad=False)
        self.pipeline.vae.requires_grad_(requires_grad=False)
        self.pipeline.text_encoder.requires_grad_(requires_grad=False)
        self.media_root = Path(media_root)
        self.pairs = [each for each in PairRecord.read(Path(pairs)) if each.split == "train"]
        self.chance = torch.Generator().manual_seed(config["seed"])
        torch.manual_seed(config["seed"])
        self.lora = LoraConfig(
            r=config["lora"]["r"],
            lora_alpha=config["lora"]["alpha"],
            init_lora_weights="gaussian",
            target_modules=["to_q", "to_k", "to_v", "to_out.0"],
        )
        self.transformer.add_adapter(self.lora, adapter_name="learner")
        self.transformer.add_adapter(self.lora, adapter_name="ref")
        self.transformer.set_adapter("learner")
        self.learner = [each for each in self.transformer.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learner, lr=config["lr"], weight_decay=1e-4)
        self.transformer.train()

    @torch.no_grad()
    def latents(self, clips: list[VideoRef]) -> torch.Tensor:
        frames = torch.stack([read_clip(self.media_root / each.path) for each in clips])
        pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        vae = self.pipeline.vae
        shape = (1, vae.config.z_dim, 1, 1, 1)
        mean = torch.tensor(vae.config.latents_mean).view(shape)
        std = torch.tensor(vae.config.latents_std).view(shape)
        return (vae.encode(pixels).latent_dist.sample() - mean) / std

    @torch.no_grad()
    def text(self, prompts: list[str]) -> torch.Tensor:
        length = self.pipeline.tokenizer.model_max_length
        found, _ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, max_sequence_length=length
        )
        return found.detach()

    def encoded(self, pairs: list[PairRecord]) -> Encoded:
        """Winners, then losers."""
        clips = [each.chosen for each in pairs] + [each.rejected for each in pairs]
        return self.latents(clips), self.text([each.prompt for each in pairs]).repeat(2, 1, 1)

    def step(self, number: int, encoded: Encoded) -> None:
        model_input, embeds = encoded
        half = len(model_input) // 2
        noise = torch.randn(model_input[:half].shape, generator=self.chance).repeat(2, 1, 1, 1, 1)
        t = torch.rand(half, generator=self.chance).repeat(2)
        sigmas = t.view(-1, 1, 1, 1, 1)
        noisy = (1 - sigmas) * model_input + sigmas * noise
        target = noise - model_input
        asked = {"hidden_states": noisy, "timestep": t * 1000, "encoder_hidden_states": embeds}
        self.transformer.set_adapter("learner")
        prediction = self.transformer(**asked, return_dict=False)[0]
        with torch.no_grad():
            self.transformer.set_adapter("ref")
            of_reference = self.transformer(**asked, return_dict=False)[0]
            self.transformer.set_adapter("learner")
        theta = ((prediction.float() - target.float()) ** 2).reshape(2 * half, -1).mean(dim=1)
        ref = ((of_reference.float() - target.float()) ** 2).reshape(2 * half, -1).mean(dim=1)
        difference = (theta[:half] - ref[:half]) - (theta[half:] - ref[half:])
        inside = -0.5 * self.config["settings"]["beta"] * difference
        loss = torch.mean(-F.logsigmoid(inside))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.transformer.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            warm = (number + 1) / max(1, self.config["warmup_steps"])
            group["lr"] = self.config["lr"] * min(1.0, warm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def chosen(self, number: int) -> list[int]:
        """Shuffled epochs, as a data loader has them."""
        size, count = self.config["pairs_per_step"], len(self.pairs)
        epochs = -(-(number + 1) * size // count)
        chance = torch.Generator().manual_seed(self.config["seed"])
        order = torch.cat([torch.randperm(count, generator=chance) for _ in range(epochs)])
        found: list[int] = order[number * size : (number + 1) * size].tolist()
        return found


def train(script: Script, *, caches: bool) -> list[float]:
    """Seconds of each step."""
    everything: Encoded | None = None
    if caches:
        latents = [script.encoded([each]) for each in script.pairs]
        everything = tuple(torch.stack(each) for each in zip(*latents, strict=True))  # type: ignore[assignment]
    seconds = []
    for number in range(script.config["steps"]):
        began = time.perf_counter()
        chosen = script.chosen(number)
        if everything is None:
            batch = script.encoded([script.pairs[each] for each in chosen])
        else:  # [B, 2, ...] -> winners, then losers
            batch = tuple(each[chosen].transpose(0, 1).flatten(0, 1) for each in everything)  # type: ignore[assignment]
        script.step(number, batch)
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    way, generator, pairs, media_root, config_file, out = sys.argv[1:]
    config = json.loads(Path(config_file).read_text())
    torch.set_num_threads(config["threads"])
    began, processor = time.perf_counter(), time.process_time()
    script = Script(generator, pairs, media_root, config)
    steps = train(script, caches=way == "cached")
    script.transformer.set_adapter("learner")
    WanPipeline.save_lora_weights(
        out,
        transformer_lora_layers=get_peft_model_state_dict(
            script.transformer, adapter_name="learner"
        ),
        transformer_lora_adapter_metadata=json.loads(
            json.dumps(script.lora.to_dict(), default=list)
        ),
    )
    said = {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - processor,
        "loop": sum(steps),
        "steps": steps,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
