"""By what a network is known, wherever its folder lies."""

import hashlib
import json
from typing import Any

import torch


def identity(network: torch.nn.Module) -> str:
    """A hash of the names, shapes and some values of a network without its adapter.

    The same for a copy elsewhere, and whether it was loaded in float32 or in bfloat16.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.named_parameters()):
        if ".lora_" not in name:
            some = value.detach().flatten()[:64].to("cpu", torch.bfloat16).view(torch.int16)
            plain = name.replace(".base_layer", "")
            digest.update(f"{plain} {tuple(value.shape)} {some.tolist()}\n".encode())
    return digest.hexdigest()


def encoders_fingerprint(pipeline: Any, *facts: object) -> str:
    """Of what encodes clips, images and prompts: another autoencoder gives another one.

    `facts` are what else decides how latents come about.
    """
    names = ("vae", "text_encoder", "image_encoder")
    parts = [getattr(pipeline, name, None) for name in names]
    known = [_facts(each) for each in parts if each is not None]
    text = json.dumps([*known, *facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(network: Any) -> list[object]:
    config = network.config
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return [values, identity(network)]
