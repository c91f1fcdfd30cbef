"""Files of strangers are opened in a process of their own, within limits (RELIABILITY M1, M2).

A decoder is a large program that reads what anybody may have written. So it runs beside us: without
our environment, with limits on time, memory and output, and it may die without harm.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from django.conf import settings

from annotation.errors import MediaError
from annotation.media.bounded_child import cpu_for_rendering, memory_for_rendering
from annotation.media.images import Picture
from annotation.media.overlays import Overlays
from annotation.media.probing import Clip
from annotation.media.sketches import Sketch

ARGV: Final = [sys.executable, "-I", "-m", "annotation.media.bounded_child"]
_PASSED_ON: Final = ("PATH", "LANG", "TIEBREAK_RUN_TAG")


@dataclass(frozen=True, slots=True)
class Limits:
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int

    @classmethod
    def for_probing(cls, file: Path) -> Self:
        """A constant and a little for each megabyte: a long film needs more than a bomb gets."""
        size = file.stat().st_size / 1e6 if file.is_file() else 0.0
        return cls._of(settings.TIEBREAK_MEDIA_CPU_SECONDS + 0.5 * size, 0)

    @classmethod
    def for_rendering(cls, clip: Clip) -> Self:
        seconds = cpu_for_rendering(clip, settings.TIEBREAK_MEDIA_CPU_SECONDS)
        return cls._of(seconds, memory_for_rendering(clip))

    @classmethod
    def _of(cls, cpu_seconds: float, more_bytes: int) -> Self:
        memory = int(settings.TIEBREAK_MEDIA_MEMORY_MB) << 20
        return cls(cpu_seconds, 1.5 * cpu_seconds, memory + more_bytes)


class OverLimitError(MediaError):
    """The file ran over a limit or brought the decoder down."""


class Bounded:
    """One such process: starts with the first request, serves one at a time."""

    def __init__(self, argv: Sequence[str] = ARGV) -> None:
        self._argv = argv
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def probe(self, file: Path) -> Clip:
        return Clip(**self._ask("probe", file, Limits.for_probing(file), str(file)))

    def render(self, file: Path, shown: Path, poster: Path, clip: Clip) -> None:
        given = (str(file), str(shown), str(poster), asdict(clip))
        self._ask("render", file, Limits.for_rendering(clip), *given)

    def take(self, file: Path, shown: Path, poster: Path) -> Clip:
        """Probe and render in one child: half the price for small clips."""
        limits = Limits.for_probing(file)
        given = (settings.TIEBREAK_MEDIA_CPU_SECONDS, limits.memory_bytes)
        return Clip(**self._ask("take", file, limits, str(file), str(shown), str(poster), *given))

    def picture(self, file: Path, shown: Path) -> Picture:
        return Picture(
            **self._ask("picture", file, Limits.for_probing(file), str(file), str(shown))
        )

    def overlays(self, file: Path) -> Overlays:
        return Overlays.from_json(self._ask("overlays", file, Limits.for_probing(file), str(file)))

    def sketch(self, file: Path) -> Sketch:
        return Sketch.from_json(self._ask("sketch", file, Limits.for_probing(file), str(file)))

    def ask(self, task: str, *given: Any, limits: Limits) -> dict[str, Any]:
        """The answer as it comes."""
        with self._lock:
            request = {"task": task, "given": given, **asdict(limits)}
            answer = self._exchange(json.dumps(request))
            if answer is None:  # the process itself died: a new one may be luckier
                self._close()
                return {"limit": "crash", "refused": "brought down the process that reads it"}
            return answer

    def _ask(self, task: str, file: Path, limits: Limits, *given: Any) -> dict[str, Any]:
        answer = self.ask(task, *given, limits=limits)
        if "limit" in answer:
            raise OverLimitError(f"the file {file} {answer['refused']}")
        if "refused" in answer:
            raise MediaError(answer["refused"])
        result: dict[str, Any] = answer["result"]
        return result

    def _exchange(self, line: str) -> dict[str, Any] | None:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        said = process.stdout.readline()
        answer: dict[str, Any] | None = json.loads(said) if said.endswith("\n") else None
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._close()
            known = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = subprocess.Popen(
                self._argv,
                env={**known, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._process

    def kill(self) -> None:
        """End it in the middle of its work; whoever waits for its answer is told that it died."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


_shared: tuple[int, Bounded] | None = None
_sharing = threading.Lock()


def shared() -> Bounded:
    """The one that belongs to this process: a forked web worker does not speak on its parent's."""
    global _shared
    with _sharing:
        if _shared is None or _shared[0] != os.getpid():
            own = Bounded()
            atexit.register(own.close)
            _shared = (os.getpid(), own)
        return _shared[1]
