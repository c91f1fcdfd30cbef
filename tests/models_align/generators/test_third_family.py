"""A family from outside: entered by one call, it encodes, trains, is saved, and samples."""

import math
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from formats.records import GenerationRecord
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised
from models_align.adapters import load_adapter
from models_align.denoising import TextStates, clip_noise, denoised
from models_align.generators import families
from models_align.generators.families import load_generator, register
from models_align.generators.tiny import CORPUS
from models_align.sampling import sample
from models_align.training import train
from tests.models_align.families import CONFIG, PROMPT, TASK, plain_pipeline
from tests.models_align.ltx_family import FPS, LtxGenerator, tiny_ltx

STEPS = 3


@pytest.fixture
def ltx_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(families, "FAMILIES", dict(families.FAMILIES))
    register("LTXPipeline", LtxGenerator)
    tiny_ltx(CORPUS).save_pretrained(str(tmp_path / "ltx"))
    return tmp_path / "ltx"


def plain_ltx_latents(folder: Path, adapter: Path) -> torch.Tensor:
    ours = load_generator(folder)
    shape = ours.latent_shape(CONFIG.num_frames, CONFIG.height, CONFIG.width)
    pipeline = plain_pipeline(folder)
    pipeline.load_lora_weights(str(adapter))
    with torch.no_grad():
        packed = pipeline(
            prompt=[PROMPT],
            negative_prompt=[""],
            height=CONFIG.height,
            width=CONFIG.width,
            num_frames=CONFIG.num_frames,
            frame_rate=FPS,
            num_inference_steps=CONFIG.steps,
            guidance_scale=CONFIG.guidance_scale,
            latents=pipeline._pack_latents(clip_noise(PROMPT, 0, shape)[None]),
            output_type="latent",
            max_sequence_length=ours.text_tokens,
        ).frames
    found: torch.Tensor = pipeline._unpack_latents(packed, *shape[1:])
    return found


def test_a_family_from_outside_goes_the_whole_way(
    ltx_folder: Path,
    family_run: Callable[..., RunDir],
    generation_run: Callable[..., RunDir],
    read_logs: Callable[[RunDir], list[dict[str, float]]],
):
    run = family_run("run", ltx_folder, {"steps": STEPS, "log_every": 1})
    train(Supervised(run))
    losses = [values["loss"] for values in read_logs(run)]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert len(losses) == STEPS
    adapter = run.outputs / "adapter"
    generator = load_generator(ltx_folder)
    load_adapter(generator, adapter)
    ours = denoised(generator, TextStates(generator, ""), [TASK], CONFIG)
    assert (ours - plain_ltx_latents(ltx_folder, adapter)).abs().max().item() == 0

    asked = {"height": 32, "width": 32, "num_frames": 9}
    clips = generation_run("clips", asked, prompts=1, generator=Input(str(ltx_folder)))
    sample(Supervised(clips))
    (record,) = GenerationRecord.read(clips.outputs / "generations" / "generations.jsonl")
    assert record.video.num_frames == 9


def test_an_installed_package_brings_its_family_along(ltx_folder: Path, monkeypatch):
    monkeypatch.delitem(families.FAMILIES, "LTXPipeline")
    asked = []

    def points(**what: str) -> list[EntryPoint]:
        asked.append(what)
        return [EntryPoint("LTXPipeline", "tests.models_align.ltx_family:LtxGenerator", "any")]

    monkeypatch.setattr(families, "entry_points", points)
    assert isinstance(load_generator(ltx_folder), LtxGenerator)
    assert asked == [{"group": "tiebreak.generators", "name": "LTXPipeline"}]


def test_a_family_is_entered_once(ltx_folder: Path):
    with pytest.raises(ValueError, match="LTXPipeline have their family already"):
        register("LTXPipeline", LtxGenerator)
