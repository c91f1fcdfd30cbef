"""A generation set is scored in chunks by whatever workers there are, each (video, prompt) once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from formats.checkpoints import commit_folder
from formats.chunks import chunk_of
from formats.errors import FormatError
from formats.outcome import Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from formats.run_dir import RunDir
from formats.supervised import Supervised
from models_rm.scores.gathering import gather
from pipelines import chunking, lifecycle, throughput
from pipelines.errors import InvalidRunConfig
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, Metric, Run, RunState
from pipelines.run_cards import cards
from pipelines.starting import cancel_run, retry_run, start_run
from tests.pipelines import loop_world

CLIPS = 23


@pytest.fixture
def inputs(db: None, settings: Any) -> dict[str, Any]:
    """A reward model, and a generation set in which every third clip comes under two prompts."""
    model = _made("reward_model", settings)
    sha256 = commit_folder(_place(model, settings) / "m", lambda f: loop_world._touch(f / "x", 1))
    judge = Artifact.objects.create(
        kind="reward_model", run=model, path=f"{model.pk}/m", sha256=sha256
    )
    clips = _made("generation", settings)
    records = [
        GenerationRecord(f"p{number % 7}", f"prompt {number % 7}", "train", _ref(number // 3))
        for number in range(CLIPS)
    ]
    sha256 = GenerationRecord.write(_place(clips, settings) / "g.jsonl", records)
    generations = Artifact.objects.create(
        kind="generations", run=clips, path=f"{clips.pk}/g.jsonl", sha256=sha256
    )
    return {"reward_model": judge, "generations": generations}


def _made(kind: str, settings: Any) -> Run:
    return Run.objects.create(kind=kind, config={}, config_sha="", state=RunState.SUCCEEDED)


def _place(run: Run, settings: Any) -> Path:
    return Path(settings.RUNS_ROOT) / str(run.pk)


def _ref(number: int) -> VideoRef:
    return VideoRef(f"clip{number}", f"clip{number}.mp4", f"{number:064}", 8.0, 9)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], Run]:
    """Do the work of a run: chunks make up their scores, the gathering is the real one."""

    def score_chunk(run: Run, folder: RunDir) -> Outcome:
        chunk, chunks = run.config["chunk"], run.config["chunks"]
        rows = [
            ScoreRecord(row.video.id, row.prompt_id, row.prompt, {"VQ": 1.0}, {"VQ": 1.0})
            for row in GenerationRecord.read(folder.input("generations"))
            if chunk_of(row.video.id, row.prompt, chunks) == chunk
        ]
        sha256 = ScoreRecord.write(folder.outputs / "scores.jsonl", rows)
        judge = run.inputs.get(role="reward_model").artifact
        assert judge is not None
        output = Output(
            OutputKind.SCORES, "outputs/scores.jsonl", sha256, {"reward_model": judge.sha256}
        )
        return Outcome(0, outputs=(output,))

    monkeypatch.setitem(loop_world.PRETEND, "scoring", score_chunk)
    monkeypatch.setitem(
        loop_world.PRETEND, "scores_gathered", lambda _run, folder: gather(Supervised(folder))
    )
    return loop_world.play


def test_a_request_for_chunks_is_a_run_for_each_and_one_that_gathers(
    inputs: dict[str, Any], mia: Any
) -> None:
    whole = start_run("scoring", {"chunks": 4}, inputs, user=mia, name="All")
    assert whole.kind == "scores_gathered"
    chunks = chunking.chunks_of(whole)
    assert [chunk.config["chunk"] for chunk in chunks] == [0, 1, 2, 3]
    assert {chunk.kind for chunk in chunks} == {"scoring"}
    assert chunks[1].name == "All: chunk 2 of 4"
    assert all(chunking.gathering_of(chunk) == whole for chunk in chunks)
    # Any worker takes any chunk; the gathering waits for all of them.
    assert set(lifecycle.claimable(["gpu", "default"])) == set(chunks)


@pytest.mark.parametrize("config", [{}, {"chunks": 1}, {"chunks": 3, "chunk": 2}])
def test_no_chunks_or_a_single_one_is_one_run(inputs: dict[str, Any], config: Any) -> None:
    run = start_run("scoring", config, inputs, user=None)
    assert (run.kind, Run.objects.filter(kind="scoring").count()) == ("scoring", 1)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"chunks": 0}, "chunks must be a whole number, at least 1; got 0"),
        ({"chunks": 257}, "chunks must be at most 256"),
        ({"chunks": 2, "chunk": 2}, "chunk must be below chunks"),
    ],
)
def test_chunks_that_cannot_be_are_refused_and_nothing_is_written(
    inputs: dict[str, Any], config: Any, sentence: str
) -> None:
    before = Run.objects.count()
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("scoring", config, inputs, user=None)
    assert Run.objects.count() == before


def test_a_double_click_starts_the_chunks_once(inputs: dict[str, Any], mia: Any) -> None:
    first = start_run("scoring", {"chunks": 3}, inputs, user=mia, nonce="once")
    again = start_run("scoring", {"chunks": 3}, inputs, user=mia, nonce="once")
    assert first == again
    assert Run.objects.filter(kind="scoring").count() == 3


def test_the_gathered_scores_are_the_set_each_clip_and_prompt_once_in_its_order(
    inputs: dict[str, Any], played: Callable[[Run], Run], settings: Any
) -> None:
    whole = start_run("scoring", {"chunks": 4}, inputs, user=None)
    for chunk in reversed(chunking.chunks_of(whole)):
        played(chunk)
    whole = played(whole)
    artifact = whole.artifacts.get(kind="scores")
    rows = ScoreRecord.read(Path(settings.RUNS_ROOT) / artifact.path)
    set_ = GenerationRecord.read(Path(settings.RUNS_ROOT) / inputs["generations"].path)
    wanted = list(dict.fromkeys((each.video.id, each.prompt) for each in set_))
    assert [(row.video_id, row.prompt) for row in rows] == wanted
    assert whole.summary["scored"] == len(wanted) == CLIPS
    assert artifact.meta["reward_model"] == inputs["reward_model"].sha256


def test_scores_of_another_judge_are_no_part_of_the_set(
    inputs: dict[str, Any], played: Callable[[Run], Run]
) -> None:
    whole = start_run("scoring", {"chunks": 2}, inputs, user=None)
    for chunk in chunking.chunks_of(whole):
        played(chunk)
    Artifact.objects.filter(kind="scores").update(meta={"reward_model": "another"})
    for row in whole.inputs.filter(producer__isnull=False):
        assert row.producer is not None
        row.artifact = row.producer.artifacts.first()
        row.save()
    with pytest.raises(FormatError, match="are not those of reward model"):
        chunking.refuse_other_judges(whole, Outcome(0))


def test_with_the_gathering_its_chunks_are_cancelled(inputs: dict[str, Any], mia: Any) -> None:
    whole = start_run("scoring", {"chunks": 3}, inputs, user=mia)
    cancel_run(whole, mia)
    assert [run.state for run in [whole, *chunking.chunks_of(whole)]] == ["cancelled"] * 4


def test_a_failed_chunk_fails_the_gathering_and_both_are_tried_again_together(
    inputs: dict[str, Any], mia: Any
) -> None:
    whole = start_run("scoring", {"chunks": 2}, inputs, user=mia)
    broken = chunking.chunks_of(whole)[1]
    lifecycle.move(broken, RunState.FAILED, reason="bad_data")
    lifecycle.fail_without_inputs()
    whole.refresh_from_db()
    assert (whole.state, whole.reason) == ("failed", "input_failed")
    retry_run(whole, mia)
    states = {run.state for run in Run.objects.filter(pk__in=[whole.pk, broken.pk])}
    assert states == {"queued"}


def test_a_loop_pairs_by_the_gathered_scores(mia: Any) -> None:
    campaign = loop_world.make_campaign(user=mia)
    config = loop_world.loop_config(scoring_pairs={"chunks": 3})
    group = start_loop(campaign, config, mia)
    pairing = group.runs.get(kind="pairing")
    scores = pairing.inputs.get(role="scores").producer
    assert scores is not None
    assert scores.kind == "scores_gathered"
    assert [chunk.group for chunk in chunking.chunks_of(scores)] == [group] * 3


# Throughput.


def _at_work(run: Run, step: int, total: int, *rates: float) -> None:
    """As its worker would leave it after some batches."""
    claimed = lifecycle.claim([run.queue], "this test", run_id=run.pk)
    assert claimed is not None
    assert lifecycle.move(claimed, RunState.RUNNING)
    assert lifecycle.note_progress(claimed, step=step, total=total, stage="scoring")
    for at, rate in enumerate(rates):
        Metric.objects.create(run=run, name=throughput.RATE, step=at, value=rate, fence=1)


def test_the_whole_shows_what_its_chunks_do(inputs: dict[str, Any], mia: Any) -> None:
    whole = start_run("scoring", {"chunks": 4}, inputs, user=mia)
    first, second, third, _ = chunking.chunks_of(whole)
    _at_work(first, 50, 100, 9.0, 2.0)
    _at_work(second, 30, 100, 3.0)
    assert not lifecycle.note_progress(third, step=1, total=1, stage="")  # nobody owns it
    card, *chunks = cards([whole, *chunking.chunks_of(whole)], mia)
    # 80 of about 400 at 2 + 3 clips a second; chunks that have not begun count as the others.
    assert (card.step, card.total, card.rate, card.left) == (80, 400, "5 clips/s", "1 min 4 s")
    assert [(each.rate, each.left) for each in chunks] == [
        ("2 clips/s", "25 s"),
        ("3 clips/s", "23 s"),
        ("", ""),
        ("", ""),
    ]


def test_the_pages_show_chunks_and_lead_to_the_whole(
    inputs: dict[str, Any], mia: Any, client: Any
) -> None:
    client.force_login(mia)
    whole = start_run("scoring", {"chunks": 2}, inputs, user=mia, name="Big set")
    chunk = chunking.chunks_of(whole)[0]
    _at_work(chunk, 5, 10, 2.5)
    page = client.get(reverse("pipelines:run", args=[whole.pk])).content.decode()
    assert "Big set: chunk 1 of 2" in page
    assert "2.5 clips/s" in page
    live = client.get(reverse("pipelines:run-live", args=[whole.pk])).json()
    assert [each["rate"] for each in live["chunks"]] == ["2.5 clips/s", ""]
    assert live["run"]["left"] == "6 s"
    page = client.get(reverse("pipelines:run", args=[chunk.pk])).content.decode()
    assert f"Big set (run {whole.pk})" in page
    assert "One chunk of" in page


def test_rates_cost_the_same_number_of_queries_for_many_runs(
    inputs: dict[str, Any], mia: Any, django_assert_num_queries: Any
) -> None:
    wholes = [start_run("scoring", {"chunks": count}, inputs, user=mia) for count in (2, 5, 9)]
    for whole in wholes:
        _at_work(chunking.chunks_of(whole)[0], 1, 2, 1.0)
    runs = list(Run.objects.all())
    with django_assert_num_queries(2):
        throughput.throughputs(runs)


def test_rest_starts_the_chunks(inputs: dict[str, Any], mia: Any, client: Any) -> None:
    client.force_login(mia)
    body = {
        "kind": "scoring",
        "config": {"chunks": 2},
        "inputs": {role: {"artifact": row.pk} for role, row in inputs.items()},
    }
    answer = client.post(reverse("pipelines:api-runs"), body, content_type="application/json")
    assert (answer.status_code, answer.json()["kind"]) == (201, "scores_gathered"), answer.json()
