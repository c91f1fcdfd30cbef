"""Figures of the speed and the memory of alignment, and how they stand in a table."""

from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from bench.align_memory import peak
from bench.align_speed import PROGRAMS, speeds
from bench.align_tables import align_memory, align_speed
from bench.tables import table

pytestmark = pytest.mark.one_engine


def turn(scale: float) -> dict[str, dict[str, Any]]:
    """Times of one round: the peers take two and four times as long as ours."""
    slow = {"ours": 1.0, "ours_each_step": 1.5, "public": 4.0, "cached": 2.0}
    return {
        name: {"loop": 10 * scale * slow[name], "seconds": 12 * scale * slow[name],
               "processor": 20 * slow[name], "steps": [slow[name]] * 3, "load": 0.5}
        for name in PROGRAMS
    }  # fmt: skip


def test_ratios_are_made_round_by_round() -> None:
    # The machine was three times as slow in the second round: the ratios do not see it.
    found = speeds([turn(1), turn(3), turn(1)], steps=20)
    assert found["ratios"]["ours public"]["loop"] == pytest.approx(4)
    assert found["ratios"]["ours cached"]["seconds"] == pytest.approx(2)
    assert found["programs"]["ours"]["steps_per_second"] == pytest.approx(2)


def test_the_table_of_speed_has_every_program_and_says_where_no_gpu_was() -> None:
    rate = {"mean": 0.9, "low": 0.85, "high": 0.95}
    figures = {
        **speeds([turn(1)], steps=20), "steps": 20, "rounds": 1, "draws": 2, "clips": 8,
        "prompts": 4, "config": {"pairs_per_step": 16}, "machine": {"cores": 2},
        "wins": dict.fromkeys(PROGRAMS, rate), "differences": {"ours public": rate}, "gpu": None,
    }  # fmt: skip
    page = align_speed(figures, table)
    assert "| 4.00 (4.00 in all) | 2.00 (2.00 in all) | 0.900 [0.850, 0.950] |" in page
    assert page.count("0.900 [0.850, 0.950]") == len(PROGRAMS)
    assert "here was none" in page
    row = {"step_seconds": 1.5, "peak": 2.0**31}
    figures["gpu"] = {"device": "a GPU", "latents": [1, 2], "rows": {"copy": row}}
    assert "| a second full copy | 1.50 | 2.0 |" in align_speed(figures, table)


def test_the_peak_is_the_largest_sum_that_is_out_at_once() -> None:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        first = torch.ones(1000)
        second = torch.ones(500)
        del first
        third = torch.ones(700)
    assert len(second) + len(third) == 1200
    assert peak(seen) == 4 * 1500


def test_the_table_of_memory_compares_with_a_copy() -> None:
    row = {"peak": 2**30, "resident": 2**31, "parameters": 300_000_000, "learning": 10_000_000}
    ways = {"adapter_off": row, "cached": row, "copy": {**row, "peak": 2**31}}
    figures = {
        "rows": {"float32": ways, "bfloat16": ways}, "layers": 7, "pairs": 2, "tokens": 768,
        "ratios": {key: {"adapter_off": 0.5, "cached": 0.5} for key in ("float32", "bfloat16")},
    }  # fmt: skip
    page = align_memory(figures, table)
    assert "| float32 | the same network, adapter off | 1,024 | 0.500 | 2,048 |" in page
    assert "300 M parameters" in page
