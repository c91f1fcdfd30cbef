"""Where files of strangers are opened, a process: `python -I -m annotation.media.bounded_child`.

It holds no secret, no database, no web server and no network. It reads one request per line, forks
a child for it with limits on processor time, memory, output, wall clock and what it can open
(`cage`), and answers in one line whatever that child did: gave a result, refused, ran over a limit,
crashed. `annotation.media.bounded` starts it.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from annotation.errors import MediaError
from annotation.media import cage
from annotation.media.images import Picture, read_picture
from annotation.media.overlays import overlays_of
from annotation.media.probing import MAX_PIXELS, Clip, probe
from annotation.media.renditions import write_poster, write_rendition
from annotation.media.sketches import sketch_of

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_OUTPUT_BYTES: Final = 1 << 30
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# What no file is ever given, however many pixels it has.
_MOST_SECONDS: Final = 3600
_MOST_MORE_BYTES: Final = 100 * MAX_PIXELS
Result = Mapping[str, Any]


def _probe(file: str) -> Result:
    return asdict(probe(Path(file)))


def _render(file: str, shown: str, poster: str, clip: dict[str, Any]) -> Result:
    """The copy for people and the poster of a clip that was probed."""
    write_rendition(Path(file), Path(shown), Clip(**clip))
    write_poster(Path(file), Path(poster))
    return {}


def _take(file: str, shown: str, poster: str, cpu_seconds: float, memory_bytes: int) -> Result:
    """Both in one child. The limits that were set are for the probe; rendering gets its own."""
    clip = probe(Path(file))
    more = cpu_for_rendering(clip, cpu_seconds)
    _say({"more_seconds": 1.5 * more})
    used = resource.getrusage(resource.RUSAGE_SELF)
    _raise(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + more) + 1)
    _raise(resource.RLIMIT_AS, _held() + memory_bytes + memory_for_rendering(clip))
    _render(file, shown, poster, asdict(clip))
    return asdict(clip)


def _raise(what: int, soft: int) -> None:
    """A limit that still lies below the hard one, which nothing here can raise."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (min(soft, hard), hard))


def cpu_for_rendering(clip: Clip, cpu_seconds: float) -> float:
    """What a slow machine needs for this many pixels that were really decoded."""
    return cpu_seconds + 1e-7 * clip.width * clip.height * clip.num_frames


def memory_for_rendering(clip: Clip) -> int:
    """The encoder looks ahead over dozens of pictures."""
    return 100 * clip.width * clip.height


def _picture(file: str, shown: str) -> Result:
    picture: Picture = read_picture(Path(file), Path(shown))
    return asdict(picture)


def _overlays(file: str) -> Result:
    return overlays_of(Path(file)).to_json()


def _sketch(file: str) -> Result:
    return sketch_of(Path(file)).to_json()


TASKS: Final[dict[str, Callable[..., Result]]] = {
    "probe": _probe,
    "render": _render,
    "take": _take,
    "picture": _picture,
    "overlays": _overlays,
    "sketch": _sketch,
}


def serve() -> None:
    """Answer requests until nobody asks any more."""
    for large in ("scipy.fft", "scipy.ndimage"):  # here once, and not in each child
        import_module(large)
    cage.leave_the_network()
    _die_with(os.getppid())  # after it: the kernel forgets this where a process changes its rights
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answered(json.loads(line))) + "\n")
        sys.stdout.flush()


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _answered(request: dict[str, Any]) -> dict[str, Any]:
    """{"result": …} or {"refused": a sentence's end, "limit": which one it ran over}."""
    reader, writer = os.pipe()
    server = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work(request, writer, server)
    os.close(writer)
    said, seconds = _read_until(reader, request["wall_seconds"])
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if said is None:
        return {"limit": "wall", "refused": f"took longer than {seconds:.0f} s"}
    if said:
        answer: dict[str, Any] = json.loads(said)
        return answer
    return _death(os.waitstatus_to_exitcode(status), request)


def _death(code: int, request: dict[str, Any]) -> dict[str, Any]:
    if code == -signal.SIGXCPU:
        seconds = request["cpu_seconds"]
        return {"limit": "cpu", "refused": f"needs more than {seconds:.0f} s of processor time"}
    if code == -signal.SIGXFSZ:
        return {"limit": "output", "refused": "grows beyond what we keep"}
    name = signal.Signals(-code).name if code < 0 else f"code {code}"
    return {"limit": "crash", "refused": f"brought its decoder down ({name})"}


def _read_until(reader: int, seconds: float) -> tuple[bytes | None, float]:
    """The child's last line, None if it does not end in time; and how long it was given.

    A line before the last may ask for more time; it is given once, within what anybody gets.
    """
    started, said, asked = time.monotonic(), b"", False
    while True:
        left = started + seconds - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None, seconds
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return said.rpartition(b"\n")[2], seconds
        said += chunk
        if b"\n" in said and not asked:
            asked = True
            more = float(json.loads(said.partition(b"\n")[0])["more_seconds"])
            seconds += max(0.0, min(more, 1.5 * _MOST_SECONDS))


def _work(request: dict[str, Any], writer: int, server: int) -> None:
    """In the child: limits first, then the file. Never returns."""
    global _writer
    _writer = writer
    os.setsid()
    _die_with(server)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    _limit(request)
    try:
        _shut(request["given"])
        answer: dict[str, Any] = {"result": TASKS[request["task"]](*request["given"])}
    except MediaError as error:
        answer = {"refused": error.message}
    except MemoryError:
        answer = {"limit": "memory", "refused": "needs more memory than we give"}
    except Exception as error:  # noqa: BLE001  whatever a decoder raises is the file's fault
        answer = {"refused": f"cannot be read: {type(error).__name__}: {error}"}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


def _shut(given: list[Any]) -> None:
    """The first path of a task is the file, the others are what is written."""
    paths = [Path(each).absolute() for each in given if isinstance(each, str) and os.sep in each]
    cage.shut(paths[:1], [path.parent for path in paths[1:]])


_writer = -1  # the child's line to the server


def _say(line: dict[str, Any]) -> None:
    os.write(_writer, json.dumps(line).encode() + b"\n")


def _limit(request: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(request["cpu_seconds"]), _MOST_SECONDS))
    memory = _held() + int(request["memory_bytes"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory + _MOST_MORE_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_OUTPUT_BYTES, _OUTPUT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _held() -> int:
    """What Python and the libraries have mapped already, which is not the file's."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE


if __name__ == "__main__":
    serve()
