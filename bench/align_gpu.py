"""Flow-DPO on the Wan 2.1 1.3B shape with random weights, where there is a GPU.

All 30 layers, bfloat16, gradient checkpointing, one pair of clips of 21 x 30 x 52 latents, which
are 81 frames of 240 x 416 pixels, 8,190 tokens a clip: seconds per step and the most memory, with
the adapter switched off for the reference, with its errors given, and with a second copy of the
base. `bench.align_speed` puts them into its file.
"""

import gc
import statistics
import time
from typing import Any, Final

import torch

from bench.align_memory import WAYS, Learner, drawn, referred

LAYERS: Final = 30
LATENTS: Final = (16, 21, 30, 52)
PAIRS: Final = 1
STEPS: Final = 6  # the first one is not counted


def measured() -> dict[str, Any] | None:
    """Per way; None where there is no GPU."""
    if not torch.cuda.is_available():
        return None
    rows = {way: row(way, LAYERS, LATENTS) for way in WAYS}
    return {"device": torch.cuda.get_device_name(), "latents": LATENTS, "rows": rows}


def row(way: str, layers: int, latents: tuple[int, ...]) -> dict[str, float]:
    """One way, with the memory of the ones before given back."""
    gc.collect()
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    learner = Learner.of(way, layers, "bfloat16")
    seconds = []
    for step in range(STEPS):
        batch = drawn(step, learner.generator.device, PAIRS, latents)
        began = time.perf_counter()
        learner.step(referred(learner, batch, way))  # ends with a number on the CPU
        seconds.append(time.perf_counter() - began)
    return {
        "step_seconds": statistics.median(seconds[1:]),
        "peak": float(torch.cuda.max_memory_allocated()) if on_gpu else 0.0,
    }
