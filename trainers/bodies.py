"""The function that does a trainer's work, by its name."""

import gc
from pkgutil import resolve_name
from typing import Any


def imported(name: str) -> Any:
    """What `module:name` names; call it under supervision, so that a broken installation leaves an
    outcome too.

    torch and its libraries are over a million objects that stay. Looking through them for garbage
    while they come took a fifth of a trainer's start, and would take its time again in every full
    collection of the training; so nothing is looked for meanwhile, nor among them afterwards.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        return resolve_name(name)
    finally:
        if collected:
            gc.freeze()
            gc.enable()
