"""Model FLOP utilisation of a 2B reward model with random weights on a GPU.

    python -m bench.reward_gpu FOLDER_OF_A_BACKBONE

One step is forward, backward and optimiser over clips of the sizes of the six real ones, in
bfloat16. Operations are counted from the shapes of the products that a step runs (attention
included, nothing is computed twice), and divided by the time and by what the maker says the GPU
does in bfloat16 without sparsity. `None` where there is no GPU.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText

from bench import reward_shapes
from models_rm.backbones.shapes import SHAPES
from models_rm.clips.video import Clip
from models_rm.config import RewardModelConfig
from models_rm.networks.collator import Batch, Collator
from models_rm.networks.network import RewardNetwork
from models_rm.reward_models.checkpoints import build_network
from models_rm.training.objective import optimizer_for

NAME: Final = "Qwen2-VL-2B"
CLIPS: Final = 8  # of a step
STEPS: Final = 10
# Dense bfloat16, 10^12 operations per second, from the makers' data sheets.
PEAK: Final = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125}
SIZES: Final = [(10, 336, 588), (8, 336, 588), (12, 364, 532)]  # frames, height, width


def measured(folder: Path) -> dict[str, Any] | None:
    if not torch.cuda.is_available():
        return None
    network, batch = _network_and_batch(folder)
    optimizer = optimizer_for(network, RewardModelConfig(dtype="bfloat16"))
    with FlopCounterMode(display=False) as counter:
        _step(network, batch, optimizer)
    for _ in range(2):
        _step(network, batch, optimizer)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(STEPS):
        _step(network, batch, optimizer)
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - started) / STEPS
    device = torch.cuda.get_device_name()
    peak = next((value for name, value in PEAK.items() if name in device), None)
    rate = counter.get_total_flops() / seconds / 1e12
    return {
        "device": device,
        "clips_per_second": CLIPS / seconds,
        "teraflops": rate,
        "utilisation": None if peak is None else rate / peak,
        "gigabytes": torch.cuda.max_memory_allocated() / 2**30,
    }


def _network_and_batch(folder: Path) -> tuple[RewardNetwork, Batch]:
    config = RewardModelConfig(dtype="bfloat16")
    with torch.device("cuda"):
        whole = AutoModelForImageTextToText.from_config(
            SHAPES[NAME].config, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
    network, template = build_network(whole.model, reward_shapes.dimensions(), config)
    network.cuda().train()
    generator = torch.Generator().manual_seed(0)
    clips = [
        Clip(torch.randint(0, 255, (t, 3, h, w), dtype=torch.uint8, generator=generator), 2.0)
        for t, h, w in (SIZES[n % len(SIZES)] for n in range(CLIPS))
    ]
    tokenizer = reward_shapes.tokenizer_of(folder)
    collator = Collator(tokenizer, network.family, template)
    return network, collator(clips, ["a girl walks to a chair"] * CLIPS).to(torch.device("cuda"))


def _step(network: RewardNetwork, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cuda", torch.bfloat16):
        rewards = network(batch).mean
    (rewards[::2] - rewards[1::2]).square().mean().backward()
    optimizer.step()


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]))), flush=True)
