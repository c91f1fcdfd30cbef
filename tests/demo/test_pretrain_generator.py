"""Pretraining of the tiny generator: learns, resumes, and leaves a pipeline that loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from demo.pretrain_generator import PretrainGeneratorConfig, pretrain
from formats.checkpoints import verify_folder
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.generators.wan import load_wan

TINY = {"heads": 1, "layers": 1, "ffn": 32, "pool": 64, "clips_per_step": 16, "warmup_steps": 2}


@pytest.fixture
def pretrain_run(tmp_path: Path) -> Callable[..., RunDir]:
    def prepare(name: str, **config: Any) -> RunDir:
        run = RunDir(tmp_path / name)
        run.prepare({"base": "generator", **TINY, **config}, {})
        return run

    return prepare


class _Stopped(Exception):
    pass


class _StopsInTraining(Supervised):
    def check(self, save: Callable[[], None] | None = None) -> None:
        if save is not None and any(line.step == 3 for line in self.dir.metrics_from(0)[0]):
            save()
            raise _Stopped


def test_it_learns_and_leaves_a_pipeline_that_loads(pretrain_run):
    run = pretrain_run("run", steps=80, log_every=1)
    outcome = pretrain(Supervised(run))
    losses = [line.values["loss"] for line in run.metrics_from(0)[0] if line.values]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])
    (output,) = outcome.outputs
    assert (output.kind, output.meta["role"]) == ("base_model", "generator")
    verify_folder(run.root / output.path)
    generator = load_wan(run.root / output.path)
    assert generator.transformer.proj_out.weight.abs().max() > 0
    assert generator.latent_shape(9, 64, 64) == (32, 3, 8, 8)
    # What Wan normalises with was measured on the clips.
    assert min(generator.vae.config.latents_std) > 0
    assert max(generator.vae.config.latents_std) > 5


def test_a_resumed_pretraining_equals_an_uninterrupted_one(pretrain_run):
    whole = pretrain_run("whole", steps=5, log_every=1)
    pretrain(Supervised(whole))
    broken = pretrain_run("broken", steps=5, log_every=1)
    with pytest.raises(_Stopped):
        pretrain(_StopsInTraining(broken))
    pretrain(Supervised(broken))
    name = "outputs/base/transformer/diffusion_pytorch_model.safetensors"
    one, two = load_file(whole.root / name), load_file(broken.root / name)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stepz": 1}, "unknown key 'stepz'"),
        ({"steps": 0}, "steps must be a whole number above 0, got 0"),
        ({"pool": 1.5}, "pool must be a whole number above 0, got 1.5"),
        ({"shift": 0}, "shift must be above 0, got 0"),
        ({"caption_dropout": 1.0}, "caption_dropout must be in [0, 1), got 1.0"),
    ],
)
def test_a_bad_config_of_the_generator_is_refused(values, sentence):
    with pytest.raises(BadConfigError) as caught:
        PretrainGeneratorConfig.from_json(values)
    assert sentence in str(caught.value)
