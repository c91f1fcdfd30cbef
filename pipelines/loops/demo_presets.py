"""The numbers of one size of a demo world: a file, and one for each part that it is made of."""

import json
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from pipelines.errors import PipelineError

FIRST: Final = "first"
ANIME: Final = "anime"
WORLDS: Final = (FIRST, ANIME)

_PRESETS: Final = Path(settings.BASE_DIR) / "demo" / "presets"
_BASES: Final = ("pretrain_vlm", "pretrain_generator")
_IN_LOOP: Final = ("reward_model", "generation", "scoring")


def preset(name: str, seed: int = 0, *, world: str = FIRST) -> dict[str, Any]:
    """A preset with its sections, by its name (demo, micro) and its world.

    `seed` moves every seed but those of the base models: another world, other votes, another
    training, on the same bases.
    """
    if world not in WORLDS:
        raise PipelineError(f"there is no world {world!r}; expected one of {', '.join(WORLDS)}")
    stem = name if world == FIRST else f"{world}.{name}"
    path = _PRESETS / f"{stem}.json"
    if not path.exists():
        raise PipelineError(f"there is no preset {name!r}; expected a file {path}")
    values: dict[str, Any] = json.loads(path.read_text())
    for part in (*_BASES, *_IN_LOOP, *values["alignments"].values()):
        values[part] = json.loads((_PRESETS / f"{part}.{stem}.json").read_text())
    moved = {key: _moved(value, 1000 * seed) for key, value in values.items()}
    bases = {key: values[key] for key in _BASES}
    title = values["title"]
    return {**moved, **bases, "name": title if seed == 0 else f"{title}, seed {seed}"}


def _moved(value: Any, by: int) -> Any:
    """The same values with `by` added to each seed."""
    if isinstance(value, dict):
        return {
            key: each + by if key == "seed" else _moved(each, by) for key, each in value.items()
        }
    return value
