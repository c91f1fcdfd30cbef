"""A request for clips in chunks is a run for each and one that gathers, whoever asks for it."""

from typing import Any

import pytest

from formats.records import PromptRecord
from pipelines import chunking, launching, lifecycle
from pipelines.comparisons.figures import _consumers, _evaluations_of
from pipelines.errors import InvalidRunConfig
from pipelines.loops.chain import start_loop
from pipelines.loops.configs import config_of
from pipelines.models import BaseModel, Run, RunState
from pipelines.starting import cancel_run, start_run
from tests.pipelines import loop_world

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
PROMPTS = [PromptRecord(f"p{n}", f"a red circle {n}") for n in range(3)]


def asked(user: Any, **config: Any) -> Run:
    row, _ = BaseModel.objects.get_or_create(name="g", role="generator", source="/models/g")
    return start_run(
        "generation", {"chunks": 3, "seed": 5, "clips_per_prompt": 2, **config},
        {"generator": row}, user=user, name="Clips", files={"prompts": PROMPTS},
        needs={"zone": "a"},
    )  # fmt: skip


def test_each_chunk_gets_the_prompts_and_the_needs_and_the_whole_what_it_must_hold(
    mia: Any,
) -> None:
    whole = asked(mia)
    assert (whole.kind, whole.queue, whole.needs) == ("generations_gathered", "io", {})
    assert whole.config == {"chunks": 3, "seed": 5, "clips_per_prompt": 2}
    chunks = chunking.chunks_of(whole)
    assert [(each.config["chunk"], each.queue, each.needs) for each in chunks] == [
        (number, "gpu", {"zone": "a"}) for number in range(3)
    ]
    for run in (whole, *chunks):
        assert PromptRecord.read(launching.run_dir(run).root / "given/prompts.jsonl") == PROMPTS
    assert set(lifecycle.claimable(["gpu", "io"])) == set(chunks)
    cancel_run(whole, mia)
    assert {run.state for run in Run.objects.all()} == {RunState.CANCELLED}


def test_chunks_that_cannot_be_are_refused_and_nothing_is_written(mia: Any) -> None:
    with pytest.raises(InvalidRunConfig, match="chunks must be at most 256, got 300"):
        asked(mia, chunks=300)
    assert not Run.objects.exists()


def test_a_loop_scores_the_gathered_clips_and_is_read_back_as_it_was_asked_for(mia: Any) -> None:
    campaign = loop_world.make_campaign(user=mia)
    several = {
        "generation_pairs": {"clips_per_prompt": 2, "chunks": 3},
        "generation_eval": {"chunks": 2},
        "scoring_pairs": {"chunks": 2},
        "scoring_eval": {"chunks": 2},
    }
    group = start_loop(campaign, loop_world.loop_config(**several), mia)
    scoring = group.runs.filter(kind="scoring").order_by("pk").first()
    assert scoring is not None
    clips = scoring.inputs.get(role="generations").producer
    assert clips is not None
    assert (clips.kind, len(chunking.chunks_of(clips))) == ("generations_gathered", 3)
    config = config_of(group)
    for name, values in several.items():
        assert config[name]["chunks"] == values["chunks"]
        assert config[name]["chunk"] is None
    again = start_loop(campaign, {**config, "name": "Again"}, mia)
    kinds = [sorted(each.runs.values_list("kind", flat=True)) for each in (group, again)]
    assert kinds[0] == kinds[1]


def test_an_alignment_is_judged_by_clips_that_were_made_in_chunks(mia: Any) -> None:
    campaign = loop_world.make_campaign(user=mia)
    config = loop_world.loop_config(generation_eval={"chunks": 2})
    group = start_loop(campaign, config, mia)
    alignments = list(group.runs.filter(kind="alignment"))
    made = _consumers({run.pk for run in alignments}, "adapter", "generation")
    assert len(made) == 2 * len(alignments)
    _succeed(group)
    found = _evaluations_of(alignments)
    assert {pk: len(runs) for pk, runs in found.items()} == {run.pk: 1 for run in alignments}


def _succeed(group: Any) -> None:
    """As far as states go: nobody has worked."""
    for run in group.runs.filter(kind="evaluation"):
        claimed = Run.objects.get(pk=run.pk)
        for state in (RunState.STARTING, RunState.RUNNING, RunState.COMMITTING):
            lease = {"lease_until": lifecycle.from_now(60)}
            assert lifecycle.move(claimed, state, **lease)
        assert lifecycle.move(claimed, RunState.SUCCEEDED)
