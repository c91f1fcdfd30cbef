"""A trainer reaches its own processes and no other: no network but a loopback of its own, no look
into the environment of the worker that started it (RELIABILITY S9, A8).

Both are asked of the kernel between fork and exec, so nothing of the trainer has run yet. Where the
machine lets us make no network namespace (a container without user namespaces), a trainer of one
process may still open no TCP connection; one of several needs TCP for its own processes, and the
container must hold it. Trainers that a site's own launcher starts on other hosts are that site's.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from django.conf import settings
from landlockpy import AccessFS, AccessNet, Ruleset

from annotation.media import cage
from pipelines.kinds import KindSpec
from pipelines.launchers import goes_there

_SIOCSIFFLAGS: Final = 0x8914
_UP_AND_RUNNING: Final = 0x1 | 0x40
# A domain of Landlock needs something to hold. No trainer makes disks; what counts is that a
# process inside may not look into one outside, not even into its environment.
_DISKS: Final = AccessFS.MAKE_BLOCK
# What a trainer that root starts keeps of root: files as before, locked memory, its own order of
# work. With more it could look into the worker in spite of everything.
_PR_CAPBSET_DROP: Final = 24
_CAPABILITIES: Final = range(64)
_KEPT: Final = frozenset({0, 1, 3, 5, 14, 23, 24})  # chown, files (2), kill, memory, order, limits
_LIBC: Final = ctypes.CDLL(None)
_TCP: Final = AccessNet.BIND_TCP | AccessNet.CONNECT_TCP


def isolated(spec: KindSpec) -> bool:
    """Whether runs of this kind are walled in: all trainers on this host that talk to no site."""
    apart: bool = not settings.TIEBREAK_TRAINERS_MAY_CONNECT
    return apart and spec.command is not None and not spec.connects and not goes_there(spec)


def wall(*, processes: int) -> Callable[[], None]:
    """What the child calls before it becomes the trainer."""

    def enter() -> None:
        alone = cage.leave_the_network()
        if alone:
            _raise_loopback()
        for number in _CAPABILITIES:
            if number not in _KEPT:
                _LIBC.prctl(_PR_CAPBSET_DROP, number)  # refused to whoever has none anyway
        if cage.is_supported():
            tcp = AccessNet.NONE if alone or processes > 1 else _TCP
            with Ruleset(handled_fs=_DISKS, handled_net=tcp) as rules:
                rules.restrict()

    return enter


def _raise_loopback() -> None:
    """The processes of one trainer meet at 127.0.0.1; a new namespace has it, but not yet up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def may_isolate() -> bool:
    """Whether this machine lets a process make a network of its own; asked of a child."""
    child = os.fork()
    if child == 0:
        os._exit(0 if cage.leave_the_network() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
