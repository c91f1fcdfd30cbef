"""A person at the site, without a browser: session, CSRF, claims, votes. Standard library alone.

The server may restart, be slow or drop the line: requests are tried again with growing pauses,
which is safe because a claim of the same tab and a vote under the same lease may be repeated.
"""

import http.client
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final

PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)  # seconds between tries
TIMEOUT: Final = 30.0  # seconds for one request
AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class SiteError(Exception):
    """The site refuses, or does not answer after all tries."""

    def __init__(self, message: str, *, status: int = 0, code: str = ""):
        self.status = status
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


class Client:
    """One person's session. Not for several threads at once."""

    def __init__(self, url: str, *, pause: Callable[[float], None] = time.sleep):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SiteError(f"the address of the site must be http:// or https://, got {url!r}")
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._pause = pause
        self._cookies: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def log_in(self, user: str, password: str) -> None:
        """As the log-in form does. SiteError where the site does not know the person."""
        self._request("GET", "/accounts/login/")
        form = {"username": user, "password": password, "csrfmiddlewaretoken": self._csrf()}
        reply = self._request(
            "POST",
            "/accounts/login/",
            urllib.parse.urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        if reply.status != 302:
            raise SiteError(f"{self.url} does not let {user!r} log in", status=reply.status)

    def resume(self, cookies: Mapping[str, str]) -> None:
        """Go on with a session that was begun elsewhere."""
        self._cookies.update(cookies)

    def get(self, path: str) -> dict[str, Any]:
        return self._accepted(self._request("GET", path)).json()

    def get_bytes(self, path: str) -> bytes:
        return self._accepted(self._request("GET", path)).body

    def post(
        self, path: str, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self._accepted(self._request("POST", path, json.dumps(value).encode(), sent)).json()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _csrf(self) -> str:
        # In production the name carries the prefix that binds the cookie to the host.
        return self._cookies.get("__Host-csrf") or self._cookies.get("csrftoken", "")

    def _accepted(self, reply: Reply) -> Reply:
        if 200 <= reply.status < 300:
            return reply
        try:
            said = reply.json()
        except ValueError:
            said = {}
        message = said.get("error") or f"the site answered {reply.status}"
        raise SiteError(str(message), status=reply.status, code=str(said.get("code", "")))

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        for pause in (*PAUSES, None):
            try:
                reply = self._once(method, path, body, headers)
                fault = f"answers {reply.status}"
            except (OSError, http.client.HTTPException) as error:
                self.close()
                reply, fault = None, f"does not answer ({type(error).__name__}: {error})"
            if reply is not None and reply.status not in AGAIN:
                return reply
            if pause is not None:
                self._pause(pause)
        raise SiteError(f"{self.url} {fault}, also after {len(PAUSES)} more tries: {method} {path}")

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=TIMEOUT)
        sent = {"Referer": self.url + "/", "X-CSRFToken": self._csrf(), **headers}
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._connection.request(method, path, body, sent)
        response = self._connection.getresponse()
        content = response.read()
        for line in response.headers.get_all("Set-Cookie") or []:
            self._cookies.update({k: each.value for k, each in SimpleCookie(line).items()})
        return Reply(response.status, content)
