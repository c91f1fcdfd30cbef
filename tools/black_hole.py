"""A TCP proxy on loopback that can turn into a black hole: everything is taken, nothing arrives.

with BlackHole(redis_port) as hole:
    ... redis://127.0.0.1:{hole.port}/0
    hole.swallow()      as a firewall that has forgotten its connections: no error, no end
    hole.forward()      new connections work; those that were swallowed stay dead for ever
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class BlackHole:
    def __init__(self, upstream: int):
        self._upstream = upstream
        self._swallowing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._dead: set[socket.socket] = set()

    def swallow(self) -> None:
        self._swallowing.set()
        self._dead.update(self._open)

    def forward(self) -> None:
        self._swallowing.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # ends the threads that wait in it
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                if self._listener.fileno() < 0:
                    return
                near.close()  # The server behind is down: so is this connection.
                continue
            self._open += [near, far]
            if self._swallowing.is_set():
                self._dead.update((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if one not in self._dead:
                    other.sendall(data)
        if one not in self._dead:  # The end of a swallowed connection does not arrive either.
            for each in (one, other):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
