"""Every form of every family with a few thousand random parameters: real code, tiny numbers.

    python -m models_align.generators.tiny FORM FOLDER

leaves the folder of a diffusers pipeline that `load_generator` loads like a large one: a place to
try a method, a new version of diffusers, or a cluster before an hour of a GPU is spent.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from models_align.generators.tiny_text import text_encoder, train_tokenizer

CORPUS: Final = ("a red circle moving left on a dark background", "two blue bars moving up")
Z: Final = 4  # channels of a latent
TEXT: Final = 16  # width and length of a text
SIZE: Final = (9, 32, 32)  # frames, height, width that every form makes


def build(form: str, *, corpus: Sequence[str] = CORPUS, seed: int = 0) -> Any:
    """A pipeline of diffusers by the name of its form, see `FORMS`."""
    if form not in FORMS:
        raise ValueError(f"there is no form {form!r}; there are {', '.join(FORMS)}")
    torch.manual_seed(seed)
    pipeline = FORMS[form](corpus)
    for name in ("transformer", "transformer_2"):
        network = getattr(pipeline, name, None)
        if network is not None:
            # The last layers of a new network are so small that nothing before them would show.
            torch.nn.init.normal_(network.proj_out.weight, std=0.2)
    return pipeline


def _wan(
    corpus: Sequence[str], *, channels: int = Z, networks: int = 1, clip: bool = False, **facts: Any
) -> dict[str, Any]:
    """The parts of a Wan pipeline; `channels` are what a network reads."""
    tokenizer = train_tokenizer(corpus, TEXT)
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": text_encoder(tokenizer, TEXT),
        "vae": AutoencoderKLWan(
            base_dim=4,
            z_dim=Z,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, -0.1, 0.2, 0.0],
            latents_std=[0.5, 0.4, 0.6, 0.3],
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        **facts,
    }
    for name in ("transformer", "transformer_2")[:networks]:
        parts[name] = _wan_network(channels, clip=clip)
    return parts


def _wan_network(channels: int, *, clip: bool) -> Any:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=channels,
        out_channels=Z,
        text_dim=TEXT,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
        image_dim=16 if clip else None,
        added_kv_proj_dim=32 if clip else None,
    )


def _clip() -> dict[str, Any]:
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
    )
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    return {
        "image_encoder": CLIPVisionModel(config).eval(),
        "image_processor": CLIPImageProcessorPil(**sizes),
    }


def _wan_text(corpus: Sequence[str], **facts: Any) -> Any:
    return WanPipeline(**_wan(corpus, **facts))


def _wan_image(corpus: Sequence[str], *, clip: bool = False, **facts: Any) -> Any:
    given = {"channels": 4 + 2 * Z, **facts}  # noise, mask, start image
    return WanImageToVideoPipeline(**_wan(corpus, clip=clip, **given), **(_clip() if clip else {}))


def _cogvideox(corpus: Sequence[str], *, image: bool = False, **network: Any) -> Any:
    tokenizer = train_tokenizer(corpus, TEXT)
    rotary = "use_rotary_positional_embeddings"
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": text_encoder(tokenizer, TEXT, kind="t5"),
        "vae": AutoencoderKLCogVideoX(
            block_out_channels=(4, 4, 4, 4),
            latent_channels=Z,
            layers_per_block=1,
            norm_num_groups=2,
            sample_height=32,
            sample_width=32,
            scaling_factor=0.7,
            invert_scale_latents="ofs_embed_dim" in network,
        ),
        "scheduler": CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=1.0,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
        "transformer": CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=2 * Z if image else Z,
            out_channels=Z,
            time_embed_dim=8,
            text_embed_dim=TEXT,
            num_layers=2,
            sample_width=4,
            sample_height=4,
            sample_frames=9,
            max_text_seq_length=TEXT,
            **{rotary: False, **network},
        ),
    }
    return (CogVideoXImageToVideoPipeline if image else CogVideoXPipeline)(**parts)


_ROTARY: Final[dict[str, Any]] = {"use_rotary_positional_embeddings": True}
_LATER: Final[dict[str, Any]] = {**_ROTARY, "patch_size_t": 2, "patch_bias": False}

FORMS: Final[dict[str, Callable[[Sequence[str]], Any]]] = {
    "wan-2.1-t2v": _wan_text,
    "wan-2.1-i2v": lambda corpus: _wan_image(corpus, clip=True),
    "wan-2.2-t2v": lambda corpus: _wan_text(corpus, networks=2, boundary_ratio=0.875),
    "wan-2.2-i2v": lambda corpus: _wan_image(corpus, networks=2, boundary_ratio=0.9),
    "wan-2.2-ti2v-text": lambda corpus: _wan_text(corpus, expand_timesteps=True),
    "wan-2.2-ti2v-image": lambda corpus: _wan_image(corpus, channels=Z, expand_timesteps=True),
    "cogvideox-2b": _cogvideox,
    "cogvideox-5b": lambda corpus: _cogvideox(corpus, **_ROTARY),
    "cogvideox-5b-i2v": lambda corpus: _cogvideox(
        corpus, image=True, use_learned_positional_embeddings=True, **_ROTARY
    ),
    "cogvideox-1.5-5b": lambda corpus: _cogvideox(corpus, **_LATER),
    "cogvideox-1.5-5b-i2v": lambda corpus: _cogvideox(
        corpus, image=True, ofs_embed_dim=8, **_LATER
    ),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in FORMS:
        print(
            f"usage: python -m models_align.generators.tiny FORM FOLDER\nforms: {', '.join(FORMS)}",
            file=sys.stderr,
        )
        return 2
    form, folder = arguments
    build(form).save_pretrained(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
