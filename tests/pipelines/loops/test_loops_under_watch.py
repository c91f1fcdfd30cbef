"""A loop whose candidates are watched while they train: prompts, judges, and the truth of looks."""

from typing import Any

import pytest

from formats.outcome import OutputKind
from formats.records import PromptRecord
from pipelines.errors import InvalidRunConfig
from pipelines.launching import run_dir
from pipelines.loops.chain import start_loop
from pipelines.loops.configs import config_of
from tests.pipelines.loop_world import loop_config, make_campaign

pytestmark = pytest.mark.django_db

PAIRS = 16
SPLIT = {"train": 0.4, "validation": 0.4, "test": 0.2}


def watched_loop(mia: Any, **changes: Any) -> Any:
    config = loop_config(
        snapshot={"split": SPLIT},
        watch={"prompts": {"limit": 2}, "every": 5},
        generation_eval={"steps": 12, "batch": 4, "seed": 500},
        **changes,
    )
    return start_loop(make_campaign(user=mia, pairs=PAIRS), config, mia)


def test_candidates_are_given_held_out_prompts_and_their_judges(mia: Any) -> None:
    group = watched_loop(mia)
    reward = group.runs.get(name="Reward model")
    for run in group.runs.filter(kind="alignment"):
        roles = {row.role: row for row in run.inputs.all()}
        assert roles["reward_model"].producer_id == reward.pk
        assert {"reward_backbone", "watch_prompts"} <= set(roles)
        assert ("judge" in roles) == group.runs.filter(name="Independent judge").exists()
        prompts = PromptRecord.read(run_dir(run).root / roles["watch_prompts"].file)
        assert {each.split for each in prompts} == {"validation"}
        assert len(prompts) == 2
        watch = run.config["watch"]
        # As the test clips are made, with seeds of its own.
        assert (watch["every"], watch["steps"], watch["batch"], watch["seed"]) == (5, 12, 4, 0)


def test_the_truth_of_their_looks_is_measured_once_they_have_ended(mia: Any) -> None:
    group = watched_loop(mia, truth_eval={})
    for run in group.runs.filter(kind="alignment"):
        truth = group.runs.get(name=f"Truth while {run.name} trains")
        row = truth.inputs.get()
        assert (row.producer_id, row.producer_kind) == (run.pk, OutputKind.GENERATIONS)


def test_a_loop_like_this_one_is_watched_again(mia: Any) -> None:
    config = config_of(watched_loop(mia))
    assert config["watch"] == {"prompts": {"suite": "", "split": "validation", "limit": 2}}
    assert {each["watch"]["every"] for each in config["alignments"].values()} == {5}


def test_a_loop_without_a_watch_gives_its_candidates_nothing_to_watch(mia: Any) -> None:
    config = loop_config(truth_eval={})
    group = start_loop(make_campaign(user=mia), config, mia)
    for run in group.runs.filter(kind="alignment"):
        assert {row.role for row in run.inputs.all()} == {"pairs", "generator"}
    assert not group.runs.filter(name__startswith="Truth while").exists()


def test_a_setting_that_a_watch_does_not_have_is_named(mia: Any) -> None:
    config = loop_config(snapshot={"split": SPLIT}, watch={"prompts": {"limit": 2}, "evry": 5})
    with pytest.raises(InvalidRunConfig, match="unknown key 'evry'; did you mean 'every'"):
        start_loop(make_campaign(user=mia, pairs=PAIRS), config, mia)
