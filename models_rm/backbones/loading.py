"""Loading a backbone from a folder or a hub id."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from models_rm.backbones.registry import adapter_of
from models_rm.errors import BackboneMissingError


def load_backbone(source: str, dtype: str) -> tuple[Any, Any]:
    """(backbone without language head, tokenizer) from a folder, or from a hub id (`org/name` or
    `org/name@revision`); safetensors only.

    BackboneMissingError where there is none, where a file is damaged, and where a tensor is missing
    or of another shape: the library would fill it with chance and say so only in its log.
    """
    name, revision = _pinned(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        model, loaded = AutoModelForImageTextToText.from_pretrained(
            name,
            revision=revision,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        kind = "folder" if Path(source).is_absolute() else "hub id or folder"
        raise BackboneMissingError(
            f"backbone {source!r} is not there: "
            f"no vision-language model can be loaded from this {kind}"
        ) from error
    except (SafetensorError, RuntimeError) as error:
        raise BackboneMissingError(
            f"the weights of the backbone {source!r} cannot be used: they are damaged, or of "
            "another shape than its config says"
        ) from error
    adapter_of(model.config)
    missing = sorted(name for name in loaded["missing_keys"] if not name.startswith("lm_head"))
    if missing:
        raise BackboneMissingError(
            f"the backbone {source!r} lacks {len(missing)} of its tensors, {missing[0]} first"
        )
    return model.model, tokenizer


def empty_backbone(folder: Path, dtype: str) -> Any:
    """A backbone of the shape that the config.json of a folder names, with weights to be loaded."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, dtype))
    return model.model


def _pinned(source: str) -> tuple[str, str]:
    """(folder or hub id, revision). A folder may have any character in its name."""
    if Path(source).is_dir() or Path(source).is_absolute():
        return source, "main"
    name, _, revision = source.partition("@")
    return name, revision or "main"
