"""What the processes of a run print: kept within a cap while it grows, read by byte offset.

A log of any length keeps its beginning and its end. What lies between goes as a hole in the file:
offsets stay what they were, a child that appends notices nothing, and no reader is in its way.
"""

import codecs
import ctypes
import errno
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from django.conf import settings

from formats.logs import readable as of_json
from formats.run_dir import RunDir

logger = logging.getLogger(__name__)
_BLOCK: Final = 64 * 1024
_LEFT_OUT: Final = "[{} bytes left out: the log had grown too long]"
_LEAST: Final = 256 * 1024  # of one log, however many share the cap
_PAGE: Final = 4096  # of a file system: holes are made of whole ones
_KEEP_SIZE_AND_PUNCH: Final = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

# Escape sequences of terminals (ECMA-48): CSI in both spellings, OSC and other strings, short ones.
_CSI: Final = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
_STRING: Final = r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
_SHORT: Final = r"\x1b[ -/]*[0-~]?"
_ESCAPES: Final = re.compile(f"{_CSI}|{_STRING}|{_SHORT}")
# Other control characters but for tab and line end, and marks that turn the order of what follows.
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, slots=True)
class Log:
    """A block of a log: `text` begins at byte `start` and ends before byte `end` of `size`.

    `left_out` bytes before `start` are gone, because the log had grown too long.
    """

    text: str
    start: int
    end: int
    size: int
    left_out: int = 0


# Reading.


def readable(text: str) -> str:
    """What a program printed, as plain text: no escape sequences, no control characters.

    Of a line that was drawn over itself (a progress bar) the last state is left; of a line of JSON
    (formats/logs.py) its time and message.
    """
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))
    return _CONTROLS.sub("", "\n".join(map(of_json, lines)))


def read_from(file: Path, offset: int | None) -> Log:
    """The log behind a byte offset, in whole lines; without one, its end."""
    if not file.exists():
        return Log("", 0, 0, 0)
    with file.open("rb") as log:
        size = os.fstat(log.fileno()).st_size
        start = max(0, size - _BLOCK) if offset is None else min(offset, size)
        gap = _gap(log)
        left_out = 0
        if gap is not None and gap[0] <= start < gap[1]:
            start, left_out = gap[1], gap[1] - gap[0]
        log.seek(start)
        block = log.read(_upto(start, gap))
    if start and (offset is None or left_out):
        cut = block.find(b"\n") + 1  # What follows a cut begins with a whole line.
        start, block = start + cut, block[cut:]
    block = _whole(block)
    text = readable(block.decode("utf-8", errors="replace"))
    return Log(text, start, start + len(block), size, left_out)


def _upto(start: int, gap: tuple[int, int] | None) -> int:
    return _BLOCK if gap is None or start >= gap[1] else min(_BLOCK, gap[0] - start)


def _whole(block: bytes) -> bytes:
    """Up to the last line end; where there is none, up to the last whole letter."""
    if end := block.rfind(b"\n") + 1:
        return block[:end]
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(block)
    cut_in_two = len(decoder.getstate()[0])
    return block[: len(block) - cut_in_two] or block


def download(file: Path) -> Iterator[bytes]:
    """All that is left of a log, as plain text, with a line where something is missing."""
    offset = 0
    while True:
        log = read_from(file, offset)
        if log.left_out:
            yield f"{_LEFT_OUT.format(log.left_out)}\n".encode()
        yield log.text.encode()
        if log.end <= offset:
            return
        offset = log.end


def tail(folder: RunDir, lines: int = 12) -> str:
    """The last lines that the processes of a run printed, those of the first one at the end."""
    logs = folder.logs()
    found = [
        f"process {rank}: {line}"
        for rank, file in logs.items()
        if rank
        for line in _last_lines(file, 4)
    ]
    return "\n".join([*found, *(_last_lines(logs[0], lines) if 0 in logs else [])]).strip()


def _last_lines(file: Path, lines: int) -> list[str]:
    with file.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
        text = log.read().decode(errors="replace")
    return [line.rstrip() for line in readable(text).splitlines()[-lines:]]


# Keeping short.


@contextmanager
def kept_short(folder: RunDir) -> Iterator[None]:
    """Cut the logs of a run while it goes on: by a thread, whatever its supervisor waits for."""
    done = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(folder, done), name=f"logs-{folder.root.name}", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        shorten(folder)


def _keep(folder: RunDir, done: threading.Event) -> None:
    while not done.wait(settings.TIEBREAK_RUN_LOG_SECONDS):
        try:
            shorten(folder)
        except OSError as error:
            logger.warning("the logs of %s were not cut: %s", folder.root, error)


def shorten(folder: RunDir) -> None:
    """Where the logs of a run hold more than the cap, take out what lies in the middle."""
    logs = folder.logs()
    for file in logs.values():
        share = int(settings.TIEBREAK_RUN_LOG_MB * 1_000_000) // len(logs)
        _shorten(file, max(share, _LEAST))


def _shorten(file: Path, cap: int) -> None:
    """Keep the first half and the newest quarter: so it need not be done again at each line."""
    with file.open("r+b") as log:
        size = os.fstat(log.fileno()).st_size
        head = _pages(cap // 2)
        gap = _gap(log)
        kept = size - (gap[1] - gap[0] if gap else 0)
        if kept <= cap * 4 // 5:
            return
        begin, end = head, _pages(size - cap // 4)
        if end > begin:
            _take_out(log, begin, end)


def _take_out(log: BinaryIO, begin: int, end: int) -> None:
    if _LIBC.fallocate(log.fileno(), _KEEP_SIZE_AND_PUNCH, begin, end - begin) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
        raise OSError(code, os.strerror(code), log.name)
    # This file system has no holes: the end is written behind the beginning once more. What is
    # printed at that very moment may be lost, and who follows the log by offset begins anew.
    log.seek(end)
    newest = log.read()
    log.truncate(begin)
    with Path(log.name).open("ab") as again:
        again.write(f"\n{_LEFT_OUT.format(end - begin)}\n".encode() + newest)


def _gap(log: BinaryIO) -> tuple[int, int] | None:
    """Where bytes were taken out: from the first hole to the first data behind it."""
    size = os.fstat(log.fileno()).st_size
    if size == 0:
        return None
    try:
        begin = os.lseek(log.fileno(), 0, os.SEEK_HOLE)
        if begin >= size:
            return None
        return begin, os.lseek(log.fileno(), begin, os.SEEK_DATA)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EINVAL):  # nothing but a hole behind; no holes known
            return None
        raise


def _pages(size: int) -> int:
    return size // _PAGE * _PAGE
