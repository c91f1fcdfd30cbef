"""The judges of a run while it trains: the reward model of its pairs, and one of nobody's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from formats.files import sha256_of
from formats.records import ImageRef
from formats.supervised import BadConfigError, Supervised
from models_align.images import start_image
from models_rm.scoring import RewardModel

REWARD: Final = "reward"  # the training judge
JUDGE: Final = "judge"  # the independent one
# The role of each judge in inputs.json, and of the backbone it was trained on where it has moved.
_ROLES: Final = {REWARD: ("reward_model", "reward_backbone"), JUDGE: ("judge", "judge_backbone")}


def judges_of(run: Supervised) -> dict[str, RewardModel]:
    """The judges among the inputs, loaded. One that is both is no independent one."""
    given = {name: roles for name, roles in _ROLES.items() if run.dir.has_input(roles[0])}
    folders = {name: run.dir.input(roles[0]) for name, roles in given.items()}
    if len({sha256_of(folder / "manifest.json") for folder in folders.values()}) < len(folders):
        raise BadConfigError(
            "the judge is the reward model itself; an independent judge is one that was not used "
            "to build the pairs"
        )
    return {
        name: RewardModel.load(folders[name], backbone=_input(run, backbone))
        for name, (_, backbone) in given.items()
    }


def _input(run: Supervised, role: str) -> Path | None:
    return run.dir.input(role) if run.dir.has_input(role) else None


def scored(
    judges: Mapping[str, RewardModel],
    prompts: Sequence[str],
    files: Sequence[Path],
    images: Sequence[ImageRef | None],
    media_root: Path,
) -> list[dict[str, dict[str, float]]]:
    """Per clip: judge -> dimension -> calibrated score, as a scoring run on these files finds."""
    rows: list[dict[str, dict[str, float]]] = [{} for _ in files]
    for name, model in judges.items():
        starts = _starts(images, media_root) if model.sees_start_image else None
        found = model.score(prompts, list(files), images=starts)
        for number, row in enumerate(rows):
            row[name] = {key: values[number] for key, values in found.items()}
    return rows


def _starts(images: Sequence[ImageRef | None], media_root: Path) -> list[np.ndarray]:
    if any(each is None for each in images):
        raise BadConfigError("a judge looks at start images, and a watched prompt has none")
    return [start_image(each, media_root).numpy() for each in images if each is not None]
