"""A trainer that somebody has taken over: looks for secrets and tries to reach what it should not.

python -I looking_around.py PORT,PORT RUN_DIR       writes what it found to RUN_DIR/found.json
"""

import json
import os
import socket
import sys
from pathlib import Path

METADATA = ("169.254.169.254", 80)  # where clouds give out the credentials of a machine


def connects(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, 2):
            return True
    except OSError:
        return False


def environ_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def looks_up(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 80))
    except OSError:
        return False


def own_loopback() -> bool:
    """Processes of one run must still meet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return connects(server.getsockname())


def main() -> None:
    ports = [int(each) for each in sys.argv[1].split(",")]
    places = {f"127.0.0.1:{port}": ("127.0.0.1", port) for port in ports}
    places["metadata"] = METADATA
    found = {
        "environ": dict(os.environ),
        "parent": environ_of(os.getppid()),
        "others": [
            pid.name
            for pid in Path("/proc").iterdir()
            if pid.name.isdigit() and int(pid.name) != os.getpid() and environ_of(int(pid.name))
        ],
        "connects": sorted(name for name, place in places.items() if connects(place)),
        "looks_up": looks_up("example.org"),
        "argv": sys.orig_argv,
    }
    try:
        found["loopback"] = own_loopback()
    except OSError:
        found["loopback"] = False
    Path(sys.argv[-1], "found.json").write_text(json.dumps(found))


main()
