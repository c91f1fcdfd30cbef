"""A site that answers as the test says, for faults that the real one shows seldom."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """`answers` are given one after another, the last one for ever."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)

    def says(self, *answers: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answers[:] = answers


def answer(
    status: int = 200, body: bytes = b"{}", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return give


def cut(
    body: bytes, after: int, status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Promises the whole body and hangs up after so many bytes."""

    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.wfile.flush()
        handler.close_connection = True

    return give


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.site.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        answers = self.site.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - names of the library

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    handler = type("Handler", (_Handler,), {"site": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
