"""What a process that opens files of strangers can reach: that file, its own output, and libraries.

The kernel holds it there: Landlock for files, TCP and signals (Linux 5.13 and later, by what each
version knows), a network namespace without any network where the machine lets us make one. Neither
needs a privilege. A kernel without Landlock leaves the limits of `bounded_child` and the container;
`manage.py check --deploy` says so.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from landlockpy import AccessFS, Ruleset, Scope, abi_version

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_READ: Final = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE
_WRITE: Final = (
    AccessFS.READ_FILE
    | AccessFS.READ_DIR
    | AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.REMOVE_FILE
    | AccessFS.REFER
)
_FILE: Final = AccessFS.READ_FILE
_DEVICE: Final = AccessFS.READ_FILE | AccessFS.WRITE_FILE
# Python, its packages (with ffmpeg among them) and the system's libraries. No configuration: what
# stands in /etc besides these may be a secret.
_FOLDERS: Final = (
    sys.prefix,
    sys.base_prefix,
    str(Path(__file__).parent),
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
)
_FILES: Final = ("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random")


def is_supported() -> bool:
    return abi_version() > 0


def shut(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """From here on this process and its children open nothing else, for good.

    `readable` are files, `writable` folders. What is not there is no rule.
    """
    if not is_supported():
        return
    with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
        for libraries in map(Path, _FOLDERS):
            _allow(rules, libraries, _READ)
        for file in [*map(Path, _FILES), *readable]:
            _allow(rules, file, _FILE)
        for folder in writable:
            _allow(rules, folder, _WRITE)
        _allow(rules, Path("/dev/null"), _DEVICE)
        _allow(rules, Path("/proc/self"), _READ)
        rules.restrict()


def _allow(rules: Ruleset, path: Path, access: AccessFS) -> None:
    if path.is_dir():
        rules.allow_path(path, access)
    elif path.exists():
        rules.allow_path(path, access & (_DEVICE | AccessFS.EXECUTE | AccessFS.TRUNCATE))


def leave_the_network() -> bool:
    """Into a network namespace that has no network; False where the machine forbids it."""
    if _LIBC.unshare(_CLONE_NEWNET) == 0:
        return True  # root of a machine or of a container that allows it
    user, group = os.geteuid(), os.getegid()
    if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Who we are inside is who we were: files keep their owner.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True
