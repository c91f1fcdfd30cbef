"""What a reference without a second model saves: bytes of tensors at the peak of Flow-DPO's steps.

    python -m bench.align_memory [--layers 7] [--json FILE]

The transformer has the widths of Wan 2.1 1.3B and 7 of its 30 layers (350 M parameters) with random
weights. Two optimiser steps are taken with the product's own policy, loss and LoRA, each way in a
process of its own: `adapter_off` switches the adapter off for the reference, `cached` was given the
errors of the reference, `copy` asks a second full copy of the base, and is otherwise `adapter_off`.

Counted is what torch's allocator hands out and takes back, from before the first weight to behind
the last step (memory events of torch.profiler): weights, gradients, moments, activations and the
scratch space of operators. The peak is the largest sum that is out at once. The resident memory of
the process, which holds Python and libraries too, stands beside.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import WanTransformer3DModel
from torch.profiler import ProfilerActivity, profile

from bench.align_worlds import ROOT
from bench.reward_runs import CORES, machine, pin_cores
from demo.tiny_generator import TinySize, build_pipeline
from models_align.adapters import add_adapter, trainable_parameters
from models_align.config import AlignmentConfig
from models_align.data import Batch
from models_align.flow import velocity_error
from models_align.generators.wan import WanGenerator
from models_align.lean import make_lean
from models_align.objective import pair_losses
from models_align.policy import Policy, both_errors

WAYS: Final = ("adapter_off", "cached", "copy")
PRECISIONS: Final = ("float32", "bfloat16")
STEPS: Final = 2  # the first one makes the moments
PAIRS: Final = 2
LATENTS: Final = (16, 3, 16, 16)  # 192 patches
TEXT: Final = 64  # tokens
# Wan-AI/Wan2.1-T2V-1.3B-Diffusers, transformer/config.json, but for num_layers.
WAN: Final[dict[str, Any]] = {
    "patch_size": (1, 2, 2), "num_attention_heads": 12, "attention_head_dim": 128,
    "in_channels": 16, "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 8960,
    "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "eps": 1e-6,
    "rope_max_seq_len": 1024,
}  # fmt: skip
CONFIG: Final[dict[str, Any]] = {
    "method": "flow_dpo", "gradient_checkpointing": True, "pairs_per_step": PAIRS,
}  # fmt: skip


def base(layers: int, precision: str) -> WanGenerator:
    """Random weights in the shape of Wan; autoencoder and text encoder are those of the demo."""
    pipeline = build_pipeline(TinySize(z_dim=16, layers=1), ["a red circle"], seed=0)
    torch.manual_seed(0)
    # Made in its type: converted afterwards, the peak would be that of making it.
    torch.set_default_dtype(getattr(torch, precision))
    transformer = WanTransformer3DModel(**WAN, num_layers=layers)
    torch.set_default_dtype(torch.float32)
    pipeline.register_modules(transformer=transformer)
    return WanGenerator(pipeline, "random")


def drawn(
    step: int, device: torch.device, pairs: int = PAIRS, latents: tuple[int, ...] = LATENTS
) -> Batch:
    chance = torch.Generator().manual_seed(step)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(pairs, *shape, generator=chance).to(device)

    ones = torch.ones(pairs, device=device)
    return Batch(
        winners=normal(*latents), losers=normal(*latents), noise=normal(*latents),
        text=normal(TEXT, WAN["text_dim"]), condition=None,
        t=torch.rand(pairs, generator=chance).to(device),
        reward_w=ones, reward_l=ones, weight_w=ones, weight_l=ones,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Learner:
    """The product's policy with its optimiser; `other`: a second copy of the base."""

    generator: WanGenerator
    config: AlignmentConfig
    optimizer: torch.optim.Optimizer
    other: WanGenerator | None

    @classmethod
    def of(cls, way: str, layers: int, precision: str) -> "Learner":
        config = AlignmentConfig.from_json({**CONFIG, "precision": precision})
        generator = base(layers, precision)
        other = base(layers, precision) if way == "copy" else None
        add_adapter(generator, config)
        make_lean(generator.networks.values())
        generator.transformer.enable_gradient_checkpointing()
        generator.transformer.train()
        learning = list(trainable_parameters(generator).values())
        optimizer = torch.optim.Adam(learning, lr=config.lr, fused=True)
        return cls(generator, config, optimizer, other)

    def step(self, batch: Batch) -> float:
        self.optimizer.zero_grad()
        wanted = self.config.precision == "bfloat16"
        device = self.generator.device.type
        with torch.autocast(device, torch.bfloat16, enabled=wanted):
            errors = both_errors(self.generator, batch, Policy(self.generator))
        loss = pair_losses(self.config, batch, errors).mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def referred(learner: Learner, batch: Batch, way: str) -> Batch:
    """The batch with the errors of the reference, where they do not come from the policy itself."""
    if way == "adapter_off":
        return batch
    known = (torch.ones_like(batch.t), torch.ones_like(batch.t))
    if learner.other is not None:
        wanted = learner.config.precision == "bfloat16"
        device = batch.t.device.type
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=wanted):
            known = _asked(learner.other, batch)
    values = {name: getattr(batch, name) for name in Batch.__dataclass_fields__}
    return Batch(**{**values, "reference": known})


def _asked(other: WanGenerator, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    data, noise = torch.cat([batch.winners, batch.losers]), torch.cat([batch.noise] * 2)
    t, text = torch.cat([batch.t] * 2), torch.cat([batch.text] * 2)
    x_t = other.process.noised(data, noise, t)
    error = velocity_error(other.velocity(x_t, t, text), other.process.target(data, noise, t))
    winner, loser = error.chunk(2)
    return winner, loser


def measure(way: str, layers: int, precision: str) -> dict[str, Any]:
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        learner = Learner.of(way, layers, precision)
        losses = []
        for step in range(STEPS):
            batch = drawn(step, learner.generator.device)
            losses.append(learner.step(referred(learner, batch, way)))
    network = learner.generator.transformer
    return {
        "peak": peak(seen),
        "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(v.numel() for k, v in network.named_parameters() if ".lora_" not in k),
        "learning": sum(each.numel() for each in trainable_parameters(learner.generator).values()),
        "losses": losses,
        "seconds": time.perf_counter() - began,
    }


def peak(seen: profile) -> int:
    """The largest sum of bytes that were out at once."""
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda each: each.start_ns())
    return max(accumulate(each.nbytes() for each in events))


def child(way: str, layers: int, precision: str) -> dict[str, Any]:
    words = [sys.executable, "-m", "bench.align_memory", "--one", way, precision]
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(CORES), "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [*words, "--layers", str(layers)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    gigabytes = found["peak"] / 2**30
    print(f"{precision}, {way}: {gigabytes:.2f} GiB in {found['seconds']:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "PRECISION"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    if given.one:
        torch.set_num_threads(CORES)
        print(json.dumps(measure(given.one[0], given.layers, given.one[1])), flush=True)
        return
    cores = pin_cores()
    rows = {
        precision: {way: child(way, given.layers, precision) for way in WAYS}
        for precision in PRECISIONS
    }
    result = {
        "machine": machine(cores),
        "layers": given.layers,
        "pairs": PAIRS,
        "tokens": 2 * PAIRS * LATENTS[1] * LATENTS[2] * LATENTS[3] // 4,
        "rows": rows,
        "ratios": {
            precision: {way: row[way]["peak"] / row["copy"]["peak"] for way in WAYS[:-1]}
            for precision, row in rows.items()
        },
    }
    text = json.dumps(result, indent=1, sort_keys=True)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
