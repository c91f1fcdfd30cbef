"""What the doors of leads share: roles, bodies and queries read strictly, lists page by page, and
answers that are given again to a request that is made again."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from annotation.access.throttling import CostlyThrottle, TokenThrottle
from annotation.errors import NotAllowed, NotFound, Unreadable
from annotation.models import Campaign
from annotation.permissions import is_lead, is_ml_engineer
from annotation.repeating import Answered, digest, once
from annotation.views.door import Door, person
from annotation.views.schemas import Serializer

Row = TypeVar("Row", bound=Model)
Handler = Callable[..., Response]
MOST_ROWS: Final = 1000
_PAGING: Final = ("cursor", "limit")


class CostlyDoor(Door):
    """A door behind which much work lies."""

    def get_throttles(self) -> list[BaseThrottle]:
        return [TokenThrottle(), CostlyThrottle()]


def lead(request: Request) -> User:
    user = person(request)
    if not is_lead(user):
        raise NotAllowed("Only leads manage campaigns.")
    return user


def viewer(request: Request) -> User:
    user = person(request)
    if not (is_lead(user) or is_ml_engineer(user)):
        raise NotAllowed("Only leads and ML engineers see this.")
    return user


def campaign_of(campaign_id: int) -> Campaign:
    """The campaign, for somebody whose role was asked already: leads see all of them."""
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def read_body(shape: type[Serializer], request: Request) -> dict[str, Any]:
    """The body as it was described, or Unreadable with the entry that is not."""
    if not isinstance(request.data, Mapping):
        raise Unreadable("The request body must be an object.")
    reader = shape(data=request.data)
    if not reader.is_valid():
        raise Unreadable(_first_fault(reader.errors))
    values: dict[str, Any] = reader.validated_data
    return values


def _first_fault(errors: Any, where: str = "") -> str:
    """One sentence of what DRF found, with the way to the entry."""
    if isinstance(errors, Mapping):
        name, inner = next(iter(errors.items()))
        return _first_fault(inner, f"{where}.{name}" if where else str(name))
    if isinstance(errors, list) and errors:
        faulty = [(n, each) for n, each in enumerate(errors) if each]
        number, first = faulty[0]
        nested = isinstance(first, Mapping | list)
        return _first_fault(first, f"{where}[{number}]" if nested else where)
    return f"{where}: {errors}" if where else str(errors)


def read_query(request: Request, allowed: Iterable[str] = ()) -> dict[str, str]:
    """The query's entries, all of which must be listed: no way to a column nobody thought of."""
    known = {*allowed, *_PAGING}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise Unreadable(
            f"The query has an unknown entry {unknown[0][:80]!r}; there are"
            f" {', '.join(sorted(known))}."
        )
    twice = [name for name, values in request.query_params.lists() if len(values) > 1]
    if twice:
        raise Unreadable(f"The query names {twice[0]!r} twice.")
    return {name: str(value) for name, value in request.query_params.items() if value}


def read_number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise Unreadable(f"{name} must be a whole number, got {value[:80]!r}.")
    return int(value)


def read_word(query: Mapping[str, str], name: str, words: Iterable[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in words:
        raise Unreadable(f"{name} must be one of {', '.join(words)}, got {value[:80]!r}.")
    return value


class _Keyset(CursorPagination):
    """Pages by the key of the last row: rows that come or go meanwhile shift nothing."""

    page_size = 100
    max_page_size = MOST_ROWS
    page_size_query_param = "limit"
    ordering = "pk"


def page_of(
    request: Request, rows: QuerySet[Row], to_json: Callable[[Row], dict[str, Any]]
) -> Response:
    """{"next", "previous", "results"}: follow `next` to the end."""
    pages = _Keyset()
    try:
        found = pages.paginate_queryset(rows, request) or []
    except (exceptions.NotFound, ValidationError, ValueError):
        raise Unreadable("The cursor is not one of ours; begin without one.") from None
    return pages.get_paginated_response([to_json(row) for row in found])


def repeatable(*, atomic: bool = True) -> Callable[[Handler], Handler]:
    """A POST that may carry an Idempotency-Key (see `annotation.repeating`)."""

    def wrap(handler: Handler) -> Handler:
        @wraps(handler)
        def post(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get("Idempotency-Key")
            if key is None:
                return handler(self, request, *args, **kwargs)

            def act() -> Answered:
                given = handler(self, request, *args, **kwargs)
                return Answered(given.status_code, given.data)

            said = digest(request.method or "", request.get_full_path(), request.data)
            answered = once(person(request), key, said, act, atomic=atomic)
            headers = {"Idempotency-Replayed": "true"} if answered.replay else None
            return Response(answered.body, status=answered.status, headers=headers)

        return post

    return wrap
