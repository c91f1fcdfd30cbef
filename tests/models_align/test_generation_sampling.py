"""Sampling: equal requests give equal clips, whatever batch, order or interruption."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import torch

from formats.files import sha256_of
from formats.outcome import ExitCode, OutputKind
from formats.records import GenerationRecord, PromptRecord
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.config import GenerationConfig
from models_align.denoising import Task, TextStates, clip_noise, denoise
from models_align.sampling import sample
from models_align.training import train
from models_align.video import read_clip


def records(run: RunDir) -> list[GenerationRecord]:
    return GenerationRecord.read(run.outputs / "generations" / "generations.jsonl")


def test_each_prompt_and_seed_becomes_a_clip_with_a_record(generation_run):
    run = generation_run("g", {"clips_per_prompt": 2, "seed": 5})
    outcome = sample(Supervised(run))
    (output,) = outcome.outputs
    assert output.kind is OutputKind.GENERATIONS
    assert sha256_of(run.root / output.path) == output.sha256
    found = records(run)
    assert [(each.prompt_id, each.video.seed) for each in found] == [
        (prompt, seed) for prompt in ("p0", "p1", "p2") for seed in (5, 6)
    ]
    for each in found:
        path = run.outputs / "generations" / each.video.path
        assert sha256_of(path) == each.video.sha256
        assert read_clip(path).shape == (9, 64, 64, 3)
        assert (each.video.fps, each.video.num_frames, each.video.generator) == (8.0, 9, "tiny")
        assert uuid.UUID(each.video.id).version == 5
    assert len({each.video.id for each in found}) == 6
    assert [line.step for line in run.metrics_from(0)[0]] == [2, 4, 6]


def test_the_same_request_gives_the_same_bytes_and_ids(generation_run):
    first, second = generation_run("a", {}), generation_run("b", {})
    for run in (first, second):
        sample(Supervised(run))
    assert records(first) == records(second)


def test_what_else_is_in_the_batch_changes_nothing(generation_run):
    """Six prompts or one: the clip of the first is the same file."""
    many, one = generation_run("many", {}, prompts=6), generation_run("one", {}, prompts=1)
    for run in (many, one):
        sample(Supervised(run))
    assert records(many)[0] == records(one)[0]


def test_an_interrupted_run_makes_only_what_is_missing(generation_run):
    run, whole = generation_run("g", {}), generation_run("whole", {})
    sample(Supervised(whole))
    sample(Supervised(run))
    folder = run.outputs / "generations"
    gone = folder / records(run)[1].video.path
    gone.unlink()
    gone.with_suffix(".json").unlink()
    (folder / "generations.jsonl").unlink()
    kept = (folder / records(whole)[0].video.path).stat().st_mtime_ns
    assert sample(Supervised(run)).summary["made_now"] == 1
    assert (folder / records(whole)[0].video.path).stat().st_mtime_ns == kept
    assert records(run) == records(whole)


def test_noise_depends_on_prompt_and_seed_alone():
    noise = clip_noise("a", 1, (2, 3))
    assert torch.equal(noise, clip_noise("a", 1, (2, 3)))
    assert not torch.equal(noise, clip_noise("a", 2, (2, 3)))
    assert not torch.equal(noise, clip_noise("b", 1, (2, 3)))
    assert clip_noise("a", 1, (100_000,)).std().item() == pytest.approx(1, abs=0.01)


def test_our_loop_is_that_of_the_pipeline(tiny_wan):
    config = GenerationConfig(
        steps=3, guidance_scale=3.0, height=64, width=64, num_frames=9, fps=8, batch=2
    )
    prompts = ["a red circle", "two blue bars"]
    tasks = [Task(PromptRecord(each, each), seed=0) for each in prompts]
    ours = denoise(tiny_wan, TextStates(tiny_wan, ""), tasks, config)
    shape = tiny_wan.latent_shape(9, 64, 64)
    tiny_wan.pipeline.set_progress_bar_config(disable=True)
    theirs = tiny_wan.pipeline(
        prompt=prompts,
        negative_prompt="",
        height=64,
        width=64,
        num_frames=9,
        num_inference_steps=3,
        guidance_scale=3.0,
        latents=torch.stack([clip_noise(each, 0, shape) for each in prompts]),
        output_type="np",
        max_sequence_length=tiny_wan.text_tokens,
    ).frames
    assert (ours.float() / 255 - torch.as_tensor(theirs)).abs().max() < 1.01 / 255


def test_base_and_aligned_version_share_noise_and_differ_in_clips(alignment_run, generation_run):
    aligned = alignment_run("train", {"lr": 5e-2})
    train(Supervised(aligned))
    folder = aligned.outputs / "adapter"
    adapter = Input(str(folder), sha256_of(folder / "manifest.json"))
    runs = {
        "base": generation_run("base", {}),
        "aligned": generation_run("aligned", {}, adapter=adapter),
        "silenced": generation_run("silenced", {"adapter_scale": 0.0}, adapter=adapter),
    }
    clips = {}
    for name, run in runs.items():
        sample(Supervised(run))
        clips[name] = [each.video.sha256 for each in records(run)]
    assert clips["base"] == clips["silenced"]
    assert clips["base"] != clips["aligned"]


def test_no_prompt_is_refused(generation_run):
    with pytest.raises(BadConfigError, match="there is no prompt to sample from"):
        sample(Supervised(generation_run("g", {}, prompts=0)))


def ends(run: RunDir) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "models_align", "sample", str(run.root)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_ends_with_an_outcome(generation_run):
    run = generation_run("g", {})
    assert ends(run).returncode == ExitCode.DONE
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.summary["clips"] == 3


def test_the_command_refuses_a_bad_config_with_one_sentence(generation_run):
    run = generation_run("g", {"stepz": 3})
    answer = ends(run)
    assert answer.returncode == ExitCode.BAD_CONFIG
    outcome = json.loads(Path(run.outcome_file).read_text())
    assert "unknown key 'stepz'; did you mean 'steps'?" in outcome["message"]
    assert not (run.outputs / "generations").exists()
