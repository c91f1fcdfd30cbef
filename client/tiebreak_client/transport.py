"""Requests to the site: the token, trying again, and errors as types."""

import ipaddress
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from tiebreak_client.calls import Call
from tiebreak_client.decoding import decode
from tiebreak_client.errors import BadAnswer, NoAnswer, TiebreakError, refusal

T = TypeVar("T")
_CONNECT: Final = 10.0  # seconds
_READ: Final = 120.0
_TRIES: Final = 5
_BUSY: Final = frozenset({429, 502, 503, 504})
_SAFE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class _Again(Retry):
    """429 means that nothing was done, whoever asked: also a POST is sent again, when it may."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: FBT001, FBT002
        if status_code == 429 and self.total:
            return True
        return super().is_retry(method, status_code, has_retry_after)


class _Bearer(AuthBase):
    """A callable, so that no .netrc of this machine takes the place of the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """One site and one token. `backoff` is what is waited before the second try, in seconds."""

    def __init__(self, url: str, token: str, *, backoff: float = 0.5, tries: int = _TRIES) -> None:
        self.url = _checked(url)
        if not token.strip():
            raise TiebreakError("A token is needed; make one on the page /tokens/ of the site.")
        if not (token.isascii() and token.isprintable()):
            raise TiebreakError("The token has characters that no token has; copy it once more.")
        auth = _Bearer(token.strip())
        self._safe = _session(auth, _SAFE, backoff, tries)
        self._again = _session(auth, _SAFE | {"POST"}, backoff, tries)

    def close(self) -> None:
        self._safe.close()
        self._again.close()

    def send(
        self,
        call: Call[T],
        *,
        body: Mapping[str, Any] | bytes | None = None,
        query: Mapping[str, Any] | None = None,
        file: Path | None = None,
        **names: object,
    ) -> T:
        """Do it, and give what comes back as the type of the call. With a file, as a form."""
        address = self._address(call, names)
        _check(call, body, query)
        sent = _form(body, file) if file else _plain(call, body)
        answer = self._ask(call, address, sent, query)
        if call.answer is type(None):
            return decode(call.answer, None)
        try:
            value = answer.json()
        except ValueError:
            raise BadAnswer(f"{call.path} answered something that is no JSON.") from None
        return decode(call.answer, value)

    @contextmanager
    def stream(
        self,
        call: Call[bytes],
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **names: object,
    ) -> Iterator[requests.Response]:
        """The answer with its bytes still to come."""
        _check(call, None, query)
        sent = {"headers": dict(headers or {}), "stream": True}
        answer = self._ask(call, self._address(call, names), sent, query)
        with answer, _told(self.url):
            yield answer

    def _address(self, call: Call[Any], names: Mapping[str, object]) -> str:
        keep = {"name": "/"}  # of a file in a folder
        quoted = {key: quote(str(value), safe=keep.get(key, "")) for key, value in names.items()}
        return self.url + call.path.format(**quoted)

    def _ask(
        self,
        call: Call[Any],
        address: str,
        sent: dict[str, Any],
        query: Mapping[str, Any] | None,
    ) -> requests.Response:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", **sent.pop("headers", {})}
        if call.keyed:
            headers["Idempotency-Key"] = str(uuid.uuid4())
        with _told(self.url):
            answer = (self._again if call.may_repeat else self._safe).request(
                call.method,
                address,
                params={key: value for key, value in (query or {}).items() if value is not None},
                headers=headers,
                timeout=(_CONNECT, _READ),
                allow_redirects=False,
                **sent,
            )
        return _accepted(answer)


def _plain(call: Call[Any], body: Mapping[str, Any] | bytes | None) -> dict[str, Any]:
    if call.method not in ("POST", "PUT", "PATCH"):
        return {}
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return {"data": data, "headers": {"Content-Type": call.media}}


def _form(body: Mapping[str, Any] | bytes | None, file: Path) -> dict[str, Any]:
    fields = dict(body) if isinstance(body, Mapping) else {}
    return {"data": fields, "files": {"file": (file.name, file.read_bytes())}}


def _session(
    auth: AuthBase, methods: frozenset[str], backoff: float, tries: int
) -> requests.Session:
    again = _Again(
        total=tries,
        allowed_methods=methods,
        status_forcelist=_BUSY,
        backoff_factor=backoff,
        raise_on_status=False,
    )
    session = requests.Session()
    session.auth = auth
    session.headers["User-Agent"] = "tiebreak-client/0.1"
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    return session


def _checked(url: str) -> str:
    """A token goes over https, or stays on this machine."""
    parts = urlsplit(url.strip())
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
        raise TiebreakError(f"Expected the address of a site, as https://…, got {url[:200]!r}.")
    if parts.scheme == "http" and not _is_here(host):
        raise TiebreakError(f"{url[:200]} is not https: a token would be readable on its way.")
    return url.strip().rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(
    call: Call[Any], body: Mapping[str, Any] | bytes | None, query: Mapping[str, Any] | None
) -> None:
    """Nothing is sent that the table does not name: the table is what is held to the schema."""
    sent = set(body) if isinstance(body, Mapping) else set()
    unknown = sorted((sent - set(call.body)) | (set(query or ()) - set(call.query)))
    if unknown:
        known = ", ".join((*call.body, *call.query)) or "none"
        raise TypeError(f"{call.path} takes no entry {unknown[0]!r}; there are: {known}")


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except requests.RequestException as error:
        raise NoAnswer(f"{url} does not answer: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner)
    return str(reason)[:300] or type(error).__name__


def _accepted(answer: requests.Response) -> requests.Response:
    """An answer below 300; Refused for what the site refuses."""
    if answer.status_code < 300:
        return answer
    with answer:
        if answer.status_code < 400:
            where = answer.headers.get("Location", "elsewhere")
            raise BadAnswer(
                f"{answer.url} sends on to {where[:200]}; is this the address of the site itself?"
            )
        try:
            body: Any = answer.json()
        except (ValueError, requests.RequestException):
            body = None
        raise refusal(answer.status_code, body)
