"""Which requests go into the audit log, and as what: before they are done, so that no act is
without its entry whatever dies in between. One that is refused afterwards gets a second entry.

Pages come here through `AuditMiddleware`, which stands behind the policies; REST doors through
`Audited`, when it is known who asks. Voting is not in the table: votes are their own record. Doors
that know more than their address says (tokens, erasure, pausing) call `audit.record` themselves.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import audit
from annotation.access.audited_acts import ACTS, Noted

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FIELD: Final = re.compile(r"{(\w+)}")
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_BODY: Final = 64 * 1024  # bytes of a body that we look into


def noted_of(request: Any) -> Noted | None:
    match = request.resolver_match
    if match is None:
        return None
    noted = _of_admin(request) if match.namespace == "admin" else ACTS.get(match.view_name)
    if noted is None or (request.method in _SAFE and not noted.reads):
        return None
    return noted


def _of_admin(request: HttpRequest) -> Noted | None:
    """`admin:auth_user_change` of 5 is an admin.change of `user 5`."""
    match = request.resolver_match
    model, _, what = ((match.url_name if match else "") or "").rpartition("_")
    if not model or request.method in _SAFE:
        return None
    word = what if _WORD.fullmatch(what) else "post"
    name = model.partition("_")[2]
    return Noted(f"admin.{word}", f"{name} {{object_id}}", ("action",))


def note(request: Any) -> Noted | None:
    """Write down what this request is about to do; None, if it is not in the table."""
    noted = noted_of(request)
    if noted is None or not request.user.is_authenticated:
        return None
    fields = _fields(request)
    details = {name: fields[name] for name in noted.kept if name in fields}
    audit.record(request, _act(noted, fields), _filled(noted.target, fields), **details)
    return noted


def note_refusal(request: Any, noted: Noted, status: int) -> None:
    fields = _fields(request)
    audit.record(
        request,
        "act.refused",
        _filled(noted.target, fields),
        of=_act(noted, fields),
        status=status,
    )


def _act(noted: Noted, fields: Mapping[str, Any]) -> str:
    word = str(fields.get("act", "")).replace("-", "_")
    return noted.act.replace("{act}", word if _WORD.fullmatch(word) else "unknown")


def _filled(text: str, fields: Mapping[str, Any]) -> str:
    """Empty, where a name of the text has no value."""
    wanted = _FIELD.findall(text)
    if not all(fields.get(name) not in (None, "") for name in wanted):
        return ""
    return _FIELD.sub(lambda match: str(fields[match[1]])[:40], text)


def _fields(request: Any) -> dict[str, Any]:
    """Of the query, the form or the JSON, and the address, which goes before both."""
    match = request.resolver_match
    query = request.GET.items() if request.method in _SAFE else ()
    return {**dict(query), **_sent(request), **(match.kwargs if match else {})}


def _sent(request: Any) -> dict[str, Any]:
    if request.method in _SAFE:
        return {}
    if isinstance(request, Request):
        try:
            data = request.data
        except exceptions.UnsupportedMediaType:
            return {}  # a door that reads no body does not mind, any other one refuses it itself
        return dict(data.items()) if isinstance(data, Mapping) else {}
    if request.content_type == "application/json":
        return _json(request)
    return dict(request.POST.items())


def _json(request: HttpRequest) -> dict[str, Any]:
    if int(request.META.get("CONTENT_LENGTH") or 0) > _BODY:
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


class AuditMiddleware:
    """Pages, behind the policies: who may not do it has done nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        noted: Noted | None = getattr(request, "_noted", None)
        if noted is not None and response.status_code >= 400:
            note_refusal(request, noted, response.status_code)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]
    ) -> None:
        made_of = getattr(view, "cls", None)
        if isinstance(made_of, type) and issubclass(made_of, APIView):
            return  # `Audited` writes it, when DRF has read the token
        request._noted = note(request)  # type: ignore[attr-defined]


class Audited(APIView):
    """A REST door: written down when it is known who asks, and again if it is refused."""

    _noted: Noted | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._noted = note(request)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        if self._noted is not None and response.status_code >= 400:
            note_refusal(request, self._noted, response.status_code)
        return super().finalize_response(request, response, *args, **kwargs)
