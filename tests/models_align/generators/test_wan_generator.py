"""The Wan adapter: loading, encoding, conditions, and one sentence for what cannot be loaded."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)

from demo.tiny_generator import TinySize, build_pipeline
from models_align.errors import GeneratorNotFoundError, UnusableClipError
from models_align.generators.dct_vae import DctVideoVAE
from models_align.generators.wan import WanGenerator, load_wan

CORPUS = ["a red circle moving left on a dark background"]


def clips(count: int) -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 3, 4, 4, generator=chance) * 255
    smooth = torch.nn.functional.interpolate(coarse, (9, 64, 64), mode="trilinear")
    return smooth.permute(0, 2, 3, 4, 1).to(torch.uint8)


def test_a_saved_pipeline_with_our_autoencoder_loads_without_the_demo(tiny_wan):
    assert type(tiny_wan.vae) is DctVideoVAE
    assert isinstance(tiny_wan.pipeline, WanPipeline)
    assert tiny_wan.vae.anchor.device.type != "meta"


def test_latents_lead_back_to_the_clip(tiny_wan_folder):
    size = TinySize(z_dim=96, heads=1, layers=1, ffn=32, text_dim=16, text_tokens=12)
    generator = WanGenerator(build_pipeline(size, CORPUS, seed=0), "large latents")
    frames = clips(2)
    latents = generator.encode_clips(frames)
    assert latents.shape == (2, *generator.latent_shape(9, 64, 64)) == (2, 96, 3, 8, 8)
    back = generator.decode(latents)
    assert back.dtype == torch.uint8
    assert (back.float() - frames.float()).abs().mean() < 4


def test_latents_are_normalised_with_the_numbers_of_the_autoencoder(tiny_wan):
    frames = clips(1)
    raw = tiny_wan.vae.encode(frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1).latent_dist.mode()
    assert torch.allclose(tiny_wan.encode_clips(frames), raw / 4.0, atol=1e-5)


def test_prompts_are_told_apart_and_end_in_zeros(tiny_wan):
    text = tiny_wan.encode_prompts(["a red circle", "a blue circle"])
    assert text.shape == (2, 16, 16)
    assert not torch.allclose(text[0, 1], text[1, 1])
    assert (text[:, -1] == 0).all()


def test_velocity_has_the_shape_of_its_latents_and_depends_on_time_and_text(tiny_wan):
    x = torch.randn(2, 6, 3, 8, 8)
    text = tiny_wan.encode_prompts(["a red circle", "two blue bars moving up"])
    t = torch.tensor([0.3, 0.3])
    with torch.no_grad():
        v = tiny_wan.velocity(x, t, text)
        assert v.shape == x.shape
        assert not torch.allclose(v, tiny_wan.velocity(x, t + 0.4, text))
        assert not torch.allclose(v, tiny_wan.velocity(x, t, text.flip(0)))


@pytest.mark.parametrize("size", [(8, 64, 64), (9, 60, 64), (9, 64, 72)])
def test_a_clip_that_would_be_rounded_silently_is_refused(tiny_wan, size):
    with pytest.raises(UnusableClipError, match="clips of 1 \\+ 4k frames with a height that 16"):
        tiny_wan.latent_shape(*size)


def test_the_schedule_takes_another_shift_and_stays_the_generators_own(tiny_wan):
    shifts = [tiny_wan.scheduler(shift).config.shift for shift in (0.0, 5.0)]
    assert shifts == [tiny_wan.native_shift, 5.0]
    uni = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    tiny_wan.pipeline.scheduler = uni
    assert tiny_wan.scheduler(7.0).config.flow_shift == 7.0
    assert WanGenerator(tiny_wan.pipeline, "uni").native_shift == 3.0


@pytest.mark.parametrize("source", ["Wan-AI/Wan-of-nobody", "/no/such/folder", "name@revision"])
def test_an_id_that_is_not_there_is_one_sentence(source):
    with pytest.raises(GeneratorNotFoundError) as caught:
        load_wan(source)
    assert f"the generator '{source}' cannot be loaded: expected the folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def image_to_video(**transformer: object) -> WanImageToVideoPipeline:
    text = build_pipeline(TinySize(z_dim=6, heads=1, layers=1, text_dim=16), CORPUS, seed=0)
    return WanImageToVideoPipeline(
        tokenizer=text.tokenizer,
        text_encoder=text.text_encoder,
        vae=text.vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        image_processor=None,
        image_encoder=None,
        transformer=WanTransformer3DModel(
            num_attention_heads=1,
            attention_head_dim=32,
            in_channels=6 + 4 + 6,  # noise, mask, start image
            out_channels=6,
            text_dim=16,
            freq_dim=16,
            ffn_dim=32,
            num_layers=1,
            rope_max_seq_len=32,
            **transformer,
        ),
    )


def test_an_image_to_video_variant_loads_and_sees_its_start_image(tmp_path: Path):
    image_to_video().save_pretrained(str(tmp_path))
    generator = load_wan(tmp_path)
    assert generator.needs_image
    frames = clips(2)
    start = generator.encode_start(frames[:, 0], 9)
    assert start["latents"].shape == (2, 4 + 6, 3, 8, 8)
    text = generator.encode_prompts(["a red circle"]).expand(2, -1, -1)
    x = torch.randn(1, 6, 3, 8, 8).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        v = generator.velocity(x, torch.tensor([0.5, 0.5]), text, start)
    assert v.shape == x.shape
    assert not torch.allclose(v[0], v[1])


def test_the_condition_is_that_of_the_pipeline():
    generator = WanGenerator(image_to_video(), "i2v")
    frames = clips(1)
    image = 2.0 * (frames[:, 0].permute(0, 3, 1, 2).float() / 255.0) - 1.0
    _, wanted = generator.pipeline.prepare_latents(
        image, 1, 6, 64, 64, 9, torch.float32, torch.device("cpu")
    )
    assert torch.equal(generator.encode_start(frames[:, 0], 9)["latents"], wanted)


def test_a_text_generator_has_no_condition(tiny_wan):
    assert tiny_wan.encode_start(clips(1)[:, 0], 9) is None
