"""Trainers on other hosts: the operator's launcher starts them, and the supervisor watches it.

`TIEBREAK_LAUNCHER` is a command of the site, such as `srun --nodes={hosts}`, never a text of a
person. A worker that has one starts the trainers of the queue gpu with it, each host with the same
run directory; which hosts these are is the business of the launcher.
"""

import fnmatch
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from pipelines.errors import InvalidRunConfig
from pipelines.kinds import KindSpec
from pipelines.models import QueueName, Run

# What goes from one host to another is never a secret, whatever a pattern would let through.
_NEVER: Final = ("*SECRET*", "*PASSWORD*", "*TOKEN*", "*_JWT", "*_KEY", "*_URL")
_LAUNCHED: Final = ("-I", "-m", "trainers.launched")
_PART: Final = ("-I", "-m", "trainers.torchrun")


@dataclass(frozen=True, slots=True)
class Places:
    """So many hosts, with so many processes of the run on each."""

    hosts: int
    each: int


def goes_there(spec: KindSpec) -> bool:
    """Whether runs of this kind are started by the launcher of this worker."""
    return bool(settings.TIEBREAK_LAUNCHER and spec.command and spec.queue == QueueName.GPU)


def places_for(processes: int) -> Places:
    """As few hosts as will do. InvalidRunConfig where the processes do not share them evenly."""
    room: int = settings.TIEBREAK_LAUNCHER_PROCESSES
    hosts = -(-processes // room)
    if hosts > settings.TIEBREAK_LAUNCHER_HOSTS:
        most = room * settings.TIEBREAK_LAUNCHER_HOSTS
        raise InvalidRunConfig(f"this site starts at most {most} processes of one run")
    if processes % hosts:
        raise InvalidRunConfig(
            f"{processes} processes do not share hosts of {room} evenly; "
            f"ask for a multiple of {room}"
        )
    return Places(hosts, processes // hosts)


def words(command: str, places: Places) -> list[str]:
    """The launcher as an argv; {hosts} and {processes} (of each host) are filled in."""
    filled = {"{hosts}": str(places.hosts), "{processes}": str(places.each)}
    found = shlex.split(command)
    for name, value in filled.items():
        found = [word.replace(name, value) for word in found]
    return found


def far_argv(
    python: str, trainer: Sequence[str], run: Run, processes: int, folder: Path
) -> list[str]:
    """`python -m trainers.launched LAUNCHER -- python -m trainers.torchrun 2x8@FENCE …`."""
    places = places_for(processes)
    part = [python, *_PART, f"{places.hosts}x{places.each}@{run.fence}", *trainer, str(folder)]
    return [python, *_LAUNCHED, *words(settings.TIEBREAK_LAUNCHER, places), "--", *part]


def far_environment() -> dict[str, str]:
    """What the launcher and its processes see of this worker's environment, by the site's names."""
    patterns: list[str] = settings.TIEBREAK_LAUNCHER_ENVIRONMENT
    return {
        name: value
        for name, value in os.environ.items()
        if _is_one_of(name, patterns) and not _is_one_of(name, _NEVER)
    }


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
