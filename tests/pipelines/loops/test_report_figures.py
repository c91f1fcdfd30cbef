"""The figures that go into the docs are those of the report, judged by the truth alone."""

from pipelines.loops.figures import figures_of

RATE = {"rate": 0.9, "low": 0.8, "high": 0.95, "wins": 9, "ties": 0, "losses": 1, "p": 0.01}
OTHER = {**RATE, "rate": 0.1}
REPORT = {
    "reward_models": [
        {
            "dimensions": {
                "VQ": {
                    "share_of_ceiling": 0.75,
                    "accuracy_without_ties": 0.8,
                    "ceiling": {"accuracy": 0.9},
                }
            }
        }
    ],
    "evaluations": [
        {
            "candidate": "GAPO",
            "judges": [
                {"judge": "reward", "dimensions": {"VQ": OTHER}},
                {"judge": "truth", "dimensions": {"VQ": RATE}},
            ],
        }
    ],
    "alignments": [{"name": "GAPO", "first_loss": 0.6931472}],
}


def test_win_rates_are_those_of_the_truth_and_shares_those_of_the_report() -> None:
    figures = figures_of(REPORT, seed=3)
    assert figures["seed"] == 3
    assert figures["win_rates"]["GAPO"]["VQ"]["rate"] == 0.9
    assert "p" not in figures["win_rates"]["GAPO"]["VQ"]
    # (0.8 - 0.5) / (0.9 - 0.5) = 0.75
    assert figures["reward_model"]["VQ"] == {"share": 0.75, "accuracy": 0.8, "ceiling": 0.9}
    assert figures["first_loss"] == {"GAPO": 0.6931472}
