"""A request that the database could not serve in time: 503, and when to ask again.

It had to wait for a lock for longer than `lock_timeout`, lost against another transaction once too
often, or the server is starting or gone. Nobody has to change anything for it to succeed later,
and browsers, proxies and the client know what to do with a 503 and its Retry-After.
"""

import logging
from typing import Final

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext

from config.requests import Answer

logger = logging.getLogger("tiebreak.requests")
RETRY_AFTER: Final = 2  # seconds
# PostgreSQL, appendix A: serialization failure, deadlock, too many connections, lock not available,
# then a server that ends or starts. One that cannot be reached gives no state at all.
_PASSING: Final = frozenset({"40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03"})


def passes(error: OperationalError) -> bool:
    """Whether the same request may succeed later: a fault of ours, or of the disk, does not."""
    cause = error.__cause__
    if (name := getattr(cause, "sqlite_errorname", None)) is not None:
        return str(name).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return getattr(cause, "sqlstate", "") in {None, *_PASSING}


class BusyMiddleware:
    def __init__(self, get_response: Answer):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, OperationalError) or not passes(error):
            return None
        logger.warning("%s %s is refused for now: %s", request.method, request.path, error)
        response = _told(request)
        response.status_code = 503
        response["Retry-After"] = str(RETRY_AFTER)
        return response


def _told(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/") or request.get_preferred_type(
        ["text/html", "application/json"]
    ) == "application/json":  # fmt: skip
        said = gettext("The site is busy; ask again in a moment.")
        return JsonResponse({"error": said, "code": "busy"})
    # No part of the page asks the database: it may be what is away.
    return HttpResponse(render_to_string("503.html"))
