"""The perceptual hash: near for copies that were encoded otherwise, far for other clips."""

from pathlib import Path

import av
import numpy as np
import pytest

from annotation.media.looks import ALIKE, BITS, alike, distance, perceptual_hash
from annotation.media.probing import probe

WORLD = 24  # clips of the little world below


def scene(seed: int, *, moving: bool = True, frames: int = 12) -> list[np.ndarray]:
    """A smooth background with three blobs that move, all decided by the seed."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:96, 0:96] / 96
    slope = chance.uniform(-60, 60, (2, 3))
    base = 128 + slope[0] * (rows[..., None] - 0.5) + slope[1] * (columns[..., None] - 0.5)
    place, speed = chance.uniform(0.2, 0.8, (3, 2)), chance.uniform(-0.3, 0.3, (3, 2))
    colour = chance.uniform(-120, 120, (3, 3))
    pictures = []
    for number in range(frames):
        picture = base.copy()
        for at, step, shade in zip(place, speed, colour, strict=True):
            y, x = at + (step * number / frames if moving else 0)
            blob = np.exp(-(((rows - y) ** 2 + (columns - x) ** 2) / 0.015))
            picture += blob[..., None] * shade
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    return pictures


def written(
    path: Path, pictures: list[np.ndarray], *, codec: str = "libx264", side: int = 96, crf: int = 20
) -> str:
    options = {"crf": str(crf)} if codec == "libx264" else {}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=12, options=options)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(side, side, "yuv420p")))
        container.mux(stream.encode(None))
    return probe(path).phash


@pytest.fixture(scope="module")
def hashes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("scenes")
    return [written(folder / f"{seed}.mp4", scene(seed)) for seed in range(WORLD)]


@pytest.mark.parametrize(
    "how",
    [{"crf": 34}, {"codec": "mpeg4"}, {"side": 64}, {"side": 160}, {"side": 64, "crf": 32}],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_another_encoding_of_the_same_clip_looks_the_same(
    tmp_path: Path, hashes: list[str], seed: int, how: dict[str, object]
) -> None:
    copy = written(tmp_path / "copy.mp4", scene(seed), **how)  # type: ignore[arg-type]
    assert distance(copy, hashes[seed]) <= ALIKE


def test_other_clips_do_not_look_the_same(hashes: list[str]) -> None:
    apart = [distance(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert len(apart) == WORLD * (WORLD - 1) // 2
    assert min(apart) > ALIKE
    assert float(np.median(apart)) > BITS / 4


def test_the_same_scene_in_another_motion_does_not_look_the_same(tmp_path: Path) -> None:
    still = written(tmp_path / "still.mp4", scene(5, moving=False))
    back = written(tmp_path / "back.mp4", scene(5)[::-1])
    there = written(tmp_path / "there.mp4", scene(5))
    assert distance(there, back) > ALIKE
    assert distance(there, still) > ALIKE


def test_a_still_clip_has_one_hash_however_it_is_encoded(tmp_path: Path) -> None:
    pictures = scene(7, moving=False)
    good = written(tmp_path / "good.mp4", pictures, crf=12)
    assert distance(good, written(tmp_path / "poor.mp4", pictures, crf=32)) <= ALIKE


def test_one_frame_has_a_hash() -> None:
    assert len(perceptual_hash(np.full((1, 32, 32), 90.0))) == BITS // 4


def test_all_pairs_within_the_bound_are_found(hashes: list[str]) -> None:
    flipped = f"{int(hashes[3], 16) ^ 0b10101:032x}"
    assert alike([flipped], hashes) == [(0, 3, 3)]
    assert alike(hashes, hashes) == [(n, n, 0) for n in range(WORLD)]
    assert alike([], hashes) == alike(hashes, []) == []


@pytest.mark.shared
def test_real_clips_are_near_their_copies_and_far_from_one_another(
    shared: Path, tmp_path: Path
) -> None:
    found = {}
    for path in sorted((shared / "data" / "videoalign" / "videos").glob("example_[12]_*.mp4")):
        clip = probe(path)
        found[path.name] = clip.phash
        poor = tmp_path / path.name
        with av.open(str(path)) as original:
            pictures = [
                frame.reformat(160, 96, "rgb24").to_ndarray() for frame in original.decode(video=0)
            ]
        with av.open(str(poor), "w") as container:
            stream = container.add_stream("mpeg4", rate=24)
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert distance(probe(poor).phash, clip.phash) <= ALIKE
    apart = [distance(a, b) for a in found.values() for b in found.values() if a != b]
    assert min(apart) > 4 * ALIKE
