"""What the hosts of one attempt say to one another: files in the run directory that they share.

hosts/<attempt>/meeting.json        where they meet: address and port of the first that came
hosts/<attempt>/stopped-….json      how one of them ended badly; or that they are asked to stop

`attempt` is the fence of the run, or any word that a person gives; no two attempts share one.
"""

import contextlib
import os
import random
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from formats.errors import FormatError
from formats.files import read_json, write_json

FOLDER: Final = "hosts"
MEETING: Final = "meeting/1"
STOPPED: Final = "stopped/1"
# The address under which other hosts reach this one, where its name does not say.
ADDRESS: Final = "TIEBREAK_HOST_ADDRESS"
_OURS: Final = (10_000, 65_536)


@dataclass(frozen=True, slots=True)
class Layout:
    """`3x2@7`: three hosts of two processes each, attempt 7. `2`: two processes on this host."""

    hosts: int
    each: int
    attempt: str = ""

    @classmethod
    def read(cls, word: str) -> Self:
        shape, _, attempt = word.partition("@")
        hosts, times, each = shape.rpartition("x")
        if times and (not attempt or not attempt.replace("-", "").replace(".", "").isalnum()):
            raise ValueError(f"name the attempt, as in {shape}@7: a word that no other attempt has")
        return cls(int(hosts or 1), int(each), attempt)

    @property
    def word(self) -> str:
        return f"{self.hosts}x{self.each}@{self.attempt}"


class Table:
    """Where the hosts of one attempt leave word for one another."""

    def __init__(self, run_dir: Path, attempt: str):
        self._folder = run_dir / FOLDER / attempt

    def meet(self, address: str) -> tuple[str, int, bool]:
        """Address and port where all meet, and whether it is here: the first that comes decides."""
        port = _free_port(address)
        own, file = self._folder / f".{uuid.uuid4().hex}", self._folder / "meeting.json"
        write_json(own, MEETING, {"address": address, "port": port})
        try:
            os.link(own, file)
        except FileExistsError:
            first = read_json(file, MEETING)
            return first["address"], first["port"], False
        finally:
            own.unlink()
        return address, port, True

    def stop(self, code: int) -> None:
        """Tell all hosts to stop, and the exit code that is the reason."""
        write_json(self._folder / f"stopped-{uuid.uuid4().hex}.json", STOPPED, {"code": code})

    def stopped(self) -> list[int]:
        """The exit codes of those that have stopped; none while all go on."""
        try:
            files = sorted(self._folder.glob("stopped-*.json"))
            return [int(read_json(file, STOPPED)["code"]) for file in files]
        except (OSError, FormatError):
            return []  # a network disk that does not answer: ask again


def own_address() -> str:
    return os.environ.get(ADDRESS, "") or socket.getfqdn()


def _free_port(address: str) -> int:
    """One that is free, and that no connection which somebody opens meanwhile is given.

    torchrun takes it seconds later. The ports that the system hands out by itself are left alone:
    on a busy host one of those is taken again within these seconds. Should this one be, the
    attempt fails.
    """
    family = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0][0]
    handed_out = _handed_out()
    ports = [port for port in range(*_OURS) if port not in handed_out] or [*range(*_OURS)]
    for port in random.SystemRandom().sample(ports, len(ports)):
        with socket.socket(family) as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            return port
    raise OSError(f"no port of {address} from {_OURS[0]} to {_OURS[1] - 1} is free")


def _handed_out() -> range:
    """The ports that the system gives to connections which ask for none (tcp(7))."""
    words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return range(int(words[0]), int(words[1]) + 1)
