"""Runs a trainer and writes down every name that is looked up and every address it connects to.

    python offline.py RECORD MODULE WORDS…      as `python -m MODULE WORDS…`

An audit hook sees them before they happen, whatever library asks; each is refused.
"""

import json
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

WATCHED = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
    "socket.sendto", "socket.sendmsg",
}  # fmt: skip


def main() -> None:
    record, module = Path(sys.argv[1]), sys.argv[2]
    record.write_text("")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED:
            return
        if isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX:
            return  # a file of this host
        with record.open("a") as file:
            file.write(json.dumps([event, repr(arguments)]) + "\n")
        raise PermissionError(f"{event} {arguments}")

    sys.addaudithook(hook)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
