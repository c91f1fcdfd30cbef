"""Decoded and resized frames on disk, mapped into memory, shared by any number of processes.

    cache = FrameCache(Path("var/frames"), megabytes=2048)
    clip = cache.read(path, sha256, rule)

One file per clip and rule; its name is a hash of everything that decided the frames. No locks:

- An entry is written beside its place and renamed into it, so a reader sees all of it or nothing.
  Two processes that decode one clip at once write the same bytes; the later rename wins.
- Length and checksum stand in front of the frames. What does not fit them (a power cut, a failing
  disk, another program) is thrown away and decoded again; `damaged` counts it.
- Reading marks an entry as used. When the folder grows too large the entries that were not used for
  longest are unlinked; who has one mapped keeps it until done.

The folder stays below its limit, but for one entry of each process, as long as at most four write
to it at once: each looks at the folder again after it has added 1/32 of the limit, and makes room
down to 3/4 above 7/8.
"""

import errno
import hashlib
import json
import math
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import av
import numpy as np
import torch

from formats.files import sha256_of
from models_rm.clips.start_images import StartImage, with_start
from models_rm.clips.video import Clip, FrameRule, read_clip
from models_rm.errors import ClipUnreadableError

VERSION: Final = 2  # of the entries; another version is another key
# Magic, frames, height, width, frames per second, bytes of frames, their checksum.
_HEADER: Final = struct.Struct("<8sIIIdQI")
_MAGIC: Final = b"tbframes"
_CHANNELS: Final = 3
_START: Final = 64  # where the frames begin
_STALE: Final = 3600.0  # seconds after which a half-written entry belongs to nobody


class FrameCache:
    """Clips as the frame rule wants them; `megabytes` 0 keeps nothing and decodes each time."""

    def __init__(self, folder: Path, megabytes: int):
        self._folder = folder
        self._limit = megabytes * 2**20
        self._unseen = math.inf  # bytes added since the folder was last looked at
        self._verified: set[tuple[str, int, int]] = set()
        self.hits = 0
        self.misses = 0
        self.damaged = 0
        self.seconds = 0.0  # spent on decoding

    @classmethod
    def of_run(cls, run_dir: Path, megabytes: int) -> "FrameCache":
        """The folder that TIEBREAK_FRAME_CACHE names, shared by runs; else one in the run's."""
        folder = os.environ.get("TIEBREAK_FRAME_CACHE") or run_dir / "frames"
        return cls(Path(folder), megabytes)

    def read(
        self, path: Path, sha256: str, rule: FrameRule, start: StartImage | None = None
    ) -> Clip:
        """The frames of a file, from the cache if they are there; behind the start image, if the
        rule wants one.

        `sha256` is what the file must be; empty trusts path, size and time of change instead.
        ClipUnreadableError where it cannot be decoded or is another file.
        """
        entry = self._folder / key_of(path, sha256, rule, start)
        clip = self._mapped(entry) if self._limit else None
        if clip is not None:
            self.hits += 1
            return clip
        self.misses += 1
        started = time.perf_counter()
        clip = with_start(read_clip(path, rule), start, rule)
        _refuse_other(path, sha256)
        self.seconds += time.perf_counter() - started
        if clip.frames.nbytes + _START <= self._limit:
            self._keep(entry, clip)
        return clip

    def holds(
        self, path: Path, sha256: str, rule: FrameRule, start: StartImage | None = None
    ) -> bool:
        """Whether an entry is there; it may still turn out damaged."""
        return bool(self._limit) and (self._folder / key_of(path, sha256, rule, start)).is_file()

    # Reading

    def _mapped(self, entry: Path) -> Clip | None:
        try:
            with entry.open("rb") as file:
                stat = os.fstat(file.fileno())
                # A private map: nobody can write through it, and torch takes it for writable.
                space = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if stat.st_size else b""
                )
                with suppress(PermissionError):  # another account's entry: used all the same
                    os.utime(file.fileno())
        except FileNotFoundError:
            return None
        known = (entry.name, stat.st_ino, stat.st_size)
        clip = clip_of_entry(space, checked=known in self._verified)
        if clip is None:
            self.damaged += 1
            entry.unlink(missing_ok=True)
        else:
            self._verified.add(known)
        return clip

    # Writing

    def _keep(self, entry: Path, clip: Clip) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            size = write_entry(entry, clip)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise OSError(
                error.errno,
                "the disk of the frame cache is full; make room there, name another folder in"
                " TIEBREAK_FRAME_CACHE, or set cache_megabytes to 0",
                str(self._folder),
            ) from error
        self._unseen += size
        if self._unseen >= self._limit / 32:
            self._make_room()
            self._unseen = 0

    def _make_room(self) -> None:
        """Unlink what was not used for longest, if the folder is too large."""
        entries = sorted(_entries(self._folder))
        held = sum(size for _, size, _ in entries)
        if held <= self._limit * 7 / 8:
            return
        for _, size, path in entries:
            if held <= self._limit * 3 / 4:
                break
            if path.suffix == ".frames":  # what is half written belongs to its writer
                path.unlink(missing_ok=True)
                held -= size


def key_of(path: Path, sha256: str, rule: FrameRule, start: StartImage | None = None) -> str:
    """The name of an entry: content of the file, frame rule, decoder; content of the start image,
    where the rule wants one."""
    contents = [sha256 or _as_it_lies(path, "clip")]
    if rule.start_frames and start is not None:
        contents.append(_content_of(start))
    decoder = [av.__version__, *av.library_versions["libavcodec"], torch.__version__]
    words = json.dumps([VERSION, contents, asdict(rule), decoder], sort_keys=True)
    return f"{hashlib.sha256(words.encode()).hexdigest()[:40]}.frames"


def _content_of(start: StartImage) -> str:
    if isinstance(start.picture, Path):
        return start.sha256 or _as_it_lies(start.picture, "start image")
    shape = f"{start.picture.shape} ".encode()
    return hashlib.sha256(shape + start.picture.tobytes()).hexdigest()


def _as_it_lies(path: Path, what: str) -> str:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise ClipUnreadableError(f"the {what} is missing", path=path) from None
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def write_entry(entry: Path, clip: Clip) -> int:
    """Write a whole entry at once; gives its size in bytes."""
    pixels = memoryview(clip.frames.contiguous().numpy()).cast("B")
    count, _, height, width = clip.frames.shape
    fields = (count, height, width, clip.fps, len(pixels), zlib.crc32(pixels))
    header = _HEADER.pack(_MAGIC, *fields)
    half = entry.with_name(f".{entry.name}.{os.getpid()}.{secrets.token_hex(4)}.half")
    try:
        with half.open("wb") as file:
            file.write(header.ljust(_START, b"\0"))
            file.write(pixels)
        half.replace(entry)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return _START + len(pixels)


def clip_of_entry(space: mmap.mmap | bytes, *, checked: bool = False) -> Clip | None:
    """The clip in the bytes of an entry; None where they are not whole."""
    if len(space) < _START:
        return None
    magic, count, height, width, fps, length, checksum = _HEADER.unpack_from(space)
    shape = (count, _CHANNELS, height, width)
    if magic != _MAGIC or length != math.prod(shape) or len(space) != _START + length:
        return None
    pixels = np.frombuffer(space, dtype=np.uint8, offset=_START)
    if not checked and zlib.crc32(memoryview(space)[_START:]) != checksum:
        return None
    return Clip(torch.from_numpy(pixels.reshape(shape)), fps=fps)


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(last use, bytes, path) of what lies there; what a killed process left is removed."""
    with os.scandir(folder) as found:
        for each in found:
            with suppress(FileNotFoundError):
                stat = each.stat()
                if each.name.endswith(".half") and time.time() - stat.st_mtime > _STALE:
                    Path(each.path).unlink()
                elif each.name.endswith((".frames", ".half")):
                    yield stat.st_mtime_ns, stat.st_size, Path(each.path)


def _refuse_other(path: Path, sha256: str) -> None:
    """A cache that others share must not learn one clip under the name of another."""
    if sha256 and sha256_of(path) != sha256:
        raise ClipUnreadableError(
            f"the file is not the clip that the records name: its hash is not {sha256[:12]}...",
            path=path,
        )
