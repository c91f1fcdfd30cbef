"""Which versions of which libraries a reward model was made with, and whether these here will do.

The rule, and why, stands in docs/decisions/0015: `transformers` decides positions, attention and
how configs are read, so its major and minor number must be those of the training; `torch` decides
arithmetic and resizing, so its major number must be. The others are recorded; what they could
change shows in the fingerprint.
"""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from models_rm.errors import OtherLibrariesError

LIBRARIES: Final = ("torch", "transformers", "peft", "tokenizers", "av", "numpy")
# How many numbers of the version must agree.
GUARDED: Final = {"transformers": 2, "torch": 1}


class OtherLibrariesWarning(UserWarning):
    """A model is used with libraries that it was not trained with, because somebody said so."""


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def other_libraries(saved: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs more than the rule allows, as `name 1.2.3 then, 1.3.0 now`."""
    return [
        f"{name} {saved[name]} then, {here[name]} now"
        for name, count in GUARDED.items()
        if name in saved and _first(saved[name], count) != _first(here[name], count)
    ]


def check_libraries(saved: Mapping[str, str], path: Path, *, accept: bool) -> None:
    """OtherLibrariesError where scores may not be those of the training; a warning with `accept`.

    A card without versions was written before they were kept, and is taken.
    """
    different = other_libraries(saved, library_versions())
    if not different:
        return
    sentence = f"the reward model was made with other libraries: {'; '.join(different)}"
    if not accept:
        raise OtherLibrariesError(
            f"{sentence}; its scores may differ here "
            "(accept_other_libraries takes it all the same)",
            path=path,
        )
    warnings.warn(f"{path}: {sentence}", OtherLibrariesWarning, stacklevel=2)


def _first(number: str, count: int) -> list[str]:
    return number.partition("+")[0].split(".")[:count]
