"""The frame cache: decoded once, whole or not at all, bounded, and shared by processes."""

import errno
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models_rm.clips import frame_cache
from models_rm.clips.frame_cache import FrameCache, key_of, write_entry
from models_rm.clips.video import Clip, FrameRule, read_clip
from models_rm.errors import ClipUnreadableError

SMALL = FrameRule(8.0, 4, 768, 56 * 56, 56 * 56, 28)
ENTRY = 64 + 8 * 3 * 56 * 56  # bytes of one small clip


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.frames"))


def test_a_clip_is_decoded_once_by_all_processes(media: Any, tmp_path: Path) -> None:
    folder, clips = media
    first = FrameCache(tmp_path, megabytes=10)
    decoded = [first.read(folder / clip.path, clip.sha256, SMALL) for clip in clips]
    second = FrameCache(tmp_path, megabytes=10)
    again = [second.read(folder / clip.path, clip.sha256, SMALL) for clip in clips]
    assert (first.misses, first.hits) == (len(clips), 0)
    assert (second.misses, second.hits) == (0, len(clips))
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(decoded, again, strict=True))
    assert [clip.fps for clip in decoded] == [clip.fps for clip in again]


def test_frames_of_the_cache_are_mapped_and_writing_to_them_changes_nothing(
    media: Any, tmp_path: Path
) -> None:
    folder, clips = media
    path, sha256 = folder / clips[0].path, clips[0].sha256
    cache = FrameCache(tmp_path, megabytes=10)
    plain = cache.read(path, sha256, SMALL).frames.clone()
    cache.read(path, sha256, SMALL).frames.zero_()
    assert torch.equal(cache.read(path, sha256, SMALL).frames, plain)


def test_the_key_is_all_that_decides_the_frames(media: Any, tmp_path: Path) -> None:
    path, sha256 = tmp_path / "a.mp4", "0" * 64
    base = key_of(path, sha256, SMALL)
    others = [replace(SMALL, fps=4.0), replace(SMALL, max_pixels=60 * 60), replace(SMALL, name="x")]
    keys = {base, key_of(path, "1" * 64, SMALL), *(key_of(path, sha256, each) for each in others)}
    assert len(keys) == 5
    assert key_of(tmp_path / "elsewhere.mp4", sha256, SMALL) == base


def test_another_decoder_is_another_key(tmp_path: Path, monkeypatch: Any) -> None:
    base = key_of(tmp_path, "0" * 64, SMALL)
    monkeypatch.setattr(frame_cache.av, "__version__", "0.0")
    assert key_of(tmp_path, "0" * 64, SMALL) != base


def test_without_a_hash_a_changed_file_is_another_clip(media: Any, tmp_path: Path) -> None:
    folder, clips = media
    path = tmp_path / "clip.mp4"
    path.write_bytes((folder / clips[0].path).read_bytes())
    cache = FrameCache(tmp_path / "frames", megabytes=10)
    dark = cache.read(path, "", SMALL).frames.float().mean()
    path.write_bytes((folder / clips[7].path).read_bytes())
    os.utime(path, ns=(1, 1))
    assert cache.read(path, "", SMALL).frames.float().mean() > dark + 100


def test_a_file_that_is_not_the_recorded_one_is_refused(media: Any, tmp_path: Path) -> None:
    folder, clips = media
    cache = FrameCache(tmp_path, megabytes=10)
    with pytest.raises(ClipUnreadableError, match="not the clip that the records name"):
        cache.read(folder / clips[0].path, clips[1].sha256, SMALL)
    assert not entries(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:40],
        lambda data: b"",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: b"x" + data[1:],
        lambda data: data + b"more",
    ],
    ids=["cut off", "half a header", "empty", "one bit", "another file", "too long"],
)
def test_a_damaged_entry_is_decoded_again(media: Any, tmp_path: Path, damage: Any) -> None:
    folder, clips = media
    path, sha256 = folder / clips[0].path, clips[0].sha256
    good = FrameCache(tmp_path, megabytes=10).read(path, sha256, SMALL).frames.clone()
    entry = entries(tmp_path)[0]
    entry.write_bytes(damage(entry.read_bytes()))
    cache = FrameCache(tmp_path, megabytes=10)
    assert torch.equal(cache.read(path, sha256, SMALL).frames, good)
    assert (cache.damaged, cache.misses) == (1, 1)
    assert torch.equal(cache.read(path, sha256, SMALL).frames, good)
    assert (cache.damaged, cache.hits) == (1, 1)


def test_the_folder_stays_below_its_limit_and_the_oldest_leave_first(
    media: Any, tmp_path: Path
) -> None:
    folder, clips = media
    rules = [replace(SMALL, max_pixels=56 * 56 + n) for n in range(4)]  # 32 entries, 2.4 MB
    cache = FrameCache(tmp_path, megabytes=1)
    used = key_of(folder / clips[0].path, clips[0].sha256, rules[0])
    for number, (rule, clip) in enumerate((rule, clip) for rule in rules for clip in clips):
        cache.read(folder / clip.path, clip.sha256, rule)
        for age, entry in enumerate(entries(tmp_path)):  # the clock is too coarse for a test
            if entry.stat().st_mtime > 1e9:
                os.utime(entry, (number + age / 100, number + age / 100))
        cache.read(folder / clips[0].path, clips[0].sha256, rules[0])  # used all the time
        held = entries(tmp_path)
        assert sum(entry.stat().st_size for entry in held) <= 2**20
        assert used in {entry.name for entry in held}
    assert len(held) >= 2**20 * 3 // 4 // ENTRY - 1


def test_no_megabytes_keep_nothing(media: Any, tmp_path: Path) -> None:
    folder, clips = media
    cache = FrameCache(tmp_path / "frames", megabytes=0)
    for _ in range(2):
        cache.read(folder / clips[0].path, "", SMALL)
    assert (cache.hits, cache.misses) == (0, 2)
    assert not (tmp_path / "frames").exists()


def test_a_full_disk_is_named(media: Any, tmp_path: Path, monkeypatch: Any) -> None:
    folder, clips = media

    def full(entry: Path, clip: Clip) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(frame_cache, "write_entry", full)
    with pytest.raises(OSError, match="disk of the frame cache is full") as caught:
        FrameCache(tmp_path, megabytes=10).read(folder / clips[0].path, "", SMALL)
    assert caught.value.errno == errno.ENOSPC


def test_what_a_killed_writer_left_is_cleared_away(media: Any, tmp_path: Path) -> None:
    folder, clips = media
    old, young = tmp_path / ".a.half", tmp_path / ".b.half"
    for half in (old, young):
        half.write_bytes(b"x")
    os.utime(old, (1, 1))
    FrameCache(tmp_path, megabytes=10).read(folder / clips[0].path, "", SMALL)
    assert (old.exists(), young.exists()) == (False, True)


def without_rename(entry: Path, clip: Clip) -> int:
    """The mutant: writes an entry where it is read, in two pieces."""
    whole = entry.with_suffix(".whole")
    size = write_entry(whole, clip)
    data = whole.read_bytes()
    with entry.open("wb") as file:
        file.write(data[: size // 2])
        file.flush()
        time.sleep(0.02)
        file.write(data[size // 2 :])
    return size


def work(folder: Path, frames: Path, names: list[tuple[str, str]], seed: int, out: Any) -> None:
    """Read clips in an order of one's own; report what was damaged and what was wrong."""
    torch.set_num_threads(1)
    cache = FrameCache(frames, megabytes=1)
    rng = np.random.default_rng(seed)
    rules = [replace(SMALL, max_pixels=56 * 56 + n) for n in range(3)]
    right = {name: read_clip(folder / name, SMALL).frames for name, _ in names}
    wrong, largest = 0, 0
    for number in range(120):
        name, sha256 = names[rng.integers(len(names))]
        clip = cache.read(folder / name, sha256, rules[rng.integers(len(rules))])
        wrong += not torch.equal(clip.frames, right[name])
        if number % 10 == 0:
            largest = max(largest, sum(size for _, size, _ in frame_cache._entries(frames)))
    out.put((cache.damaged, wrong, largest))


def four_processes(media: Any, frames: Path) -> list[tuple[int, int, int]]:
    """All at once, with room for 13 of the 24 entries."""
    folder, clips = media
    context = multiprocessing.get_context("fork")
    names = [(clip.path, clip.sha256) for clip in clips]
    out: Any = context.Queue()
    workers = [
        context.Process(target=work, args=(folder, frames, names, seed, out)) for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    found = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    return found


def test_processes_that_write_and_make_room_at_once_never_see_half_an_entry(
    media: Any, tmp_path: Path
) -> None:
    found = four_processes(media, tmp_path)
    assert [(damaged, wrong) for damaged, wrong, _ in found] == [(0, 0)] * 4
    entry = max(size for _, size, _ in frame_cache._entries(tmp_path))
    # Each looks after it has written, and who looks may see an entry twice while it is renamed.
    assert max(largest for _, _, largest in found) <= 2**20 * 7 / 8 + 2 * 4 * entry


def test_without_the_rename_the_same_processes_do(
    media: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(frame_cache, "write_entry", without_rename)
    assert sum(damaged for damaged, _, _ in four_processes(media, tmp_path)) > 0
