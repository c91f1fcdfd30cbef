"""A reward model held against a snapshot and against the probes: figures, ceiling, alarms."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.dimensions import Dimension
from models_rm.clips.start_images import StartImage, with_start
from models_rm.clips.video import read_clip
from models_rm.preferences.data import Pairs
from models_rm.probes.asking import Subject, Video
from models_rm.probes.questions import run_probes
from models_rm.reward_models.members import Seen
from models_rm.scoring import RewardModel

# What counts as the same reward, in standard deviations: bfloat16 keeps eight bits.
_TOLERANCE: Final = {"float32": 1e-3, "bfloat16": 5e-2}


def probe(
    model: RewardModel,
    pairs: Pairs,
    root: Path,
    *,
    limit: int,
    batch_size: int,
    check: Callable[[], None],
) -> list[dict[str, Any]]:
    """Ask a model all probes about pairs whose clips lie below `root`."""
    known = {
        root / row.video.path: Known(row.video.sha256, StartImage.of(row.image, root))
        for row in pairs.rows
    }
    subject = subject_of(model, known, batch_size=batch_size, check=check)
    return run_probes(subject, pairs, root, limit=limit)


class Known(NamedTuple):
    """Of a clip's file: its sha256, by which a cache finds its frames, and its start image."""

    sha256: str = ""
    start: StartImage | None = None


def subject_of(
    model: RewardModel, known: Mapping[Path, Known], *, batch_size: int, check: Callable[[], None]
) -> Subject:
    """A reward model, of one network or composed, as the probes see it."""
    rules = model.frame_rules

    def read(video: Video) -> Seen:
        if isinstance(video, Path):
            found = known.get(video, Known())
            return model.read(video, sha256=found.sha256, start=found.start)
        # Frames that a probe makes are a clip that starts as it should.
        return model.read(video, start=StartImage(video[0]))

    def read_at(path: Path, fps: float) -> Seen:
        slower = [replace(rule, fps=fps) for rule in rules]
        start = known.get(path, Known()).start
        return Seen(tuple(with_start(read_clip(path, rule), start, rule) for rule in slower))

    def frames(path: Path) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = read_clip(path, rules[0]).frames.permute(0, 2, 3, 1).numpy()
        return found

    return Subject(
        dimensions=dimensions_of(model),
        theta=[model.theta[key] for key in model.dimensions],
        fps=rules[0].fps,
        read=read,
        read_at=read_at,
        frames=frames,
        rewards=lambda seen, prompts: model.judge(seen, prompts).reward,
        batch_size=batch_size,
        tolerance=_tolerance(model),
        check=check,
    )


def dimensions_of(model: RewardModel) -> tuple[Dimension, ...]:
    """In the order of the rewards."""
    known = {
        each.key: each for member in model.members for each in member.card.dimensions.dimensions
    }
    return tuple(known[key] for key in model.dimensions)


def _tolerance(model: RewardModel) -> float:
    # What learns is float32 in every backbone, so one parameter does not tell.
    found = {
        str(parameter.dtype).removeprefix("torch.")
        for member in model.members
        for parameter in member.network.backbone.parameters()
    }
    return max(_TOLERANCE.get(name, _TOLERANCE["float32"]) for name in found)
