"""The figures of the anime loop: read from a report, put on one scale, and set into a table."""

from typing import Any

import pytest

from bench.anime_tables import anime_world
from bench.anime_world import figures, row_of
from bench.tables import table
from demo.anime.recipes import DIMENSIONS, SPAN

pytestmark = pytest.mark.one_engine


def report(low: float, motion: float) -> dict[str, Any]:
    """As the loop leaves it; `motion`: by how much true motion changes, as a share of its scale."""
    rate = {"rate": low + 0.05, "low": low, "high": low + 0.1, "wins": 7, "ties": 0, "losses": 3,
            "prompts": 10}  # fmt: skip
    changes = {
        key: {
            "base": 0.5 * SPAN[key],
            "candidate": (0.5 + by) * SPAN[key],
            **dict.fromkeys(("change", "low", "high"), by * SPAN[key]),
        }
        for key in DIMENSIONS
        for by in (motion if key == "motion" else 0.1,)
    }
    rates = dict.fromkeys((*DIMENSIONS, "overall"), rate)
    judges = [
        {"judge": "truth", "dimensions": rates, "changes": changes},
        {"judge": "reward", "dimensions": rates, "changes": changes},
    ]
    amount = {"base": 20.0, "candidate": 21.0, "change": 1.0, "low": 0.5, "high": 1.5}
    evaluation = {"candidate": "GAPO", "judges": judges, "measures": {"motion": amount}}
    model = {"dimensions": {"motion": {"accuracy_without_ties": 0.8, "share_of_ceiling": 0.9}}}
    return {"evaluations": [evaluation], "reward_models": [model]}


def test_changes_are_shares_of_the_scale_and_the_worst_seed_counts() -> None:
    rows = [
        {"seed": n, "seconds": 1, **row_of(report(low, 0.02))} for n, low in ((1, 0.7), (2, 0.6))
    ]
    found = figures(rows)
    assert rows[0]["changes"]["motion"]["base"] == pytest.approx(0.5)
    assert found["lowest_end"] == pytest.approx(0.6)
    assert found["win_rate"]["mean"] == pytest.approx(0.7)
    assert found["changes"]["text"]["mean"] == pytest.approx(0.1)
    assert found["fall_of_motion"] == 0.0  # it rises


def test_a_fall_of_motion_is_told_as_one() -> None:
    rows = [{"seed": n, "seconds": None, **row_of(report(0.7, -0.04))} for n in (1, 2)]
    found = figures(rows)
    assert found["fall_of_motion"] == pytest.approx(0.04)
    text = anime_world(found, table)
    assert "| true motion: change, of a scale from 0 to 1 | >= -0.05 (aim 0) | -0.040" in text
    assert "| motion amount of the pixels: change |  | +1.00 (+0.50 to +1.50)" in text
    assert "0.750 (0.700–0.800)" in text
