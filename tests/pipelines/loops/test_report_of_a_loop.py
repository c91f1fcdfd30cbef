"""A whole loop, its training pretended: rows, lineage, judges, the report and its rules."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from formats.files import write_jsonl
from formats.labels import Label
from formats.records import PairRecord, PreferenceRecord, VideoRef
from pipelines.errors import InvalidRunConfig
from pipelines.loops.ceiling import ceilings, share_above_chance
from pipelines.loops.chain import start_loop
from pipelines.loops.configs import config_of, first_config
from pipelines.loops.times import loop_times
from pipelines.models import LoopGroup, Run
from pipelines.registry import lineage, path_of, stands_on
from pipelines.reporting import concluded, newest, read_report
from pipelines.reports.evidence import Candidate, evidence_of
from tests.pipelines.loop_world import loop_config, make_campaign, play_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def played(mia: Any) -> LoopGroup:
    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    play_all(group)
    return group


def test_a_loop_is_written_at_once_and_each_run_names_what_it_waits_for(mia: Any) -> None:
    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    kinds = list(group.runs.order_by("pk").values_list("kind", flat=True))
    assert kinds[:7] == [
        "snapshot", "reward_model", "generation", "scoring", "pairing", "alignment", "alignment",
    ]  # fmt: skip
    assert kinds[-1] == "report"
    waiting = group.runs.get(kind="report").inputs.values_list("role", "producer__kind")
    assert sorted(waiting) == [
        ("evaluation:Flow-DPO", "evaluation"),
        ("evaluation:GAPO", "evaluation"),
    ]


def test_base_and_candidates_are_asked_the_same_test_prompts_with_the_same_seeds(mia: Any) -> None:
    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    pairs, *test = group.runs.filter(kind="generation").order_by("pk")
    addresses = {run.inputs.get(role="prompts").sha256 for run in test}
    assert len(addresses) == 1
    assert pairs.inputs.get(role="prompts").sha256 not in addresses
    assert len({(run.config["seed"], run.config["clips_per_prompt"]) for run in test}) == 1
    assert len({run.config["generator"] for run in test}) == 3


def test_the_same_nonce_gives_the_same_loop(mia: Any) -> None:
    campaign = make_campaign(user=mia)
    first = start_loop(campaign, loop_config(), mia, nonce="n")
    assert start_loop(campaign, loop_config(), mia, nonce="n") == first
    assert LoopGroup.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"alignmnts": {}}, "unknown key 'alignmnts'; did you mean 'alignments'"),
        ({"backbone": "gpt"}, "there is no backbone named 'gpt'; there are: tiny-vlm"),
        ({"reward_model": {"theta": 1.0}}, "theta must be above 1, got 1.0"),
        ({"alignments": {"x": {"method": "magic"}}}, "method must be one of"),
        ({"prompts_eval": {"suite": "none"}}, "there is no suite 'none'"),
    ],
)
def test_a_loop_that_cannot_work_leaves_no_row(mia: Any, changes: Any, sentence: str) -> None:
    campaign = make_campaign(user=mia, pairs=6)
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_loop(campaign, loop_config(**changes), mia)
    assert not Run.objects.exists()
    assert not LoopGroup.objects.exists()


def test_the_next_loop_can_begin_with_the_config_of_this_one(mia: Any) -> None:
    played = start_loop(make_campaign(user=mia), loop_config(), mia)
    config = first_config()
    assert config["alignments"]["GAPO"]["method"] == "gapo"
    assert config["prompts_eval"]["split"] == "test"
    again = start_loop(played.campaign, config, mia)
    assert [run.config for run in again.runs.filter(kind="reward_model")] == [
        run.config for run in played.runs.filter(kind="reward_model")
    ]
    assert config_of(again)["generation_pairs"] == config["generation_pairs"]


def test_a_loop_may_map_rewards_by_clips_of_validation_prompts(mia: Any) -> None:
    split = {"train": 0.5, "validation": 0.3, "test": 0.2}
    config = loop_config(snapshot={"split": split}, prompts_map={"limit": 1}, truth_eval=None)
    group = start_loop(make_campaign(user=mia), config, mia)
    play_all(group)
    pairing = group.runs.get(kind="pairing")
    assert pairing.summary["reward_map"]["fitted_on"] == "validation"
    assert pairing.summary["reward_map"]["clips"] == 2
    again = config_of(group)
    assert again["prompts_map"] == {"suite": "", "split": "validation", "limit": 1}
    assert again["prompts_eval"]["split"] == "test"


def test_a_report_reaches_down_to_the_votes(
    played: LoopGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    report = read_report(newest())
    assert json.loads(path_of(newest()).read_text())["schema"] == "report/1"
    assert report["lineage"][0]["kind"] == "snapshot"
    assert report["snapshots"][0]["campaign"] == played.campaign_id
    assert report["snapshots"][0]["counts"]["pairs"] == 10
    known = {out["artifact"] for row in report["lineage"] for out in row["outputs"]}
    used = {
        link["artifact"]
        for row in report["lineage"]
        for link in row["inputs"]
        if "artifact" in link
    }
    assert used <= known
    # The judge that trained the candidate is named as such.
    flags = {
        judge["judge"]: judge["was_training_reward"]
        for evaluation in report["evaluations"]
        for judge in evaluation["judges"]
    }
    assert flags == {"reward": True, "truth": False}
    # The same figures on the terminal, dimensions in the order of their set.
    call_command("demo_report")
    text = capsys.readouterr().out
    assert "Take Flow-DPO" in text
    assert "first loss 0.6931472" in text
    order = [text.index(f"  truth      {key}") for key in ("overall", "VQ", "MQ", "TA")]
    assert order == sorted(order)


def test_every_output_of_the_loop_stands_on_the_snapshot(
    played: LoopGroup, django_assert_max_num_queries: Any
) -> None:
    # Queries grow with the depth of the lineage, not with its runs.
    with django_assert_max_num_queries(12):
        steps = lineage([played.runs.get(kind="report").pk])
    assert len(steps) == played.runs.count()
    snapshot = played.runs.get(kind="snapshot").artifacts.get()
    for run in played.runs.filter(kind__in=("alignment", "evaluation", "report")):
        assert snapshot.pk in stands_on(run.artifacts.get())


def test_an_independent_reward_model_is_no_training_reward(mia: Any) -> None:
    config = loop_config(judge={"seed": 7}, alignments={"Flow-DPO": {}}, truth_eval=None)
    group = start_loop(make_campaign(user=mia), config, mia)
    play_all(group)
    (evaluation,) = read_report(newest())["evaluations"]
    flags = {judge["judge"]: judge["was_training_reward"] for judge in evaluation["judges"]}
    assert flags == {"reward": True, "judge": False}


def test_generated_clips_become_videos_and_pairs_find_them_there(
    played: LoopGroup, settings: Any
) -> None:
    from annotation.models import Video

    run = played.runs.filter(kind="generation").last()
    videos = Video.objects.filter(meta__run=run.pk).select_related("generator")
    assert videos.count() == run.summary["clips"]
    assert {video.generator.name for video in videos} == {run.config["generator"]}

    records = PairRecord.read(path_of(played.runs.get(kind="pairing").artifacts.get()))
    assert records
    for record in records:
        assert (Path(settings.MEDIA_ROOT) / record.chosen.path).is_file()
        assert record.split == "train"


# The ceiling.


def _pair(label: str, a: str = "a", b: str = "b") -> PreferenceRecord:
    clips = [VideoRef(x, f"{x}.mp4", x, 8.0, 9) for x in (a, b)]
    return PreferenceRecord("id", "p", "test", *clips, {"VQ": Label(label)})


def test_the_ceiling_is_the_accuracy_of_the_truth() -> None:
    # a is truly better: right on A, wrong on B; ties and unknown clips say nothing.
    quality = {"a": {"VQ": 2.0}, "b": {"VQ": 1.0}}
    rows = [_pair("A"), _pair("A"), _pair("A"), _pair("B"), _pair("tie"), _pair("A", "x", "y")]
    found = ceilings(rows, quality, ["VQ", "MQ"])
    assert found["VQ"].to_json() == {"accuracy": 0.75, "pairs": 4}
    assert "MQ" not in found
    # 0.2 of 0.25 above chance
    assert share_above_chance(0.7, 0.75) == pytest.approx(0.8)
    assert share_above_chance(0.7, 0.5) is None


def test_the_report_knows_the_share_of_the_ceiling_from_the_recipes(
    mia: Any, settings: Any, tmp_path: Path
) -> None:
    from annotation.models import Consensus

    settings.VAR = tmp_path
    campaign = make_campaign(user=mia)
    triplets = campaign.triplets.select_related("video_a", "video_b")
    rows = [
        {"sha256": video.sha256, "quality": dict.fromkeys(("VQ", "MQ", "TA"), quality)}
        for triplet in triplets
        for video, quality in ((triplet.video_a, 1.0), (triplet.video_b, 0.0))
    ]
    write_jsonl(tmp_path / "recipes.jsonl", "recipes/1", rows)
    Consensus.objects.filter(triplet__campaign=campaign, label="B").update(label="A")
    config = loop_config(report={"recipes": "recipes.jsonl"}, alignments={"Flow-DPO": {}})
    play_all(start_loop(campaign, config, mia))
    (model,) = read_report(newest())["reward_models"]
    assert model["dimensions"]["VQ"]["ceiling"]["accuracy"] == 1.0
    # 0.38 of 0.5 above chance
    assert model["dimensions"]["VQ"]["share_of_ceiling"] == pytest.approx(0.76)


def test_a_report_opens_no_file_outside_its_folder(mia: Any) -> None:
    with pytest.raises(InvalidRunConfig, match="recipes must lie below"):
        start_loop(make_campaign(pairs=6), loop_config(report={"recipes": "/etc/passwd"}), mia)


# The rules.


def _judge(name: str, low: float, high: float, **standing: bool) -> dict[str, Any]:
    rate = {"rate": (low + high) / 2, "low": low, "high": high, "prompts": 50}
    told = {"was_training_reward": False, "shares_votes": False, **standing}
    return {"judge": name, **told, "dimensions": {"overall": rate}}


def _evaluation(*judges: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidate": "x", "judges": list(judges), "run": 1, **more}


def test_the_truth_is_asked_before_any_reward_model() -> None:
    judges = [
        _judge("reward", 0.9, 1, was_training_reward=True),
        _judge("twin", 0.5, 1, shares_votes=True),
        _judge("z", 0.5, 1),
        _judge("truth", 0, 1),
    ]
    order = ["truth", "z", "twin"]
    for place, name in enumerate(order):
        known = [each for each in judges if each["judge"] not in order[:place]]
        decides = evidence_of(Candidate("x", _evaluation(*known))).decides
        assert decides is not None
        assert decides.judge == name


def test_a_candidate_is_told_with_its_rule_and_with_what_is_not_known() -> None:
    reward = _judge("reward", 0.8, 0.9, was_training_reward=True)
    (line,) = concluded([_evaluation(reward, not_measured={"motion": "No."})], {})["candidates"]
    assert (line["verdict"], line["was_training_reward"]) == ("too few votes", True)
    assert line["rule"].startswith("Too few votes:")
    assert line["more"] == 97
    trained, alone, motion = line["said"]
    assert trained.startswith("x was trained on the judge reward: its rise there says that the")
    assert alone.startswith("No independent judge was asked")
    assert motion == "No figure of motion: No."


def test_a_loss_in_one_dimension_is_named() -> None:
    truth = _judge("truth", 0.7, 0.8)
    truth["dimensions"]["MQ"] = {"rate": 0.3, "low": 0.2, "high": 0.4, "prompts": 50}
    found = concluded([_evaluation(truth)], {})
    assert found["candidates"][0]["lost"] == ["MQ"]
    assert found["recommendation"].endswith("It lost on MQ.")


def test_the_time_of_a_loop_goes_from_its_first_step_to_its_report(played: LoopGroup) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    played.runs.update(started_at=start, finished_at=start + timedelta(seconds=60))
    report = newest()
    Run.objects.filter(pk=report.run_id).update(finished_at=start + timedelta(seconds=600))
    times = loop_times(newest())
    assert (times["loop_seconds"], times["shared_seconds"]) == (600.0, 0.0)
    assert times["attempts"] == times["steps"] == played.runs.count()
