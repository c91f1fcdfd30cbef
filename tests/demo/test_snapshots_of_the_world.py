"""Snapshots of the demo world without a site, as the benchmarks of reward models use them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.reward_data import World, make
from bench.reward_plot import NAMES, drawing
from bench.reward_runs import interval
from formats.errors import FormatError
from formats.snapshot import read_snapshot

SMALL = World(3, prompts=12, groups=2, clips=3, pairs=2, held_out_pairs=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make(folder, SMALL)
    return folder


def test_no_prompt_and_no_group_of_clips_is_torn(made: Path) -> None:
    records = read_snapshot(made / "snapshot").records
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.prompt, set()).add(record.split)
    assert all(len(each) == 1 for each in splits.values())
    train = [record for record in records if record.split == "train"]
    assert len(train) == SMALL.groups * SMALL.pairs * len({record.prompt for record in train})
    for record in records:
        numbers = [int(Path(v.path).name[5:7]) for v in (record.video_a, record.video_b) if v]
        assert numbers[0] // SMALL.clips == numbers[1] // SMALL.clips


def test_each_pair_has_votes_a_posterior_and_scores(made: Path) -> None:
    for record in read_snapshot(made / "snapshot").records:
        assert record.votes == SMALL.votes
        assert sum(record.posterior["VQ"]) == pytest.approx(1, abs=1e-5)
        assert all(1 <= score <= 5 for score in {**record.scores_a, **record.scores_b}.values())


def test_a_world_that_is_there_is_read_and_another_refused(made: Path) -> None:
    assert make(made, SMALL) == make(made, SMALL)
    with pytest.raises(FormatError, match="holds another world"):
        make(made, replace(SMALL, votes=5))


def test_few_seeds_make_a_wide_interval() -> None:
    found = interval([0.8, 0.9, 1.0])
    # Student's t with two degrees of freedom is 4.303; the standard error is 0.1 / sqrt(3).
    assert found["mean"] == pytest.approx(0.9)
    assert found["high"] - found["mean"] == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-4)


def test_the_drawing_holds_each_model_and_the_figures_of_the_paper() -> None:
    spread = {"mean": 0.6, "low": 0.58, "high": 0.62}
    names = ("accuracy_with_ties", "accuracy_without_ties")
    row = {
        "paper": {"with_ties": 60.0, "without_ties": 71.0},
        **{name: {"mean": spread} for name in names},
    }
    dimensions = {key: dict.fromkeys(names, 0.6) for key in ("VQ", "MQ", "TA")}
    seed = {"variants": {key: {"dimensions": dimensions} for key in NAMES}}
    text = drawing({"variants": dict.fromkeys(NAMES, row), "seeds": [seed]})
    assert all(name in text for name in NAMES.values())
    assert text.count("<polygon") == 2 * len(NAMES) + 1
    assert "nan" not in text
