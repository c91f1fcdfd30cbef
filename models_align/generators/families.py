"""Which class speaks for which pipeline of diffusers, and loading by hub id or path.

A family from outside is an installed package with an entry point of the group `GROUP`, or is
entered with `register`; see CONTRIBUTING.md.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import DiffusionPipeline

# diffusers finds the classes that a folder names only in modules that we imported.
import models_align.generators.dct_vae
import models_align.generators.tiny_wan  # noqa: F401
from models_align.errors import GeneratorNotFoundError
from models_align.generators.base import Generator

# (pipeline, source) -> generator; `module:name` is imported when it is first asked for.
Build = Callable[[Any, str], Generator]

FAMILIES: Final[dict[str, str | Build]] = {
    "WanPipeline": "models_align.generators.wan:WanGenerator",
    "WanImageToVideoPipeline": "models_align.generators.wan:WanGenerator",
    "CogVideoXPipeline": "models_align.generators.cogvideo:CogVideoXGenerator",
    "CogVideoXImageToVideoPipeline": "models_align.generators.cogvideo:CogVideoXGenerator",
}
# Named after the class of the pipeline; what it names takes (pipeline, source).
GROUP: Final = "tiebreak.generators"
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


if TYPE_CHECKING:  # that they answer what base.py asks
    from models_align.generators.cogvideo import CogVideoXGenerator
    from models_align.generators.wan import WanGenerator

    ANSWER: tuple[Build, ...] = (WanGenerator, CogVideoXGenerator)


def register(pipeline: str, build: str | Build) -> None:
    """Enter who speaks for pipelines of this class name; a name is entered once."""
    if pipeline in FAMILIES:
        raise ValueError(f"pipelines of the class {pipeline} have their family already")
    FAMILIES[pipeline] = build


def load_generator(source: str | Path, *, dtype: str | None = None) -> Generator:
    """Load a folder, or a hub id (`org/name` or `org/name@revision`) from the local cache.

    Nothing is downloaded here and no pickled weight is read. `dtype` "bfloat16" halves networks and
    text encoders; the autoencoder stays float32, because rounding it shows in every clip. What
    cannot be loaded is a GeneratorNotFoundError.
    """
    pipeline = _pipeline(str(source), dtype)
    return _builder(pipeline, str(source))(pipeline, str(source))


def _pipeline(source: str, dtype: str | None) -> Any:
    name, _, revision = source.partition("@")
    wanted = {} if dtype is None else {"default": DTYPES[dtype], "vae": torch.float32}
    try:
        return DiffusionPipeline.from_pretrained(
            name,
            revision=revision or None,
            local_files_only=True,
            use_safetensors=True,
            **({"torch_dtype": wanted} if wanted else {}),
        )
    except (OSError, ValueError, ImportError) as error:
        raise GeneratorNotFoundError(
            f"the generator {source!r} cannot be loaded: expected the folder of a diffusers "
            f"pipeline, or an id that is in the local model cache ({_first_sentence(error)})"
        ) from error


def _builder(pipeline: Any, source: str) -> Build:
    name = type(pipeline).__name__
    found = FAMILIES.get(name) or _from_outside(name)
    if found is None:
        raise GeneratorNotFoundError(
            f"the generator {source!r} is a {name}; known are {', '.join(sorted(FAMILIES))}, and "
            f"no installed package has an entry point {name} in the group {GROUP}"
        )
    build: Build = resolve_name(found) if isinstance(found, str) else found
    return build


def _from_outside(name: str) -> Build | None:
    for each in entry_points(group=GROUP, name=name):
        build: Build = each.load()
        return build
    return None


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
