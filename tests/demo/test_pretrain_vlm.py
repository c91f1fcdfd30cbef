"""The pretraining of the tiny base: what its lessons ask, what it leaves, that it resumes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoTokenizer

from demo.curricula import CURRICULA
from demo.lessons import IGNORE, ClipPool, Lessons
from demo.muon import Muon, orthogonal
from demo.pretrain_vlm import PretrainVlmConfig, School, demo_tokenizer, pretrain
from demo.recipes import Defects, Facts, Recipe, defect_grades, parse
from demo.world import training_clips
from formats.outcome import ExitCode, OutputKind
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, supervise

CONFIG = {
    "base": "vlm", "steps": 3, "clips_per_step": 3, "pool": 8, "through_vae": 0.25, "log_every": 1,
    "save_every": 10, "threads": 1, "exam_clips": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return demo_tokenizer()


@pytest.fixture(scope="module")
def lessons(tokenizer: Any) -> Lessons:
    clips = list(training_clips(12, 5, described=True))
    return Lessons(tokenizer, ClipPool.drawn(clips, 12, CURRICULA["vlm"]), CURRICULA["vlm"])


def prepared(folder: Path, **config: Any) -> RunDir:
    run = RunDir(folder)
    run.prepare({**CONFIG, **config}, {})
    return run


def test_a_run_leaves_a_base_that_the_library_loads(tmp_path: Path) -> None:
    run = prepared(tmp_path / "run")
    assert supervise(pretrain, run) == 0
    outcome = run.outcome()
    output = outcome.outputs[0]
    assert (output.kind, output.meta["role"]) == (OutputKind.BASE_MODEL, "vlm")
    assert 1_000_000 < output.meta["parameters"] < 1_500_000
    assert {"exam_caption", "exam_matching_right"} <= set(outcome.summary)
    model = AutoModelForImageTextToText.from_pretrained(run.root / output.path)
    assert model.config.model_type == "qwen2_vl"
    tokenizer = AutoTokenizer.from_pretrained(run.root / output.path)
    assert tokenizer.decode(tokenizer("a red circle 😀")["input_ids"]) == "a red circle 😀"
    steps = [line.step for line in run.metrics_from(0)[0] if "loss/caption" in line.values]
    assert steps == [1, 2, 3]


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stopped = prepared(tmp_path / "whole"), prepared(tmp_path / "stopped")
    assert supervise(pretrain, whole) == 0
    step_of = School.step

    def asked_to_stop(school: School, step: int) -> dict[str, float]:
        if step == 1:
            stopped.write_want("pause")
        return step_of(school, step)

    with monkeypatch.context() as patch:
        patch.setattr(School, "step", asked_to_stop)
        patch.setattr("formats.supervised.time.monotonic", iter(range(10**6)).__next__)
        assert supervise(pretrain, stopped) == ExitCode.RUN_ME_AGAIN
    stopped.want_file.unlink()
    assert supervise(pretrain, stopped) == 0
    name = "outputs/vlm/model.safetensors"
    a, b = load_file(whole.root / name), load_file(stopped.root / name)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_lesson_asks_for_the_caption_then_for_look_motion_and_fit(
    tokenizer: Any, lessons: Lessons
) -> None:
    lesson = lessons.lesson(np.random.default_rng(0), 4)
    assert lesson.input_ids.shape[0] == 8
    said = [tokenizer.decode(row[row != IGNORE]) for row in lesson.targets]
    assert all(parse(text) for text in said[:4])
    assert {text.rpartition(" ")[2] for text in said[4:]} <= {"yes", "no"}
    # What is to be said at a place is what stands at the next one.
    for ids, targets in zip(lesson.input_ids, lesson.targets, strict=True):
        places = (targets != IGNORE).nonzero()[:, 0]
        assert torch.equal(ids[places + 1], targets[places])


def test_defects_are_graded_where_look_and_motion_are_asked_for(
    tokenizer: Any, lessons: Lessons
) -> None:
    lesson = lessons.lesson(np.random.default_rng(0), 4)
    for ids, places in zip(lesson.input_ids[4:], lesson.asks.T, strict=True):
        before = [tokenizer.decode(ids[: place + 1]) for place in places]
        assert before[0].endswith("\nVisual quality:")
        assert before[1].endswith("\nMotion quality:")
    assert lesson.grades.shape == (4, 8)
    assert set((lesson.grades * 3).round().unique().tolist()) <= {0, 1, 2, 3}


def test_a_grade_is_a_third_per_step_of_strength() -> None:
    facts = Facts("red", "circle", "one", "dark", "left")
    recipe = Recipe(facts, facts, Defects(blur=0.25, noise=0.55, jitter=1.0))
    grades = np.mean([defect_grades(recipe, np.random.default_rng(i)) for i in range(200)], axis=0)
    # The bounds are 0.1, 0.4 and 0.7; what is not there is never seen.
    expected = [1 / 3, 2 / 3, 0, 0, 1, 0, 0, 0]
    assert np.abs(grades - expected).max() < 0.03


def test_yes_is_said_exactly_where_the_text_fits(tokenizer: Any, lessons: Lessons) -> None:
    pool = lessons._pool
    rng = np.random.default_rng(1)
    answers = set()
    for _ in range(30):
        index = int(rng.integers(len(pool.recipes)))
        ids, _ = lessons._questions((), pool.recipes[index], rng)
        text = tokenizer.decode(ids)
        fits = parse(text) == pool.recipes[index].shown
        assert text.endswith(" yes" if fits else " no")
        answers.add(fits)
    assert answers == {True, False}


def test_held_out_prompts_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[frozenset[str]] = []

    def watched(*args: Any, exclude: frozenset[str] = frozenset(), **kwargs: Any) -> Any:
        seen.append(exclude)
        return training_clips(*args, exclude=exclude, **kwargs)

    prompt = "a red circle moving left on a dark background"
    tokenizer = demo_tokenizer()
    first = replace(CURRICULA["vlm"], clips=watched)
    monkeypatch.setattr("demo.pretrain_vlm.CURRICULA", {"vlm": first})
    monkeypatch.setattr("demo.pretrain_vlm.demo_tokenizer", lambda _base: tokenizer)
    assert supervise(pretrain, prepared(tmp_path / "run", steps=1, held_out=[prompt])) == 0
    assert set(seen) == {frozenset([prompt])}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 3}, "unknown key 'stpes'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"through_vae": 2}, r"through_vae must lie in 0\.\.1, got 2"),
    ],
)
def test_a_bad_config_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfigError, match=message):
        PretrainVlmConfig.from_json({**CONFIG, **values})


def test_muon_steps_are_nearly_orthogonal_for_wide_and_tall() -> None:
    torch.manual_seed(0)
    directions = orthogonal(torch.randn(3, 8, 24))
    values = torch.linalg.svdvals(directions)
    assert (values > 0.6).all()
    assert (values < 1.3).all()
    tall = torch.randn(1, 24, 8)
    assert torch.allclose(orthogonal(tall), orthogonal(tall.transpose(1, 2)).transpose(1, 2))


def test_muon_finds_the_minimum_of_a_bowl() -> None:
    torch.manual_seed(0)
    goal = torch.randn(4, 6)
    weight = torch.nn.Parameter(torch.zeros(4, 6))
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for _ in range(300):
        loss = ((weight - goal) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
