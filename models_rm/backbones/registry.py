"""Which families there are."""

from typing import Any, Final

from models_rm.backbones.adapter import Adapter
from models_rm.backbones.qwen2_5_vl import QWEN2_5_VL
from models_rm.backbones.qwen2_vl import QWEN2_VL
from models_rm.backbones.qwen3_vl import QWEN3_VL
from models_rm.errors import BackboneMissingError

ADAPTERS: Final[dict[str, Adapter]] = {
    each.model_type: each for each in (QWEN2_VL, QWEN2_5_VL, QWEN3_VL)
}


def adapter_of(config: Any) -> Adapter:
    """The adapter of a backbone, from its `transformers` config."""
    name = config.model_type
    if name not in ADAPTERS:
        known = sorted(ADAPTERS)
        raise BackboneMissingError(
            f"backbone type {name!r} is not supported; "
            f"expected {', '.join(known[:-1])} or {known[-1]}"
        )
    return ADAPTERS[name]
