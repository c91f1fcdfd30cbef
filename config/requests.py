"""Each request has an id, a line in the log and a place in the histogram of latencies.

The id binds what is logged on the way: the run that a click starts names the request in its own
line. An id that a proxy of ours gave is taken over; a stranger's is not, or he could forge one.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from formats import logs

logger = logging.getLogger("tiebreak.requests")
HEADER: Final = "X-Request-ID"
_SANE: Final = re.compile(r"[A-Za-z0-9-]{8,64}")
SECONDS: Final = Histogram(
    "tiebreak_request_seconds",
    "Answers of the site, by the name of the address.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Answer = Callable[[HttpRequest], HttpResponse]


class RequestMiddleware:
    """The outermost: what it times is what the client waits for, up to the first byte."""

    def __init__(self, get_response: Answer):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        number = request_id(request)
        began = time.perf_counter()
        with logs.bound(request=number):
            response = self.get_response(request)
            seconds = time.perf_counter() - began
            _told(request, response, seconds)
        response[HEADER] = number
        return response


def request_id(request: HttpRequest) -> str:
    """Of our proxy, where there is one and the id is one; else a new one."""
    given = str(request.META.get("HTTP_X_REQUEST_ID", ""))
    if settings.TIEBREAK_PROXIES and _SANE.fullmatch(given):
        return given
    return uuid.uuid4().hex


def _told(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    method = request.method if request.method in _METHODS else "other"
    # Names of addresses, never paths: their number is known.
    match = request.resolver_match
    route = match.view_name if match is not None and match.view_name else "unknown"
    status = response.status_code
    SECONDS.labels(method, route, f"{status // 100}xx").observe(seconds)
    if logger.isEnabledFor(logging.INFO):
        facts = {"method": method, "route": route, "status": status}
        took = {"milliseconds": round(seconds * 1000, 1)}
        logger.info("%s %s", method, request.path, extra={"facts": facts | took})
