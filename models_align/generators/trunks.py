"""Which trunk a description speaks of, by the class of the network that it was copied from."""

from collections.abc import Mapping
from typing import Any, Final

from formats.errors import FormatError
from models_align.generators.cogvideo_trunk import CogVideoXTrunk
from models_align.generators.trunk import TRANSFORMERS, WanTrunk

Trunk = WanTrunk | CogVideoXTrunk
TRUNKS: Final[dict[str, type[Trunk]]] = {
    **dict.fromkeys(TRANSFORMERS, WanTrunk),
    "CogVideoXTransformer3DModel": CogVideoXTrunk,
}


def described(description: Mapping[str, Any]) -> Trunk:
    """The trunk that a `describe` spoke of, with random weights."""
    name = description["transformer"]
    if name not in TRUNKS:
        raise FormatError(f"the trunk is of a {name}; expected one of {', '.join(sorted(TRUNKS))}")
    return TRUNKS[name].described(description)
