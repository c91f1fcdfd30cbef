"""The evaluation of a suite: which runs one start writes, what it refuses, what comes out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from formats.files import read_json
from formats.outcome import Outcome, Output, OutputKind
from formats.records import GenerationRecord, PairRecord, VideoRef
from formats.run_dir import RunDir
from pipelines.contests import Source
from pipelines.errors import InvalidRunConfig
from pipelines.evaluation import EVALUATION
from pipelines.loops import demo_site
from pipelines.models import Artifact, BaseModel, GroupKind, LoopGroup, Run, RunInput, Suite
from pipelines.registry import path_of
from pipelines.splitting import Split
from pipelines.starting import start_run
from pipelines.step_configs import StepConfigError
from pipelines.suites.evaluating import start_suite_evaluation
from pipelines.suites.scoring import Judge, checked_way
from pipelines.suites.shelf import import_suite, set_scoring, suite_prompts
from tests.pipelines.loop_world import (
    PRETEND,
    base_models,
    make_campaign,
    play,
    play_all,
    remembered,
)

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with remembered():
        yield


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "few.csv"
    path.write_text("prompt,category,split\n" + "".join(
        f"prompt {n},{'people' if n % 2 else 'things'},{'train' if n == 5 else 'test'}\n"
        for n in range(6)
    ))  # fmt: skip
    return import_suite(path, "few").suite


def _left(kind: str, leave: Any = None, **inputs: Source) -> Artifact:
    """An artifact of a run that was played before."""
    run = Run(kind=kind, name=f"A {kind}", config={}, config_sha="x")
    run.save()
    for role, source in inputs.items():
        name = "base_model" if isinstance(source, BaseModel) else "artifact"
        RunInput(run=run, role=role, **{name: source}).save()
    artifact: Artifact = play(run, leave or PRETEND[kind]).artifacts.get()
    return artifact


def _pairs(*prompts: str) -> Artifact:
    def leave(_run: Run, folder: RunDir) -> Outcome:
        clip = VideoRef("v", "v.mp4", "0" * 64, 8.0, 4)
        rows = [
            PairRecord(f"p{n}", "p", text, "train", clip, clip, 1.0, 0.9, 0.1, "rewards")
            for n, text in enumerate(prompts)
        ]
        sha = PairRecord.write(folder.outputs / "pairs.jsonl", rows)
        return Outcome(0, outputs=(Output(OutputKind.PAIRS, "outputs/pairs.jsonl", sha),))

    return _left("pretrain", leave)


def _adapter(pairs: Artifact) -> Artifact:
    base_models()
    generator = BaseModel.objects.get(role="generator")
    return _left("alignment", pairs=pairs, generator=generator)


@pytest.fixture
def judge() -> Artifact:
    base_models()
    return _left("pretrain", PRETEND["reward_model"])


def _started(suite: Suite, mia: Any, inputs: dict[str, Source], **config: Any) -> LoopGroup:
    values = {"suite": suite.name, **config}
    return start_suite_evaluation(values, inputs, mia)


def _kinds(group: LoopGroup) -> list[str]:
    return [run.kind for run in group.runs.order_by("pk")]


def test_adapters_against_their_base_are_one_chain_that_ends_in_a_report(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    adapters: dict[str, Source] = {
        f"candidate:{name}": _adapter(_pairs("elsewhere")) for name in ("Flow-DPO", "GAPO")
    }
    set_scoring(
        suite, checked_way({"generation": {"clips_per_prompt": 2}}, []), [Judge("reward", judge)]
    )
    group = _started(suite, mia, adapters)
    assert group.kind == GroupKind.EVALUATION
    assert _kinds(group) == [
        "generation", "generation", "generation", "scoring", "scoring", "scoring",
        "evaluation", "evaluation", "report",
    ]  # fmt: skip
    play_all(group)
    evaluation = Artifact.objects.get(kind="evaluation", run__name="Flow-DPO against base")
    body = read_json(path_of(evaluation), EVALUATION)
    assert body["judges"][0]["dimensions"]["VQ"]["wins"] > 0
    assert body["footage"]["pairs"] == 12
    assert Artifact.objects.filter(run__group=group, kind="report").exists()


def test_the_same_seeds_are_given_to_every_side(suite: Suite, judge: Artifact, mia: Any) -> None:
    group = _started(
        suite, mia, {"candidate:a": _adapter(_pairs("x")), "judges:r": judge},
        generation={"seed": 9, "clips_per_prompt": 3},
    )  # fmt: skip
    made = [run.config for run in group.runs.filter(kind="generation").order_by("pk")]
    assert [config["seed"] for config in made] == [9, 9]
    assert made[0]["generator"] == "tiny-wan"
    assert made[1]["generator"] == f"tiny-wan + a (evaluation {group.pk})"


def test_two_generators_are_compared_without_any_adapter(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    base_models()
    other = BaseModel.objects.create(name="other-wan", role="generator", source="x/other")
    base = BaseModel.objects.get(name="tiny-wan")
    group = _started(suite, mia, {"base": base, "candidate:other": other, "judges:r": judge})
    used = RunInput.objects.filter(run__group=group, role="generator").order_by("pk")
    assert [row.base_model for row in used] == [base, other]


def test_clips_that_exist_stand_beside_clips_that_are_made(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    base = BaseModel.objects.get(name="tiny-wan")
    first = _started(suite, mia, {"base": base, "candidate:b": base, "judges:r": judge})
    play_all(first)
    # A generation that was made names its clips by its generator, so they can be asked for again.
    clips = Artifact.objects.filter(kind="generations").order_by("pk").first()
    assert clips is not None
    group = _started(
        suite, mia, {"base": clips, "judges:r": judge}, clips={"old": {"generator": "tiny-wan"}}
    )
    assert _kinds(group)[:2] == ["existing_clips", "existing_clips"]
    play_all(group)
    evaluation = Artifact.objects.get(run__group=group, kind="evaluation")
    rate = read_json(path_of(evaluation), EVALUATION)["judges"][0]["dimensions"]["VQ"]
    assert (rate["ties"], rate["rate"]) == (6, 0.5)


def test_a_folder_of_clips_is_imported_first(suite: Suite, judge: Artifact, mia: Any) -> None:
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "theirs"
    folder.mkdir(parents=True)
    (folder / "clips.csv").write_text("path,prompt\na.mp4,prompt 0\n")
    base = BaseModel.objects.get(name="tiny-wan")
    group = _started(
        suite, mia, {"base": base, "judges:r": judge},
        clips={"theirs": {"folder": "theirs", "manifest": "clips.csv"}},
    )  # fmt: skip
    assert _kinds(group)[:3] == ["generation", "ingest", "existing_clips"]


def test_an_alignment_that_still_runs_may_be_a_candidate(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    base = BaseModel.objects.get(name="tiny-wan")
    running = start_run(
        "alignment", {}, {"pairs": _pairs("x"), "generator": base}, user=mia, name="Flow-DPO"
    )
    group = _started(suite, mia, {"candidate:dpo": running, "judges:r": judge})
    assert RunInput.objects.get(run__group=group, role="adapter").producer == running


def test_scores_of_another_judge_are_compared_on_their_own_scale(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    incoming = Path(settings.MEDIA_ROOT) / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    for side, score in (("base", 40), ("new", 60)):
        rows = [f'{{"prompt": "prompt {n}", "score": {score + n}}}' for n in range(6)]
        (incoming / f"{side}.jsonl").write_text("\n".join(rows))
    base = BaseModel.objects.get(name="tiny-wan")
    scores = {
        "VideoScore": {
            "scale": {"score": [0, 100]},
            "files": {"base": "base.jsonl", "new": "new.jsonl"},
        }
    }
    group = _started(suite, mia, {"base": base, "candidate:new": base}, scores=scores)
    play_all(group)
    evaluation = Artifact.objects.get(run__group=group, kind="evaluation")
    found = read_json(path_of(evaluation), EVALUATION)["judges"][0]
    assert (found["judge"], found["dimensions"]["score"]["wins"]) == ("VideoScore", 6)
    # The same judge on another scale on one side: never compared.
    (incoming / "new.jsonl").write_text(
        "\n".join(f'{{"prompt": "prompt {n}", "score": 0.{n + 1}}}' for n in range(6))
    )
    again = _started(suite, mia, {"base": base, "candidate:new": base}, scores=scores)
    new = again.runs.get(name="Imported scores of new by VideoScore")
    Run.objects.filter(pk=new.pk).update(config={**new.config, "scale": {"score": [0, 1]}})
    with pytest.raises(
        StepConfigError,
        match="'VideoScore' scored base and candidate on two scales: score 0 to 100 and score 0 to"
        " 1; score both sides alike, two scales are never compared",
    ):
        play_all(again)


def test_prompts_that_a_candidate_was_trained_on_are_refused(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    inputs: dict[str, Source] = {
        "candidate:a": _adapter(_pairs("prompt 5", "x")), "judges:r": judge,
    }  # fmt: skip
    with pytest.raises(
        InvalidRunConfig, match="a was trained on 1 of the 6 prompts, such as 'prompt 5'; take"
    ):
        _started(suite, mia, inputs)
    assert not LoopGroup.objects.exists()
    assert _started(suite, mia, inputs, split="test").runs.count()
    assert _started(suite, mia, inputs, allow_trained_prompts=True).runs.count()


def test_clips_that_were_made_with_a_trained_adapter_are_held_to_its_prompts_too(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    def leave(_run: Run, folder: RunDir) -> Outcome:
        sha = GenerationRecord.write(folder.outputs / "generations.jsonl", [])
        return Outcome(
            0, outputs=(Output(OutputKind.GENERATIONS, "outputs/generations.jsonl", sha),)
        )

    clips = _left("generation", leave, adapter=_adapter(_pairs("prompt 5")))
    inputs: dict[str, Source] = {"base": clips, "candidate:a": clips, "judges:r": judge}
    with pytest.raises(InvalidRunConfig, match="base was trained on 1 of the 6 prompts"):
        _started(suite, mia, inputs)


def test_the_same_nonce_is_the_same_evaluation(suite: Suite, judge: Artifact, mia: Any) -> None:
    base = BaseModel.objects.get(name="tiny-wan")
    inputs: dict[str, Source] = {"base": base, "candidate:b": base, "judges:r": judge}
    config = {"suite": suite.name}
    first = start_suite_evaluation(config, inputs, mia, nonce="n")
    assert start_suite_evaluation(config, inputs, mia, nonce="n") == first
    assert LoopGroup.objects.count() == 1


def test_a_category_and_a_limit_choose_among_the_prompts(
    suite: Suite, judge: Artifact, mia: Any
) -> None:
    base = BaseModel.objects.get(name="tiny-wan")
    inputs: dict[str, Source] = {"base": base, "candidate:b": base, "judges:r": judge}
    group = _started(suite, mia, inputs, category="people", split="test", limit=1)
    row = RunInput.objects.filter(run__group=group, role="prompts").first()
    assert row is not None
    assert "prompt 1" in (Path(settings.RUNS_ROOT) / str(row.run_id) / row.file).read_text()


def test_the_command_is_the_same_door(
    suite: Suite, judge: Artifact, mia: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--input", "base=base:tiny-wan", "--input", "candidate:b=base:tiny-wan"]
    judged = ["--input", f"judges:r=artifact:{judge.pk}"]
    call_command("evaluate_suite", "few", *words, *judged, "--user", mia.username)
    assert "6 runs are queued" in capsys.readouterr().out
    with pytest.raises(CommandError, match="nobody judges: the suite has no judge"):
        call_command("evaluate_suite", "few", *words, "--user", mia.username)


@pytest.mark.parametrize(
    ("config", "given", "sentence"),
    [
        ({"suite": "nope"}, ("base", "candidate:b", "judges:r"), "there is no suite 'nope'"),
        ({}, ("base", "judges:r"), "an evaluation has 1 to 8 candidates, got 0"),
        ({}, ("base", "candidate:b"), "nobody judges: the suite has no judge"),
        ({}, ("candidate:base", "judges:r"), "other than 'base', got 'base'"),
        ({}, ("other", "candidate:b"), "an evaluation has no input 'other'; there are: base, cand"),
        ({}, ("base", "candidate:b", "judges:truth"), "and not 'truth'; got 'truth'"),
        ({}, ("base", "candidate:b", "backbone"), "the backbone is that of judges"),
        ({"category": "cats"}, ("base", "candidate:b"), "has no prompt of cats"),
        ({"clips": {"b": {}}}, ("base", "candidate:b"), "one of: generator, folder, archive"),
        ({"clips": {"b": {"generator": "x"}}}, ("base", "candidate:b"), "'b' is given twice"),
        ({"clips": {"b": {"folder": "x"}}}, ("base",), "manifest must be the table of a folder"),
        ({"speed": 3}, ("base", "candidate:b"), "evaluation: unknown key 'speed'"),
        ({"generation": {"sed": 3}}, ("base", "candidate:b", "judges:r"), "did you mean 'seed'"),
        (
            {
                "weights": {"VQ": 1},
                "scores": {"x": {"scale": {"q": [0, 1]}, "files": {"base": "f", "b": "f"}}},
            },
            ("base", "candidate:b"),
            "the judge x does not know the dimension 'VQ' of the weights; it knows q",
        ),
        (
            {"scores": {"x": {"scale": {"q": [0, 1]}, "files": {"base": "b.csv"}}}},
            ("base", "candidate:b"),
            "the judge x needs a file of scores for each of base, b; it has: base",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_before_a_row_is_written(
    suite: Suite, judge: Artifact, mia: Any, config: Any, given: Any, sentence: str
) -> None:
    base = BaseModel.objects.get(name="tiny-wan")
    inputs = {role: judge if role.startswith("judges") else base for role in given}
    before = Run.objects.count()
    with pytest.raises(InvalidRunConfig) as caught:
        start_suite_evaluation({"suite": suite.name, **config}, inputs, mia)
    assert sentence in str(caught.value)
    assert (LoopGroup.objects.count(), Run.objects.count()) == (0, before)


def test_a_demo_world_brings_its_held_out_prompts_as_a_suite(mia: Any) -> None:
    campaign = make_campaign(pairs=12)
    values = demo_site.preset("micro")
    suite = demo_site.fill_suite(campaign, values)
    texts = {each.text for each in suite_prompts(suite)}
    assert texts
    assert {Split().of(text) for text in texts} == {"test"}
    assert suite.scoring["truth"] == {}
    assert demo_site.fill_suite(campaign, values) == suite
    # The truth judges, so an evaluation needs nobody else.
    base_models()
    base = BaseModel.objects.get(name="tiny-wan")
    config = {"suite": suite.name}
    group = start_suite_evaluation(config, {"base": base, "candidate:b": base}, mia)
    assert _kinds(group)[2:4] == ["truth", "truth"]
