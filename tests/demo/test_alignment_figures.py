"""Figures of the benchmark of alignment: win rates, intervals, and the race of two methods."""

import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.align_figures import (
    bootstrap,
    figures,
    points,
    pooled,
    race,
    share_of_scale,
    steps_to,
)
from bench.align_plot import drawing
from bench.align_world_tables import align_world
from bench.tables import table
from demo.recipes import DIMENSIONS, SPAN

pytestmark = pytest.mark.one_engine


def row(gaps: list[float], step: int = 0, judge: float = 0.5) -> dict[str, Any]:
    every = dict.fromkeys((*DIMENSIONS, "all"), gaps)
    prompts = [f"p{n // 2}" for n in range(len(gaps))]
    return {"prompts": prompts, "gaps": every, "judge": judge, "step": step}


def curve(*rates: tuple[int, float]) -> list[dict[str, Any]]:
    return [row([1.0] * round(10 * rate) + [-1.0] * round(10 - 10 * rate), n) for n, rate in rates]


def test_equality_is_half_a_win():
    assert points(np.array([0.3, 0.0, -2.0])).tolist() == [1.0, 0.5, 0.0]


def test_the_scale_goes_from_the_worst_to_the_best_clip():
    assert share_of_scale(SPAN) == {**dict.fromkeys(DIMENSIONS, 1.0), "all": 1.0}
    assert share_of_scale({**SPAN, "VQ": 0.0})["all"] == pytest.approx(2 / 3)


def test_clips_of_one_prompt_are_one_observation():
    values = np.repeat([1.0, 0.0], 50)
    alone = bootstrap([str(n) for n in range(100)], values)
    together = bootstrap([f"p{n // 50}" for n in range(100)], values)
    assert alone["mean"] == together["mean"] == 0.5
    assert alone["high"] - alone["low"] < 0.25
    assert (together["low"], together["high"]) == (0.0, 1.0)


def test_worlds_are_pooled_and_each_one_is_kept():
    found = pooled([row([1.0, 1.0, 1.0, -1.0]), row([-1.0, -1.0, 1.0, 1.0])])
    assert found["wins"]["all"]["mean"] == pytest.approx(5 / 8)
    assert found["wins_of_worlds"] == [0.75, 0.5]
    assert found["changes"]["VQ"]["mean"] == pytest.approx(0.25)


def test_the_target_is_reached_between_two_measured_steps():
    # From 0.7 at 10 to 0.9 at 20: 0.85 at 17.5.
    assert steps_to(curve((10, 0.7), (20, 0.9), (30, 0.8))) == pytest.approx(17.5)
    # From 0.5 at 0, where the candidate is the base.
    assert steps_to(curve((10, 1.0))) == pytest.approx(7.0)
    assert steps_to(curve((10, 0.7), (20, 0.8))) is None


def test_the_race_is_a_ratio_with_its_interval_over_worlds():
    fast, slow = curve((10, 1.0)), curve((20, 1.0))
    found = race([slow, slow], [fast, fast])
    assert found["steps"] == {"flow_dpo": [14.0, 14.0], "gapo": [7.0, 7.0]}
    assert found["ratio"] == pytest.approx({"mean": 0.5, "low": 0.5, "high": 0.5})
    wide = race([slow, fast], [fast, fast])["ratio"]
    assert wide["mean"] == pytest.approx(math.sqrt(0.5))
    assert wide["low"] < 0.5 < 1.0 < wide["high"]


def test_without_an_end_there_is_no_ratio():
    assert race([curve((10, 0.6))], [curve((10, 1.0))])["ratio"] is None


def a_world(better: float) -> dict[str, Any]:
    """What one world leaves, with `better` of ten clips won by every method."""
    won = round(10 * better)
    measured = {**row([0.1] * won + [-0.1] * (10 - won)), "winner_drift": 0.01, "loser_drift": 0.02}
    names = ("flow_dpo", "schedule", "gapo", "safe_dpo")
    return {
        "rows": {name: {**measured, "steps": 40} for name in (*names, "sft", "rwr", "nrg")},
        "curves": {
            name: [{**measured, "step": n} for n in (4, 8, 16, 40, 80, 160)] for name in names
        },
    }


def test_the_section_and_the_picture_are_made_of_the_figures():
    found = {"split": "test", **figures([a_world(0.9), a_world(0.9)], {})}
    text = align_world(found, table)
    assert "| GAPO on Flow-DPO | 40 | 0.65 | 0.85 | 0.90 [" in text
    assert "Flow-DPO, constant beta VQ +0.080" in text
    assert "Ratio 1.00 [1.00, 1.00] (aim 0.6)" in text
    picture = ElementTree.fromstring(drawing(found))
    lines = picture.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3 * 4
