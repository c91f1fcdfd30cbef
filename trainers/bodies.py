"""The function that does a trainer's work, by its name."""

import gc
from pkgutil import resolve_name
from typing import Any


def imported(name: str) -> Any:
    """What `module:name` names; call it under supervision, so that a broken installation leaves an
    outcome too.

    torch and its libraries are very many objects that stay. Nothing is looked for among them while
    they come (`make bench-starts`), nor in the full collections of the training afterwards.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        return resolve_name(name)
    finally:
        if collected:
            gc.freeze()
            gc.enable()
