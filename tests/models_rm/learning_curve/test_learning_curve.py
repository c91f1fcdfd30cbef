"""A learning curve as a run: cells, what is kept when it stops, what the file says."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import ExitCode, OutputKind
from formats.records import PreferenceRecord
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.config import ConfigError
from models_rm.learning_curve.cells import CellResult, Plan
from models_rm.learning_curve.config import LearningCurveConfig
from models_rm.learning_curve.figures import figures
from models_rm.learning_curve.run import SCHEMA, in_words, learning_curve
from models_rm.training.materials import part_of_training
from models_rm.training.run import trained

Make = Callable[..., RunDir]


@pytest.fixture
def make_curve(make_run: Make) -> Make:
    """A prepared run directory of kind `learning_curve`, on the snapshot of `make_run`."""

    def make(name: str = "curve", *, rows: Any = None, **config: Any) -> RunDir:
        run = make_run(name, rows=rows)
        model = {**run.config(), "steps": 2, "probe_pairs": 0}
        values = {"fractions": [0.25, 0.5, 1.0], "seeds": [0], "bootstrap": 100, "model": model}
        inputs = json.loads(run.inputs_file.read_text())
        run.config_file.write_text(json.dumps({"schema": "config/1", **values, **config}))
        assert inputs["inputs"].keys() == {"snapshot", "backbone"}
        return run

    return make


def result(fraction: float, seed: int, right: float, count: int = 400) -> CellResult:
    """A cell that ranks that share of its decided test pairs rightly."""
    rng = np.random.default_rng([seed, round(1000 * fraction)])
    said = tuple((1 if n % 2 else -1, 0 if n % 4 else None) for n in range(count))
    good = rng.permutation(np.arange(count) < right * count)
    gaps = tuple(
        (float(s[0] if g else -s[0]), 0.1) for s, g in zip(said, good, strict=True)
    )  # the second dimension has ties alone
    return CellResult(
        fraction=fraction, seed=seed, prompts=round(80 * fraction), pairs=round(800 * fraction),
        votes=round(2400 * fraction), steps=10, best_step=None, config={}, keys=("VQ", "TA"),
        clusters=tuple(f"prompt {n // 4}" for n in range(count)), said=said, gaps=gaps,
        thresholds={"VQ": 0.5, "TA": 0.5},
    )  # fmt: skip


def test_a_curve_says_how_accurate_each_amount_is_and_what_the_next_point_costs() -> None:
    shares = {0.125: 0.65, 0.25: 0.71, 0.5: 0.76, 1.0: 0.80}
    cells = [result(share, seed, right) for share, right in shares.items() for seed in (0, 1)]
    value = figures(cells, gain=0.01, bootstrap=200)
    assert value["unit"] == "votes"
    assert [point["size"] for point in value["points"]] == [300, 600, 1200, 2400]
    rows = [point["accuracy_without_ties"]["VQ"] for point in value["points"]]
    assert [row["value"] for row in rows] == pytest.approx([0.65, 0.71, 0.76, 0.80])
    assert all(row["interval"][0] < row["value"] < row["interval"][1] for row in rows)
    assert value["forecasts"]["VQ"]["low"] > 0
    assert "of accuracy" in in_words(value, "VQ")
    # TA has no decided pair: no accuracy without ties, no law, and a reason.
    assert value["points"][0]["accuracy_without_ties"]["TA"] is None
    assert value["laws"]["TA"] is None
    assert in_words(value, "TA").endswith("no test pair has a winner")
    # With ties the threshold of the validation prompts makes every small gap a tie.
    assert value["points"][0]["accuracy_with_ties"]["TA"]["value"] == 1.0


def test_few_test_prompts_allow_no_forecast() -> None:
    # 19 prompts of four pairs; the accuracies alone would look like a clear curve.
    shares = {0.25: 0.5, 0.5: 0.75, 1.0: 0.875}
    few = figures([result(s, 0, r, count=76) for s, r in shares.items()], gain=0.01, bootstrap=100)
    assert few["forecasts"]["VQ"]["refusal"] == "few_prompts"
    more = figures([result(s, 0, r, count=80) for s, r in shares.items()], gain=0.01, bootstrap=100)
    assert more["forecasts"]["VQ"]["refusal"] != "few_prompts"
    value = {
        **more,
        "forecasts": {"VQ": {"more": 123.4, "low": 61.0, "high": 300.0, "refusal": ""}},
    }
    assert in_words(value, "VQ") == (
        "1 more point of accuracy for about 120 more votes (likely 61 to 300; one seed, so the "
        "scatter between trainings is not in it)"
    )


def test_cells_of_other_test_pairs_make_no_curve() -> None:
    cells = [result(0.5, 0, 0.7), result(1.0, 0, 0.8, count=200)]
    with pytest.raises(FormatError, match="different test pairs"):
        figures(cells, gain=0.01, bootstrap=100)


def test_smaller_shares_lie_inside_larger_ones(records: list[PreferenceRecord]) -> None:
    rows = [replace(records[0], pair_id=str(n), prompt=f"p{n}", split="train") for n in range(16)]
    rows += [replace(records[0], pair_id="t", prompt="t", split="test")]
    kept = {
        share: {each.prompt for each in part_of_training(rows, share, seed=4)}
        for share in (0.01, 0.25, 0.5, 1.0)
    }
    assert [len(prompts) for prompts in kept.values()] == [2, 5, 9, 17]
    assert kept[0.01] < kept[0.25] < kept[0.5] < kept[1.0]
    assert all("t" in prompts for prompts in kept.values())
    assert kept[0.5] != {each.prompt for each in part_of_training(rows, 0.5, seed=5)}


def test_a_stopped_curve_keeps_its_finished_cells(
    make_curve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_curve("whole"), make_curve("stopped")
    assert supervise(learning_curve, whole) == 0
    done: list[float] = []

    def counted(run: Any, config: Any, world: Any, **more: Any) -> Any:
        done.append(config.data_fraction)
        if len(done) == 2:
            stopped.write_want("pause")
            run.parent._next_look = 0.0  # it looks five times a second; a cell may take less
        return trained(run, config, world, **more)

    monkeypatch.setattr("models_rm.learning_curve.cells.trained", counted)
    assert supervise(learning_curve, stopped) == ExitCode.RUN_ME_AGAIN
    assert [path.parent.name for path in stopped.root.glob("cells/*/result.json")] == ["0.25-0"]
    stopped.want_file.unlink()
    assert supervise(learning_curve, stopped) == 0
    assert done == [0.25, 0.5, 0.5, 1.0]
    files = [run.outputs / "learning_curve.json" for run in (whole, stopped)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not list(stopped.root.glob("cells/*/checkpoints"))


def test_a_curve_of_twelve_pairs_is_honest_about_it(make_curve: Make) -> None:
    run = make_curve()
    assert supervise(learning_curve, run) == 0
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.outputs[0].kind is OutputKind.LEARNING_CURVE
    value = read_json(run.root / outcome.outputs[0].path, SCHEMA)
    assert [point["prompts"] for point in value["points"]] == [1, 2, 4]
    assert (value["unit"], value["test"]) == ("pairs", {"pairs": 2, "prompts": 1})
    assert value["forecasts"]["mean"]["more"] is None
    assert outcome.message.startswith("no number for 1 more point of accuracy: ")
    lines, _ = run.metrics_from(0)
    assert [line.step for line in lines] == sorted(line.step for line in lines)
    assert (lines[-1].step, lines[-1].total) == (3000, 3000)
    assert any(line.stage.startswith("0.5 of the prompts, seed 0: training") for line in lines)


def test_a_finished_cell_of_another_config_is_refused(make_curve: Make) -> None:
    run = make_curve()
    assert supervise(learning_curve, run) == 0
    config = run.config()
    config["model"]["theta"] = 3.0
    run.config_file.write_text(json.dumps({"schema": "config/1", **config}))
    assert supervise(learning_curve, run) == ExitCode.BAD_CONFIG
    outcome = run.outcome()
    assert outcome is not None
    assert "theta was 5.0 and is now 3.0" in outcome.message


def test_progress_counts_data_where_the_trainings_are_as_long_as_their_data() -> None:
    config = {"fractions": [0.25, 0.5, 1.0], "seeds": [0]}
    steps = Plan(LearningCurveConfig.from_json(config))
    assert [steps.at(n, 0.0) for n in range(4)] == [0, 1000, 2000, 3000]
    epochs = Plan(LearningCurveConfig.from_json({**config, "model": {"epochs": 2}}))
    # 3000 * (0, 0.25, 0.75, 1.75) / 1.75, and half of the last one.
    assert [epochs.at(n, 0.0) for n in range(4)] == [0, 429, 1286, 3000]
    assert epochs.at(2, 0.5) == 2143


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fractions": [0.5]}, "fractions must rise and be at least 2"),
        ({"fractions": [1.0, 0.5]}, "fractions must rise"),
        ({"fractions": [0.5, 2.0]}, "shares above 0 and at most 1"),
        ({"fractions": [0.5, 0.5]}, "fractions names one twice"),
        ({"seeds": [-1]}, "seeds must be a list of whole numbers"),
        ({"seeds": list(range(99))}, "at most 200 trainings"),
        ({"gain": 0}, "gain must be above 0"),
        ({"model": {"seed": 3}}, "seed belongs to the curve"),
        ({"model": {"thta": 3}}, "unknown key 'thta'; did you mean 'theta'?"),
        ({"modle": {}}, "unknown key 'modle'"),
        ({"bootstrap": True}, "bootstrap must be at least 100"),
    ],
)
def test_a_bad_config_is_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        LearningCurveConfig.from_json(values)


def test_a_config_comes_back_from_its_file(tmp_path: Path) -> None:
    first = LearningCurveConfig.from_json({"model": {"loss": "bt"}}).to_json()
    again = LearningCurveConfig.from_json(json.loads(json.dumps(first))).to_json()
    assert again == first
    assert again["model"]["theta"] == 5.0
