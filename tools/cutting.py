"""A TCP proxy on loopback that cuts connections: before a request arrives, or after it was done.

with CuttingProxy(port, chance_of(0.01, random.Random(1))) as proxy: ...  http://127.0.0.1:proxy.port

What is cut after was carried out by the server, and its answer never arrives.
"""

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Self


class Cut(StrEnum):
    NOT = "not"
    BEFORE = "before"  # the server never sees the request
    AFTER = "after"  # the server has answered; the client never learns it


Rule = Callable[[bytes], Cut]  # by the head of the request


def chance_of(share: float, chance: random.Random) -> Rule:
    """Cut that share of all requests, half of them before and half after."""

    def rule(_: bytes) -> Cut:
        if chance.random() >= share:
            return Cut.NOT
        return chance.choice([Cut.BEFORE, Cut.AFTER])

    return rule


class CuttingProxy:
    """Speaks HTTP/1.1 with keep-alive; one thread with an event loop of its own."""

    def __init__(self, upstream: int, rule: Rule):
        self._upstream, self._rule = upstream, rule
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.requests: Counter[Cut] = Counter()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            writers.append(up_writer)
            while await self._exchange((reader, writer), (up_reader, up_writer)):
                pass
        for each in writers:
            each.transport.abort()

    async def _exchange(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """One request and its answer; whether the connection lives on."""
        head, request = await _message(client[0])
        cut = self._rule(head)
        self.requests[cut] += 1
        if cut is Cut.BEFORE:
            return False
        server[1].write(request)
        await server[1].drain()
        head, answer = await _message(server[0])
        if cut is Cut.AFTER:
            return False
        client[1].write(answer)
        await client[1].drain()
        return b"connection: close" not in head.lower()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head of an HTTP message, and the whole of it."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if fields.get(b"transfer-encoding") == b"chunked":
        return head, head + await _chunks(reader)
    return head, head + await reader.readexactly(int(fields.get(b"content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size, 16) + 2)
        parts += [size, chunk]
        if int(size, 16) == 0:
            return b"".join(parts)
