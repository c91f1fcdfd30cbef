"""What the REST doors share: who asks, what they send, and errors as sentences in JSON."""

from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler

from annotation.access.audit_doors import Audited
from annotation.access.throttling import StrangerThrottle
from annotation.errors import AnnotationError, Unreadable


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """`{"error": sentence, "code": word}` for whatever goes wrong; None for a fault of ours."""
    if isinstance(error, AnnotationError):
        # The catalogs know the sentences without values; the others stay as they are.
        said = gettext(error.message) if error.message else ""
        body = {**error.details, "error": said, "code": error.code}
        return Response(body, status=error.status)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.NotAuthenticated):
        # 401, although a session has no WWW-Authenticate: the browser keeps the vote and asks for
        # a log-in, which a 403 would not tell it.
        response.status_code = 401
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else ""
    response.data = {
        "error": str(detail or "The request cannot be read."),
        "code": getattr(detail, "code", "unreadable"),
    }
    return response


class Door(Audited):
    def get_exception_handler(self) -> Any:
        return answer_error

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            super().initial(request, *args, **kwargs)
        except (exceptions.NotAuthenticated, exceptions.AuthenticationFailed):
            self._count_stranger(request)
            raise

    def _count_stranger(self, request: Request) -> None:
        """DRF counts only who got in; whoever tries tokens does not."""
        throttle = StrangerThrottle()
        if not throttle.allow_request(request, self):
            self.throttled(request, throttle.wait() or 60)


def person(request: Request) -> User:
    if not isinstance(request.user, User):
        raise exceptions.NotAuthenticated
    return request.user


def body_of(request: Request, *known: str) -> dict[str, Any]:
    """The body. Where its entries are `known`, another one is refused, not dropped in silence."""
    if not isinstance(request.data, dict):
        raise Unreadable("The request body must be a JSON object.")
    unknown = sorted(set(map(str, request.data)) - set(known))
    if known and unknown:
        raise Unreadable(
            f"There is no entry {unknown[0][:80]!r} here; there are {', '.join(known)}."
        )
    return request.data
