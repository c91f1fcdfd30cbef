"""Preference records as arrays: rows to be scored, pairs of them, labels, order of training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from formats.labels import CLASSES, SIGN, Label
from formats.records import ImageRef, PreferenceRecord, VideoRef
from models_rm.clips.frame_cache import FrameCache
from models_rm.clips.start_images import StartImage
from models_rm.clips.video import Clip, FrameRule


@dataclass(frozen=True, slots=True)
class Row:
    """One clip with one prompt: what a reward belongs to."""

    video: VideoRef
    prompt: str
    image: ImageRef | None = None  # what the clip was to start from


@dataclass(frozen=True, slots=True)
class Pairs:
    """N pairs over R rows, D dimensions. A clip that many pairs share is one row."""

    keys: tuple[str, ...]
    rows: tuple[Row, ...]
    a: NDArray[np.int64]  # [N], indices of rows
    b: NDArray[np.int64]  # [N]
    preference: NDArray[np.int64]  # [N, D]: +1, 0, -1; 0 where not valid
    valid: NDArray[np.bool_]  # [N, D]: people judged it, and not `invalid`
    posterior: NDArray[
        np.float32
    ]  # [N, D, 3]: P(A), P(tie), P(B); one-hot where only a label is there
    votes: NDArray[np.float32]  # [N, D, 3]: weights of the annotators who said A, tie, B
    score_a: NDArray[np.float32]  # [N, D], 1 to 5, NaN where nobody gave one
    score_b: NDArray[np.float32]  # [N, D]
    prompts: tuple[str, ...]  # [N], the clusters of the bootstrap

    def __len__(self) -> int:
        return len(self.a)


Reliability = Mapping[str, Mapping[str, float]]  # annotator, dimension


def pairs_of(
    records: Iterable[PreferenceRecord],
    keys: Sequence[str],
    reliability: Reliability | None = None,
) -> Pairs:
    """`reliability`: what a judgement weighs among the `votes`; without it, each weighs 1."""
    records = list(records)
    rows: dict[Row, int] = {}
    # A clip that was scored alone stands on both sides: it has its scores there too.
    ends = [
        [
            rows.setdefault(Row(video, record.prompt, record.image), len(rows))
            for video in (record.video_a, record.video_b or record.video_a)
        ]
        for record in records
    ]
    shape = (len(records), len(keys))
    preference = np.zeros(shape, dtype=np.int64)
    valid = np.zeros(shape, dtype=bool)
    posterior = np.zeros((*shape, 3), dtype=np.float32)
    votes = np.zeros((*shape, 3), dtype=np.float32)
    scores = np.full((2, *shape), np.nan, dtype=np.float32)
    for n, record in enumerate(records):
        scores_b = record.scores_b if record.video_b else record.scores_a
        for d, key in enumerate(keys):
            label = record.labels.get(key)
            if label in SIGN:
                preference[n, d] = SIGN[label]
                valid[n, d] = True
            posterior[n, d] = _soft(record, key, label)
            votes[n, d] = _counted(record, key, label, reliability or {})
            scores[0, n, d] = record.scores_a.get(key, np.nan)
            scores[1, n, d] = scores_b.get(key, np.nan)
    index = np.array(ends, dtype=np.int64).reshape(-1, 2)
    return Pairs(
        keys=tuple(keys),
        rows=tuple(rows),
        a=index[:, 0],
        b=index[:, 1],
        preference=preference,
        valid=valid,
        posterior=posterior,
        votes=votes,
        score_a=scores[0],
        score_b=scores[1],
        prompts=tuple(record.prompt for record in records),
    )


def _soft(record: PreferenceRecord, key: str, label: Label | None) -> NDArray[np.float32]:
    if label is Label.INVALID:
        return np.zeros(3, dtype=np.float32)
    if key in record.posterior:
        return np.asarray(record.posterior[key], dtype=np.float32)
    return np.array([label is each for each in CLASSES], dtype=np.float32)


def _counted(
    record: PreferenceRecord, key: str, label: Label | None, reliability: Reliability
) -> NDArray[np.float32]:
    """The judgements of one entry by class; a label that was imported is one vote."""
    counts = np.zeros(3, dtype=np.float32)
    if label is Label.INVALID:
        return counts
    if not record.judgements:
        return np.array([label is each for each in CLASSES], dtype=np.float32)
    for annotator, dimension, word in record.judgements:
        if dimension == key and word in CLASSES:
            counts[CLASSES.index(word)] += reliability.get(annotator, {}).get(key, 1.0)
    return counts


class Clips:
    """Clips of rows below one root, decoded once into a cache."""

    def __init__(self, root: Path, rule: FrameRule, cache: FrameCache):
        self._root = root
        self._rule = rule
        self.cache = cache

    def read(self, row: Row) -> Clip:
        return self.read_video(row.video, row.image)

    def read_video(self, video: VideoRef, image: ImageRef | None = None) -> Clip:
        start = StartImage.of(image, self._root)
        return self.cache.read(self._root / video.path, video.sha256, self._rule, start)

    def decode(self, video: VideoRef, image: ImageRef | None = None) -> None:
        """Have the frames of a clip in the cache; ClipUnreadableError where there are none."""
        start = StartImage.of(image, self._root)
        if not self.cache.holds(self._root / video.path, video.sha256, self._rule, start):
            self.read_video(video, image)


def sharing(pairs: Pairs) -> NDArray[np.int64]:  # [N]
    """The group of each pair: pairs that share a clip, directly or through others, are in one."""
    count = len(pairs.rows)
    links = coo_array((np.ones(len(pairs)), (pairs.a, pairs.b)), shape=(count, count))
    _, group = connected_components(links, directed=False)
    found: NDArray[np.int64] = group[pairs.a].astype(np.int64)
    return found


class PairOrder:
    """Which pairs a step sees: a pure function of (seed, step, world size), without a cursor.

    Groups are shuffled, and the pairs of one group stay together: they share clips, and a clip is
    looked at once per step however many of its pairs are there (InstructGPT, arXiv 2203.02155,
    section 3.5, trains all comparisons of a prompt as one batch element for the same reason). Pairs
    of one prompt that share nothing are in different groups, so that a step sees more prompts.
    """

    def __init__(self, groups: Sequence[str] | NDArray[np.int64], seed: int):
        self._seed = seed
        _, group = np.unique(np.asarray(groups), return_inverse=True)
        self._group = group
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def step(
        self, step: int, count: int, *, rank: int = 0, world: int = 1
    ) -> NDArray[np.int64]:  # [count / world]
        """What process `rank` of `world` sees of the `count` pairs of a step.

        All processes together see the same pairs however many they are. Neighbours stay in one
        process, so that pairs of one prompt still share their clips. Epochs follow each other
        without a gap.
        """
        total = len(self._group)
        places = np.array_split(np.arange(step * count, (step + 1) * count), world)[rank]
        return np.array(
            [self._epoch(int(p) // total)[int(p) % total] for p in places], dtype=np.int64
        )

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            self._epochs.clear()
            rng = np.random.default_rng([self._seed, epoch])
            of_group = rng.permutation(self._group.max() + 1)[self._group]
            self._epochs[epoch] = np.lexsort((rng.random(len(self._group)), of_group))
        return self._epochs[epoch]
