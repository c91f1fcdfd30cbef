"""A snapshot of the demo world without a site: clips, votes of simulated people, 1-5 scores.

The clips are those of `python -m demo render` and the people those of the demo; only the votes are
cast in this process and not through REST, so that tens of thousands of pairs take seconds.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from annotation.agreement import dawid_skene
from demo.annotators import Annotator, random_crowd
from demo.clip_files import write_clip
from demo.difficulty import consensus, vote
from demo.drawing import render
from demo.recipes import DIMENSIONS
from demo.render import Planned, RenderConfig, compared, planned
from demo.world import FPS, FRAMES
from formats.dimensions import VIDEOALIGN
from formats.errors import FormatError
from formats.files import sha256_of
from formats.labels import CLASSES, SIGN
from formats.records import PreferenceRecord, VideoRef
from formats.run_dir import Input
from formats.snapshot import read_snapshot, write_snapshot
from pipelines.loops.ceiling import ceilings

LENIENCY: Final = 0.4  # standard deviation between people, in points of the 1-5 scale
_LABEL_OF: Final = {sign: label for label, sign in SIGN.items()}
_CLASS_OF: Final = {SIGN[label]: index for index, label in enumerate(CLASSES)}


@dataclass(frozen=True, slots=True)
class World:
    """All prompts of the world, 68 % of them to train on; the demo's generators and people.

    Prompts to train on have `groups` groups of `clips` clips, of which `pairs` pairs are compared
    inside each group; held-out ones have one group and `held_out_pairs`.
    """

    seed: int
    prompts: int = 288
    groups: int = 8
    clips: int = 10
    pairs: int = 25
    held_out_pairs: int = 45
    votes: int = 3
    people: int = 12
    careless: int = 3


@dataclass(frozen=True, slots=True)
class Made:
    """Where a world lies: `snapshot` is the input of a run, `media` its media root.

    `ceilings`: what the true quality reaches against the votes on test pairs, per dimension.
    """

    snapshot: Input
    media: Path
    ceilings: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A pair to be voted on."""

    split: str
    a: Planned
    b: Planned


def make(folder: Path, world: World, processes: int = 1) -> Made:
    """Draw the clips, let people vote and score, write the snapshot; a world that is there is read.

    The same world, the same files.
    """
    rng = np.random.default_rng([world.seed, 5])
    pairs = list(_pairs(world, rng))
    clips = {each.file: each for pair in pairs for each in (pair.a, pair.b)}
    snapshot = folder / "snapshot"
    if not snapshot.is_dir():
        sha256 = _draw(folder, clips, processes)
        records = _records(world, pairs, sha256, rng)
        write_snapshot(snapshot, VIDEOALIGN, records, {"world": asdict(world)})
    found = read_snapshot(snapshot)
    if found.meta["world"] != asdict(world):
        raise FormatError("holds another world", path=snapshot)
    known = {
        video.sha256: clips[video.path].recipe.quality()
        for record in found.records
        for video in (record.video_a, record.video_b)
        if video is not None
    }
    held_out = [each for each in found.records if each.split == "test"]
    return Made(
        snapshot=Input(str(snapshot), sha256_of(snapshot / "manifest.json")),
        media=folder,
        ceilings={
            key: each.accuracy for key, each in ceilings(held_out, known, DIMENSIONS).items()
        },
    )


def _draw(folder: Path, clips: dict[str, Planned], processes: int) -> dict[str, str]:
    """Write the files; give the sha256 of each."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    jobs = [(folder, each) for each in clips.values()]
    with ProcessPoolExecutor(processes) as pool:
        return dict(zip(clips, pool.map(_drawn, jobs, chunksize=64), strict=True))


def _pairs(world: World, rng: np.random.Generator) -> Iterator[_Compared]:
    config = RenderConfig(
        seed=world.seed, prompts=world.prompts, clips_per_prompt=world.groups * world.clips
    )
    places = rng.permutation(world.prompts) / world.prompts
    for place, clips in zip(places, planned(config), strict=True):
        split = "train" if place < 0.68 else "validation" if place < 0.84 else "test"
        groups, wanted = (
            (world.groups, world.pairs) if split == "train" else (1, world.held_out_pairs)
        )
        for start in range(0, groups * world.clips, world.clips):
            group = clips[start : start + world.clips]
            yield from (_Compared(split, a, b) for a, b in compared(group, wanted))


def _drawn(job: tuple[Path, Planned]) -> str:
    """Write one clip as the demo shows it, through the generator's autoencoder; give its sha256."""
    import torch

    from demo.dct_vae import round_trip

    torch.set_num_threads(1)
    folder, each = job
    path = folder / each.file
    write_clip(path, round_trip(render(each.recipe)), FPS)
    return sha256_of(path)


def _records(
    world: World, pairs: list[_Compared], sha256: dict[str, str], rng: np.random.Generator
) -> list[PreferenceRecord]:
    crowd = [
        replace(person, leniency=float(rng.normal(0, LENIENCY)))
        for person in random_crowd(world.people, world.careless, rng)
    ]
    people = [rng.choice(len(crowd), size=world.votes, replace=False) for _ in pairs]
    cast = [
        [vote(crowd[person], pair.a.recipe, pair.b.recipe, rng) for person in chosen]
        for pair, chosen in zip(pairs, people, strict=True)
    ]
    posterior = {key: _posterior(key, people, cast) for key in DIMENSIONS}
    scores = [
        [_scores(clip, [crowd[person] for person in chosen], rng) for clip in (pair.a, pair.b)]
        for pair, chosen in zip(pairs, people, strict=True)
    ]
    return [
        PreferenceRecord(
            pair_id=f"{index:016x}",
            prompt=pair.a.prompt,
            split=pair.split,
            video_a=_video(pair.a, sha256),
            video_b=_video(pair.b, sha256),
            labels=_labels(cast[index]),
            posterior={key: posterior[key][index] for key in DIMENSIONS},
            scores_a=scores[index][0],
            scores_b=scores[index][1],
            votes=world.votes,
        )
        for index, pair in enumerate(pairs)
    ]


def _labels(cast: list[dict[str, int]]) -> dict[str, Any]:
    found = {key: consensus([each[key] for each in cast]) for key in DIMENSIONS}
    return {key: _LABEL_OF[sign] for key, sign in found.items() if sign is not None}


def _posterior(key: str, people: list[Any], cast: list[list[dict[str, int]]]) -> list[list[float]]:
    """P(A), P(tie), P(B) of each pair, as a campaign finds them: by Dawid and Skene."""
    rows = [
        (unit, int(person), _CLASS_OF[labels[key]])
        for unit, (chosen, votes) in enumerate(zip(people, cast, strict=True))
        for person, labels in zip(chosen, votes, strict=True)
    ]
    unit, person, label = np.array(rows).T
    found: list[list[float]] = dawid_skene(unit, person, label, 3).posterior.round(6).tolist()
    return found


def _scores(clip: Planned, people: list[Annotator], rng: np.random.Generator) -> dict[str, float]:
    """The mean score of those who voted on the pair."""
    given = [person.score(clip.recipe.quality(), rng) for person in people]
    return {key: math.fsum(each[key] for each in given) / len(given) for key in DIMENSIONS}


def _video(clip: Planned, sha256: dict[str, str]) -> VideoRef:
    return VideoRef(
        id=sha256[clip.file][:20],
        path=clip.file,
        sha256=sha256[clip.file],
        fps=float(FPS),
        num_frames=FRAMES,
        generator=clip.generator,
    )
