"""Every form of every family: what a method asks of it, and that plain diffusers agrees."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXDPMScheduler, UniPCMultistepScheduler

from formats.checkpoints import verify_folder
from formats.supervised import BadConfigError
from models_align.adapters import (
    ADAPTER,
    add_adapter,
    commit_adapter,
    load_adapter,
    trainable_parameters,
    without_adapter,
)
from models_align.config import TimestepSettings
from models_align.denoising import TextStates, clip_chance, denoised
from models_align.errors import (
    GeneratorNotFoundError,
    OtherBaseError,
    OtherLatentsError,
    PromptTooLongError,
    UnusableClipError,
)
from models_align.flow import velocity_error
from models_align.generators import families
from models_align.generators.base import Generator, draw_times
from models_align.generators.conditions import Condition, rows
from models_align.generators.families import load_generator
from models_align.generators.refusals import refuse_long_prompts
from models_align.generators.tiny import FORMS, SIZE, build, main
from models_align.methods.flow_dpo import flow_dpo_loss
from tests.models_align.families import (
    ALIGNMENT,
    CONFIG,
    PROMPT,
    TASK,
    plain_frames,
    plain_latents,
    plain_pipeline,
    some_clips,
)

Folder = Callable[[str], Path]
T = torch.tensor([0.95, 0.3])  # on both sides of every boundary
every_form = pytest.mark.parametrize("form", FORMS)


def asked(
    generator: Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Condition | None]:
    """(x_t, t, text, condition) of two clips, as training asks."""
    clips = some_clips(2)
    latents = generator.encode_clips(clips)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    text = generator.encode_prompts([PROMPT, "two blue bars"])
    start = generator.encode_start(clips[:, 0], SIZE[0])
    return generator.process.noised(latents, noise, T), T, text, start


def trained(generator: Generator) -> None:
    """Give an adapter something to say: B of a fresh one is zero."""
    chance = torch.Generator().manual_seed(2)
    for name, each in trainable_parameters(generator).items():
        if "lora_B" in name:
            each.data = 0.2 * torch.randn(each.shape, generator=chance)


@every_form
def test_a_form_loads_from_its_folder_and_answers_what_is_asked_of_it(form: str, tiny_form: Folder):
    generator = load_generator(tiny_form(form))
    clips = some_clips(2)
    latents = generator.encode_clips(clips)
    assert latents.shape == (2, *generator.latent_shape(*SIZE))
    assert latents.dtype == torch.float32
    assert generator.decode(latents).shape == clips.shape
    x_t, t, text, start = asked(generator)
    assert (start is not None) == generator.needs_image == form.endswith(("-i2v", "-image"))
    with torch.no_grad():
        prediction = generator.velocity(x_t, t, text, start)
        assert prediction.shape == x_t.shape
        assert not torch.equal(prediction, generator.velocity(x_t, t, text.flip(0), start))
        if start is not None:
            other = generator.encode_start(some_clips(2, seed=9)[:, 0], SIZE[0])
            assert not torch.equal(prediction, generator.velocity(x_t, t, text, other))
    expected = "v_prediction" if form.startswith("cogvideox") else "rectified_flow"
    assert generator.process.name == expected
    assert sorted(generator.networks) == ["transformer", "transformer_2"][: 1 + (
        form in {"wan-2.2-t2v", "wan-2.2-i2v"}
    )]  # fmt: skip


@every_form
def test_the_first_loss_is_ln_2_and_without_its_adapter_a_generator_is_its_base(
    form: str, tiny_form: Folder
):
    generator = load_generator(tiny_form(form))
    ask = asked(generator)
    data, noise = generator.encode_clips(some_clips(2)), torch.randn(ask[0].shape)
    target = generator.process.target(data, noise, T)
    base = generator.velocity(*ask)
    add_adapter(generator, ALIGNMENT)
    policy = velocity_error(generator.velocity(*ask), target)
    with torch.no_grad(), without_adapter(generator):
        assert torch.equal(generator.velocity(*ask), base)
        reference = velocity_error(generator.velocity(*ask), target)
    loss = flow_dpo_loss(policy[:1], policy[1:], reference[:1], reference[1:], 500.0)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-7)
    loss.sum().backward()
    # One clip is noised much and one little: both networks of a pair of networks learn.
    for name, each in trainable_parameters(generator).items():
        if "lora_B" in name:
            assert each.grad is not None, name
            assert each.grad.abs().max() > 0, name
    trained(generator)
    with torch.no_grad():
        assert not torch.equal(generator.velocity(*ask), base)
        with without_adapter(generator):
            assert torch.equal(generator.velocity(*ask), base)


@every_form
def test_an_adapter_goes_through_load_lora_weights_of_plain_diffusers_without_a_difference(
    form: str, tiny_form: Folder, tmp_path: Path
):
    teacher = load_generator(tiny_form(form))
    lora = add_adapter(teacher, ALIGNMENT)
    trained(teacher)
    commit_adapter(tmp_path / "adapter", teacher, lora, {"base": teacher.source})
    verify_folder(tmp_path / "adapter")

    ours = load_generator(tiny_form(form))
    text = TextStates(ours, "")
    start = ours.encode_start(some_clips(1)[:, 0], SIZE[0])
    plain = plain_pipeline(tiny_form(form))
    base = denoised(ours, text, [TASK], CONFIG, condition=start)
    assert torch.equal(ours.decode(base), plain_frames(plain, ours))
    load_adapter(ours, tmp_path / "adapter")
    aligned = denoised(ours, text, [TASK], CONFIG, condition=start)

    plain.load_lora_weights(str(tmp_path / "adapter"))
    if len(ours.networks) == 2:
        second = str(tmp_path / "adapter" / "transformer_2")
        plain.load_lora_weights(second, load_into_transformer_2=True)
    assert (aligned - plain_latents(plain, ours)).abs().max().item() == 0
    # It is not nothing that agrees: alpha / r = 4 came along.
    assert (aligned - base).abs().max().item() > 0.01
    block = next(m for m in ours.networks["transformer"].modules() if hasattr(m, "scaling"))
    assert block.scaling[ADAPTER] == 8 / 2
    # The other direction: what was trained, in memory, is what was loaded.
    kept = denoised(teacher, text, [TASK], CONFIG, condition=start)
    assert (aligned - kept).abs().max().item() == 0


@pytest.mark.parametrize("form", ["wan-2.2-t2v", "wan-2.2-i2v"])
def test_each_clip_is_predicted_by_the_network_of_its_noise_whatever_is_beside_it(
    form: str, tiny_form: Folder
):
    generator = load_generator(tiny_form(form))
    x_t, t, text, start = asked(generator)
    with torch.no_grad():
        together = generator.velocity(x_t, t, text, start)
        for row, name in ((0, "transformer"), (1, "transformer_2")):
            one = torch.tensor([row])
            alone = generator.velocity(x_t[one], t[one], text[one], rows(start, one))
            assert torch.allclose(together[one], alone, atol=1e-6)
            seen = x_t[one] if start is None else torch.cat([x_t[one], start["latents"][one]], 1)
            (own,) = generator.networks[name](seen, t[one] * 1000, text[one], return_dict=False)
            assert torch.allclose(alone, own, atol=1e-6)
        # The boundary itself is of the first network, as in diffusers.
        ask = [
            x_t[:1],
            torch.tensor([generator.boundary]),
            text[:1],
            rows(start, torch.tensor([0])),
        ]
        at, below = (generator.velocity(ask[0], ask[1] - less, *ask[2:]) for less in (0.0, 0.002))
    generator.networks["transformer_2"].proj_out.weight.data.zero_()
    with torch.no_grad():
        assert torch.equal(generator.velocity(*ask), at)
        assert not torch.equal(generator.velocity(ask[0], ask[1] - 0.002, *ask[2:]), below)


def test_guidance_by_text_has_a_scale_for_each_network(tiny_form: Folder):
    config = replace(CONFIG, guidance_scale=4.0, guidance_scale_2=3.0)
    assert [config.scale_at(t, 0.875) for t in (0.9, 0.875, 0.874)] == [4.0, 4.0, 3.0]
    assert [CONFIG.scale_at(t, 0.875) for t in (0.9, 0.1)] == [3.0, 3.0]
    assert replace(CONFIG, guidance_scale=1.0, guidance_scale_2=3.0).guided
    assert not replace(CONFIG, guidance_scale=1.0).guided
    generator = load_generator(tiny_form("wan-2.2-t2v"))
    states = TextStates(generator, "")
    ours = denoised(generator, states, [TASK], replace(CONFIG, guidance_scale_2=1.5))
    plain = plain_pipeline(tiny_form("wan-2.2-t2v"))
    assert torch.equal(ours, plain_latents(plain, generator, guidance_scale_2=1.5))
    assert not torch.equal(ours, denoised(generator, states, [TASK], CONFIG))


def test_a_first_frame_that_is_the_start_image_is_predicted_right_and_kept(tiny_form: Folder):
    """Wan 2.2 5B: the start image stands as the first latent frame and is not denoised."""
    generator = load_generator(tiny_form("wan-2.2-ti2v-image"))
    clips = some_clips(2)
    latents, start = generator.encode_clips(clips), generator.encode_start(clips[:, 0], SIZE[0])
    assert start is not None
    noise = torch.randn(latents.shape)
    x_t, target = generator.process.noised(latents, noise, T), noise - latents
    wrong = generator.velocity(x_t, T, generator.encode_prompts([PROMPT] * 2), start) - target
    assert wrong[:, :, 0].abs().max() < 1e-5
    assert wrong[:, :, 1:].abs().max() > 0.1
    states = TextStates(generator, "")
    made = denoised(generator, states, [TASK], CONFIG, condition=rows(start, torch.tensor([0])))
    assert torch.equal(made[0, :, 0], start["latents"][0, :, 0])


def test_unipc_is_told_the_timesteps_that_the_pipeline_tells_it(tiny_form: Folder):
    """It rounds them to whole numbers, and released Wan pipelines use it."""
    unipc = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    generator = load_generator(tiny_form("wan-2.1-t2v"))
    generator.pipeline.scheduler = unipc
    plain = plain_pipeline(tiny_form("wan-2.1-t2v"))
    plain.scheduler = unipc
    ours = denoised(generator, TextStates(generator, ""), [TASK], CONFIG)
    assert torch.equal(ours, plain_latents(plain, generator))


def test_the_dpm_sampler_of_cogvideox_adds_the_noise_of_each_clip_alone(tiny_form: Folder):
    generator = load_generator(tiny_form("cogvideox-5b"))
    scheduler = CogVideoXDPMScheduler.from_config(generator.pipeline.scheduler.config)
    generator.pipeline.scheduler = scheduler
    states = TextStates(generator, "")
    # Its second order begins at the second step and ends before the last.
    config = replace(CONFIG, steps=4)
    ours = denoised(generator, states, [TASK], config)
    chance = clip_chance(PROMPT, 0)
    torch.randn(generator.latent_shape(*SIZE), generator=chance)
    plain = plain_pipeline(tiny_form("cogvideox-5b"))
    plain.scheduler = scheduler
    theirs = plain_latents(plain, generator, generator=[chance], num_inference_steps=4)
    assert torch.equal(ours, theirs)
    both = denoised(generator, states, [TASK, TASK], config)
    assert torch.allclose(both[1:], ours, atol=1e-4)


def test_an_adapter_for_another_base_is_refused_though_its_tensors_fit(
    tiny_form: Folder, tmp_path: Path
):
    teacher = load_generator(tiny_form("wan-2.1-t2v"))
    lora = add_adapter(teacher, ALIGNMENT)
    commit_adapter(tmp_path / "adapter", teacher, lora, {"base": "the base of Monday"})
    build("wan-2.1-t2v", seed=1).save_pretrained(tmp_path / "retrained")
    for other in (tmp_path / "retrained", tiny_form("wan-2.2-t2v"), tiny_form("cogvideox-2b")):
        with pytest.raises(OtherBaseError) as caught:
            load_adapter(load_generator(other), tmp_path / "adapter")
        assert f"made for another base than '{other}'" in str(caught.value)
        assert "it was trained on 'the base of Monday'" in str(caught.value)
    # A copy that lies elsewhere is the same base, in either precision.
    build("wan-2.1-t2v").save_pretrained(tmp_path / "copy")
    for dtype in ("float32", "bfloat16"):
        card = load_adapter(load_generator(tmp_path / "copy", dtype=dtype), tmp_path / "adapter")
        assert card["base"] == "the base of Monday"


@pytest.mark.parametrize("form", ["wan-2.1-i2v", "cogvideox-1.5-5b-i2v"])
def test_in_bfloat16_the_adapter_and_the_autoencoder_stay_float32(form: str, tiny_form: Folder):
    generator = load_generator(tiny_form(form), dtype="bfloat16")
    add_adapter(generator, ALIGNMENT)
    network = generator.networks["transformer"]
    assert {each.dtype for each in trainable_parameters(generator).values()} == {torch.float32}
    frozen = {p.dtype for n, p in network.named_parameters() if "lora" not in n}
    assert torch.bfloat16 in frozen
    assert {each.dtype for each in generator.pipeline.vae.parameters()} == {torch.float32}
    ask = asked(generator)
    found = generator.velocity(*ask)
    assert found.dtype == torch.float32
    with torch.no_grad():
        exact = load_generator(tiny_form(form)).velocity(*ask)
    # bfloat16 keeps three digits.
    assert (found - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("form", ["wan-2.1-t2v", "cogvideox-2b"])
def test_a_text_longer_than_the_encoder_takes_is_refused(form: str, tiny_form: Folder):
    generator = load_generator(tiny_form(form))
    fits = "a red circle moving left on a dark background a red circle moving left"
    assert generator.text_length(fits) == generator.text_tokens - 1
    refuse_long_prompts(generator, [PROMPT, fits])
    with pytest.raises(PromptTooLongError, match=r"has 17 tokens, and the generator .* reads 16"):
        refuse_long_prompts(generator, [f"{fits} red circle"])
    with pytest.raises(PromptTooLongError, match="shorten it"):
        TextStates(generator, f"{fits} red circle")


@pytest.mark.parametrize("form", ["wan-2.1-t2v", "cogvideox-2b"])
def test_latents_of_another_autoencoder_are_refused_and_never_found_in_a_cache(
    form: str, tiny_form: Folder
):
    generator = load_generator(tiny_form(form))
    x_t, t, text, _ = asked(generator)
    with pytest.raises(OtherLatentsError, match=r"latents of 4 channels.*another autoencoder"):
        generator.velocity(torch.cat([x_t, x_t], dim=1), t, text)
    before = generator.fingerprint()
    assert load_generator(tiny_form(form)).fingerprint() == before
    next(generator.pipeline.vae.parameters()).data += 1
    assert generator.fingerprint() != before


def test_sizes_that_a_form_cannot_make_are_refused(tiny_form: Folder):
    frames, height, width = SIZE
    learned = load_generator(tiny_form("cogvideox-5b-i2v"))
    with pytest.raises(UnusableClipError, match="for clips of 32 x 32 alone, got 32 x 48"):
        learned.latent_shape(frames, height, width + 16)
    later = load_generator(tiny_form("cogvideox-1.5-5b"))
    assert later.latent_shape(17, 32, 32) == (4, 6, 4, 4)  # 5 latent frames and one copy
    with pytest.raises(UnusableClipError, match=r"clips of 1 \+ 8k frames, got 13"):
        later.latent_shape(13, 32, 32)
    with pytest.raises(UnusableClipError, match="reach to 32 x 32, got 48 x 32"):
        later.latent_shape(9, 48, 32)
    with pytest.raises(UnusableClipError, match=r"1 \+ 4k frames with sides that 16 divides"):
        load_generator(tiny_form("cogvideox-2b")).latent_shape(9, 32, 40)


def test_the_copies_in_front_of_a_clip_of_1_5_are_dropped_before_decoding(tiny_form: Folder):
    later = load_generator(tiny_form("cogvideox-1.5-5b"))
    latents = later.encode_clips(some_clips(1))
    assert torch.equal(latents[:, :, 0], latents[:, :, 1])
    changed = latents.clone()
    changed[:, :, 0] = 100.0
    assert torch.equal(later.decode(latents), later.decode(changed))


def test_times_can_be_drawn_as_the_generator_was_trained(tiny_form: Folder):
    native = TimestepSettings("native")
    for form, wanted in (("wan-2.1-t2v", TimestepSettings("logit_normal")),
                         ("cogvideox-2b", TimestepSettings("uniform"))):  # fmt: skip
        generator = load_generator(tiny_form(form))
        first, second = (
            draw_times(generator, 5, each, torch.Generator().manual_seed(4))
            for each in (native, wanted)
        )
        assert torch.equal(first, second)


def test_a_shift_of_cogvideox_is_refused(tiny_form: Folder):
    with pytest.raises(BadConfigError, match=r"shift must be 0 \(native\)"):
        load_generator(tiny_form("cogvideox-2b")).path(3, 5.0, [])


def test_a_network_that_predicts_something_else_is_refused(tmp_path: Path):
    pipeline = build("cogvideox-2b")
    pipeline.scheduler.register_to_config(prediction_type="epsilon")
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(GeneratorNotFoundError, match="predicts 'epsilon'"):
        load_generator(tmp_path)


def test_a_family_that_nobody_entered_is_refused_by_name(tiny_form: Folder, monkeypatch):
    monkeypatch.delitem(families.FAMILIES, "CogVideoXPipeline")
    with pytest.raises(GeneratorNotFoundError, match=r"is a CogVideoXPipeline; known are Cog.*Wan"):
        load_generator(tiny_form("cogvideox-2b"))


def test_a_tiny_form_can_be_written_by_command(tmp_path: Path, capsys):
    assert main(["wan-2.1-t2v", str(tmp_path / "base")]) == 0
    assert load_generator(tmp_path / "base").native_size.fps == 16
    assert main(["sora", str(tmp_path / "base")]) == 2
    assert "forms: wan-2.1-t2v, " in capsys.readouterr().err
