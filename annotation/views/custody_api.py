"""The REST doors of the audit log and of erasure."""

from typing import Any, Final

from django.contrib.auth.models import User
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import audit
from annotation.accounts import erasing
from annotation.errors import BadAccount, NotFound
from annotation.models import AuditEntry, Erasure
from annotation.views import shapes_people
from annotation.views.door import Door, body_of, person
from annotation.views.lead_door import lead, page_of, read_query
from annotation.views.shapes import (
    MOMENT,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    Shape,
    body,
    by_key,
    either,
    maybe,
    record,
    rows,
)

FILTERS: Final = ("act", "target", "person", "since", "until")
_ENTRY: Final = record(
    id=WHOLE, at=MOMENT, person=maybe(TEXT), via=TEXT, address=TEXT, act=TEXT, target=TEXT,
    details=by_key(either(TEXT, NUMBER, TRUTH, rows(either(TEXT, NUMBER)))),
)  # fmt: skip
_ERASURE: Final = record(user=WHOLE, asked_at=MOMENT, done_at=maybe(MOMENT))
_ERASED: Final = record(user=WHOLE, left=rows(TEXT))
_PAGE: Final[Shape] = shapes_people.page(_ENTRY)


class AuditView(Door):
    @extend_schema(
        summary="The audit log, page by page, oldest first",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in FILTERS],
        responses={200: _PAGE},
    )
    def get(self, request: Request) -> Response:
        lead(request)
        wanted = audit.wanted_of(read_query(request, FILTERS))
        return page_of(request, audit.entries(wanted), _entry)


def _entry(row: AuditEntry) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": row.at.isoformat(),
        "person": row.person.get_username() if row.person else None,
        "via": row.via,
        "address": row.address,
        "act": row.act,
        "target": row.target,
        "details": row.details,
    }


class ErasuresView(Door):
    @extend_schema(
        operation_id="erasures_list",
        summary="Who asked to be forgotten, and when it was done",
        responses={200: shapes_people.page(_ERASURE)},
    )
    def get(self, request: Request) -> Response:
        lead(request)
        read_query(request)
        return page_of(request, Erasure.objects.all(), _erasure)

    @extend_schema(
        summary="Ask to be forgotten; an operator does it", request=None, responses={201: _ERASURE}
    )
    def post(self, request: Request) -> Response:
        return Response(_erasure(erasing.ask(person(request))), status=201)

    @extend_schema(summary="Take that back", responses={204: None})
    def delete(self, request: Request) -> Response:
        erasing.withdraw(person(request))
        return Response(status=204)


def _erasure(row: Erasure) -> dict[str, Any]:
    return {
        "user": row.person_id,
        "asked_at": row.asked_at.isoformat(),
        "done_at": row.done_at.isoformat() if row.done_at else None,
    }


class EraseView(Door):
    @extend_schema(
        summary="Forget a person for good; the body repeats the user name",
        request=body(username=TEXT),
        responses={200: _ERASED},
    )
    def post(self, request: Request, user_id: int) -> Response:
        lead(request)
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise NotFound("There is no such account.")
        if body_of(request, "username").get("username") != user.get_username():
            raise BadAccount("'username' must repeat the name of the account; nobody was erased.")
        return Response({"user": user_id, "left": erasing.erase(request, user_id)})
