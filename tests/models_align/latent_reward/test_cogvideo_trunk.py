"""Latent rewards on CogVideoX: its first blocks, noise and guidance by its own process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import GenerationRecord, PromptRecord
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.config import GuidanceSettings
from models_align.denoising import TextStates, denoised
from models_align.generators.families import load_generator
from models_align.generators.trunks import described
from models_align.guidance import Guide
from models_align.latent_reward.running import train_latent_reward
from models_align.latent_reward.scoring import LatentRewardModel
from models_align.sampling import sample
from tests.models_align.families import CONFIG, PROMPT, TASK, some_clips

FORMS = ["cogvideox-2b", "cogvideox-5b", "cogvideox-1.5-5b"]
Folder = Callable[[str], Path]


@pytest.mark.parametrize("form", FORMS)
def test_the_trunk_is_what_the_network_computes_up_to_its_last_copied_block(
    form: str, tiny_form: Folder
):
    generator = load_generator(tiny_form(form))
    latents, t = generator.encode_clips(some_clips(2)), torch.tensor([0.4, 0.9])
    text = generator.encode_prompts([PROMPT, "two blue bars"])
    seen: list[torch.Tensor] = []
    blocks = generator.networks["transformer"].transformer_blocks
    handle = blocks[0].register_forward_hook(lambda _m, _in, out: seen.append(out[0]))
    with torch.no_grad():
        generator.velocity(latents, t, text)
        handle.remove()
        trunk = generator.trunk(1)
        assert torch.equal(trunk(latents, t, text), seen[0])
        again = described(trunk.describe())
        again.load_state_dict(trunk.state_dict())
        assert torch.equal(again(latents, t, text), seen[0])
        # A clean clip is told the least noise there is.
        least = torch.full((2,), 1 / 1000)
        assert torch.equal(trunk(latents, 0 * least, text), trunk(latents, least, text))


def test_a_trunk_that_cannot_be_is_refused(tiny_form: Folder):
    with pytest.raises(BadConfigError, match="between 1 and 2, the depth of this generator, got 9"):
        load_generator(tiny_form("cogvideox-2b")).trunk(9)
    with pytest.raises(BadConfigError, match="needs a start image"):
        load_generator(tiny_form("cogvideox-5b-i2v")).trunk(1)
    with pytest.raises(FormatError, match="the trunk is of a Sora; expected one of CogVideoX"):
        described({"transformer": "Sora"})


def test_a_latent_reward_of_cogvideox_is_trained_and_guides_its_sampling(
    tiny_form: Folder, tmp_path: Path, judged_squares: Path
):
    """On clips of 64 x 64 that are brought to the size of the tiny form."""
    base = tiny_form("cogvideox-2b")
    snapshot = judged_squares / "snapshot"
    run = RunDir(tmp_path / "reward")
    config = {"dimensions": ["red"], "lr": 1e-3, "head_lr": 1e-2, "steps": 3, "pairs_per_step": 4,
              "eval_every": 3, "evaluate_at": [0.1, 0.5], "bootstrap": 0, "num_frames": 9,
              "height": 32, "width": 32}  # fmt: skip
    given = Input(str(snapshot), sha256_of(snapshot / "manifest.json"))
    run.prepare(config, {"snapshot": given, "generator": Input(str(base))},
                media_root=judged_squares / "media")  # fmt: skip
    train_latent_reward(Supervised(run))
    folder = run.outputs / "latent_reward_model"
    model = LatentRewardModel.load(folder)

    generator = load_generator(base)
    states = TextStates(generator, "")
    plain = denoised(generator, states, [TASK], CONFIG)
    for weight, same in ((0.0, True), (20.0, False)):
        guide = Guide.of(model, GuidanceSettings(weight=weight), generator.process)
        guided = denoised(generator, states, [TASK], CONFIG, guide=guide)
        assert torch.equal(guided, plain) is same

    file = tmp_path / "prompts.jsonl"
    inputs = {
        "prompts": Input(str(file), PromptRecord.write(file, [PromptRecord("p", PROMPT)])),
        "generator": Input(str(base)),
        "latent_reward_model": Input(str(folder), sha256_of(folder / "manifest.json")),
    }
    clips = RunDir(tmp_path / "clips")
    asked = {"steps": 2, "height": 32, "width": 32, "num_frames": 9, "fps": 8,
             "reward_guidance": {"weight": 5.0}}  # fmt: skip
    clips.prepare(asked, inputs)
    sample(Supervised(clips))
    assert len(GenerationRecord.read(clips.outputs / "generations" / "generations.jsonl")) == 1
