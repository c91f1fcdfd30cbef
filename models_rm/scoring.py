"""The public door of a reward model: load it, score clips."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
import torch

from models_rm.clips.start_images import StartImage, with_start
from models_rm.clips.video import Clip, FrameRule, clip_of_array, read_clip
from models_rm.errors import FrameRateError
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.checkpoints import ModelCard
from models_rm.reward_models.composing import load_members
from models_rm.reward_models.lanes import lanes_on, tokens_on
from models_rm.reward_models.members import Judged, Member, Prepared, Seen
from models_rm.reward_models.streaming import Limits, Task, Video, stream

# A rate is rounded to an even number of frames, so the true one may be a fifth lower.
_SLOWEST: Final = 0.79


class FrameRateWarning(UserWarning):
    """A clip has fewer frames per second than the model was trained at."""


class Clips(Protocol):
    """Where decoded frames are kept: a frame cache."""

    def read(
        self, path: Path, sha256: str, rule: FrameRule, start: StartImage | None = None
    ) -> Clip: ...


class RewardModel:
    """A trained reward model, ready to score: of one network, or composed of several."""

    def __init__(self, members: Sequence[Member]):
        self.members = tuple(members)
        rules = dict.fromkeys(member.card.frame_rule for member in members)
        self.frame_rules: tuple[FrameRule, ...] = tuple(rules)
        self.cache: Clips | None = None  # where frames are kept between runs, if anywhere

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        backbone: Path | str | Mapping[str, Path | str] | None = None,
        dtype: str = "float32",
        accept_other_libraries: bool = False,
    ) -> Self:
        """Load a verified folder. `backbone` says where the backbone lies, if it is not embedded
        and has moved since training; for a composed model one path per member, or one for all
        members that were trained on it. FormatError or BadConfigError, in one sentence, where
        anything does not fit; `accept_other_libraries` makes a warning of versions that may
        score differently."""
        members = load_members(
            Path(path), backbone, dtype, accept_other_libraries=accept_other_libraries
        )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for member in members:
            member.network.to(device)
        return cls(members)

    @property
    def lanes(self) -> int:
        """How many batches are judged at once."""
        return lanes_on(self._device)

    @property
    def batch_tokens(self) -> int:
        """Visual tokens beyond which a larger batch gains nothing."""
        return tokens_on(self._device)

    @property
    def _device(self) -> torch.device:
        return self.members[0].network.tokens.device

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(key for member in self.members for key in member.keys)

    @cached_property
    def theta(self) -> dict[str, float]:
        return {key: each.card.theta[key] for each in self.members for key in each.keys}

    @cached_property
    def calibration(self) -> Calibration:
        """Of all members together; `source` names their splits, `clips` is the smallest number."""
        parts = [(each.card.calibration, each.keys) for each in self.members]
        if len(parts) == 1:
            return parts[0][0]
        return Calibration(
            source=", ".join(dict.fromkeys(part.source for part, _ in parts)),
            clips=min(part.clips for part, _ in parts),
            mean={key: part.mean[key] for part, keys in parts for key in keys},
            std={key: part.std[key] for part, keys in parts for key in keys},
            threshold={key: part.threshold[key] for part, keys in parts for key in keys},
            uncertainty={
                key: part.uncertainty[key]
                for part, keys in parts
                for key in keys
                if key in part.uncertainty
            },
            temperature={
                key: part.temperature[key]
                for part, keys in parts
                for key in keys
                if key in part.temperature
            },
        )

    @property
    def card(self) -> ModelCard:
        """The card of a model of one network."""
        return self._only.card

    @property
    def network(self) -> RewardNetwork:
        return self._only.network

    @property
    def collator(self) -> Collator:
        return self._only.collator

    @property
    def _only(self) -> Member:
        if len(self.members) > 1:
            names = ", ".join(each.name for each in self.members)
            raise ValueError(f"the reward model is composed of {names}; ask its members")
        return self.members[0]

    def score(
        self,
        prompts: Sequence[str],
        videos: Sequence[Video],
        *,
        raw: bool = False,
        batch_size: int = 32,
        fps: float | None = None,
        images: Sequence[Path | str | np.ndarray] | None = None,
    ) -> dict[str, list[float]]:
        """One score per (prompt, video) and dimension, in float32; calibrated unless `raw`.

        A video is a path, or frames uint8 [T, H, W, 3]: with `fps`, the rate of such frames, they
        are sampled as a file is; without it they were sampled at the model's rate already.
        `images`: the start image of each clip, a path or uint8 [H, W, 3], for a model that looks at
        it. The first clip that cannot be read raises its ClipUnreadableError.
        """
        starts = _starts(images, len(videos))
        if len(prompts) != len(videos):
            raise ValueError(
                f"prompts and videos must have one length, got {len(prompts)} and {len(videos)}"
            )
        tasks = [
            Task(video, prompt, fps=fps, start=start)
            for video, prompt, start in zip(videos, prompts, starts, strict=True)
        ]
        rewards = np.empty((len(tasks), len(self.dimensions)))
        for scored in stream(self, tasks, Limits(batch_size=batch_size)):
            for each in scored:
                if each.error is not None:
                    raise each.error
                if each.slow:
                    _warn_of_slow(videos[each.row])
                rewards[each.row] = each.reward
        return self._by_dimension(rewards, raw=raw)

    @property
    def sees_start_image(self) -> bool:
        return any(rule.start_frames for rule in self.frame_rules)

    def read(
        self,
        video: Video,
        *,
        sha256: str = "",
        fps: float | None = None,
        start: StartImage | None = None,
    ) -> Seen:
        """The frames that the model looks at; ClipUnreadableError where there are none.

        Calibration holds at the rate of the training, so FrameRateError where frames come slower.
        """
        if not isinstance(video, np.ndarray):
            file = Path(video)
            return Seen(tuple(self._read_file(file, sha256, r, start) for r in self.frame_rules))
        for rule in self.frame_rules:
            if fps is not None and fps < rule.fps:
                raise FrameRateError(
                    f"frames at {fps:g} per second cannot stand for the {rule.fps:g} per second "
                    "that the reward model was trained at"
                )
        return Seen(
            tuple(
                with_start(clip_of_array(video, rule, fps=fps), start, rule)
                for rule in self.frame_rules
            )
        )

    def _read_file(
        self, path: Path, sha256: str, rule: FrameRule, start: StartImage | None
    ) -> Clip:
        if self.cache is not None and sha256:
            return self.cache.read(path, sha256, rule, start)
        return with_start(read_clip(path, rule), start, rule)

    def judge(self, seen: Sequence[Seen], prompts: Sequence[str]) -> Judged:
        """Raw rewards [N, D] in the order of `dimensions`, with deviations where they are known."""
        return self.run(self.prepare(seen, prompts))

    def prepare(self, seen: Sequence[Seen], prompts: Sequence[str]) -> Prepared:
        """What the networks will see; may be made in another thread while they work."""
        batches = []
        for member in self.members:
            which = self.frame_rules.index(member.card.frame_rule)
            batches.append(member.collator([each.clips[which] for each in seen], prompts))
        return Prepared(tuple(prompts), tuple(batches))

    def run(self, prepared: Prepared) -> Judged:
        """As `judge`, of what was prepared."""
        found = [
            member.judge(batch)
            for member, batch in zip(self.members, prepared.batches, strict=True)
        ]
        return Judged(np.concatenate([each.reward for each in found], axis=1), _deviations(found))

    def rewards(self, seen: Sequence[Seen], prompts: Sequence[str]) -> np.ndarray:
        """Raw rewards [N, D]."""
        return self.judge(seen, prompts).reward

    def tokens(self, seen: Seen) -> int:
        """Visual tokens of a clip, of the member that sees most of it."""
        return max(
            member.tokens(seen.clips[self.frame_rules.index(member.card.frame_rule)])
            for member in self.members
        )

    def is_slow(self, seen: Seen) -> bool:
        """Whether the clip has fewer frames per second than a member was trained at."""
        pairs = zip(seen.clips, self.frame_rules, strict=True)
        return any(clip.fps < _SLOWEST * rule.fps for clip, rule in pairs)

    def _by_dimension(self, rewards: np.ndarray, *, raw: bool) -> dict[str, list[float]]:
        columns = dict(zip(self.dimensions, rewards.T, strict=True))
        if raw:
            return {key: column.tolist() for key, column in columns.items()}
        return {
            key: self.calibration.scores(key, column).tolist() for key, column in columns.items()
        }


def _starts(
    images: Sequence[Path | str | np.ndarray] | None, count: int
) -> list[StartImage | None]:
    if images is None:
        return [None] * count
    if len(images) != count:
        raise ValueError(f"there must be one image per video, got {len(images)} and {count}")
    return [StartImage(each if isinstance(each, np.ndarray) else Path(each)) for each in images]


def _deviations(found: Sequence[Judged]) -> np.ndarray | None:
    if all(each.std is None for each in found):
        return None
    return np.concatenate(
        [np.full_like(each.reward, np.nan) if each.std is None else each.std for each in found],
        axis=1,
    )


def _warn_of_slow(video: Video) -> None:
    what = "an array of frames" if isinstance(video, np.ndarray) else str(video)
    warnings.warn(
        f"{what} has fewer frames per second than the reward model was trained at; "
        "its calibration does not hold for it",
        FrameRateWarning,
        stacklevel=3,
    )


def total(scores: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
    """One number of several scores: their mean, or the mean by these weights.

    VideoReward sums the three, its paper averages them: the same order. For AnimeReward no weights
    are published, so they are equal (ML.md 2.4 and 5.3). It was trained on no label of its own.
    """
    used = dict.fromkeys(scores, 1.0) if weights is None else weights
    return sum(scores[key] * weight for key, weight in used.items()) / sum(used.values())


__all__ = ["FrameRateWarning", "RewardModel", "Seen", "total"]
