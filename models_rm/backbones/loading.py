"""Loading a backbone from a folder or a hub id."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from models_rm.backbones.registry import adapter_of
from models_rm.errors import BackboneMissingError


def load_backbone(source: str, dtype: str) -> tuple[Any, Any]:
    """(backbone without language head, tokenizer) from a folder or a hub id; safetensors only."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        kind = "folder" if Path(source).is_absolute() else "hub id or folder"
        raise BackboneMissingError(
            f"backbone {source!r} is not there: "
            f"no vision-language model can be loaded from this {kind}"
        ) from error
    adapter_of(model.config)
    return model.model, tokenizer


def empty_backbone(folder: Path, dtype: str) -> Any:
    """A backbone of the shape that the config.json of a folder names, with weights to be loaded."""
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, dtype))
    return model.model
