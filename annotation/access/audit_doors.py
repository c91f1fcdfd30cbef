"""Which requests go into the audit log, and as what: before they are done, so that no act is
without its entry whatever dies in between. One that is refused afterwards gets a second entry.

Pages come here through `AuditMiddleware`, which stands behind the policies; REST doors through
`Audited`, when it is known who asks. Voting is not in the table: votes are their own record. Doors
that know more than their address says (tokens, erasure, pausing) call `audit.record` themselves.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import audit

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FIELD: Final = re.compile(r"{(\w+)}")
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_BODY: Final = 64 * 1024  # bytes of a body that we look into


@dataclass(frozen=True, slots=True)
class Noted:
    """How a request is written down. Names in braces are of the address or of the form."""

    act: str
    target: str = ""
    kept: tuple[str, ...] = ()  # fields whose values stand in the details
    reads: bool = False  # reading takes data out of the site


_CAMPAIGN: Final = "campaign {campaign_id}"
_MEMBER: Final = "user {user_id}"
_PEOPLE: Final = ("role", "max_uses", "days", "invitation")
ACTS: Final[dict[str, Noted]] = {
    # People and what they may do.
    "annotation:people": Noted("people.{act}", "user {user}", _PEOPLE),
    "annotation:campaign-people": Noted("people.{act}", "user {user}", (*_PEOPLE, "campaign_id")),
    "annotation:api-people": Noted("people.bulk"),
    "annotation:api-invitations": Noted("people.invite", "", ("campaign", *_PEOPLE)),
    "annotation:api-revoke": Noted("people.revoke", "invitation {invitation_id}"),
    "annotation:api-password-link": Noted("people.link", _MEMBER),
    "annotation:api-active": Noted("people.active", _MEMBER, ("active",)),
    "annotation:api-members": Noted("people.add", _CAMPAIGN),
    "annotation:api-member": Noted("people.remove", _MEMBER, ("campaign_id",)),
    "password_change": Noted("account.password"),
    # What counts and what does not.
    "annotation:quality": Noted("annotator.{act}", "user {user}", ("campaign_id",)),
    "annotation:api-resume": Noted("annotator.resume", _MEMBER, ("campaign_id",)),
    "annotation:api-recollection": Noted("annotator.recollect", _MEMBER, ("campaign_id",)),
    "annotation:flags": Noted("flag.{act}", "flag {flag}"),
    "annotation:api-settle": Noted("flag.settle", "flag {flag_id}", ("uphold",)),
    "annotation:api-rulings": Noted("triplet.rule", "triplet {triplet_id}"),
    "annotation:gold": Noted("gold.{act}", _CAMPAIGN),
    "annotation:api-gold": Noted("gold.make", _CAMPAIGN),
    "annotation:api-gold-question": Noted("gold.change", "probe {probe_id}"),
    "annotation:guideline": Noted("guideline.{act}", _CAMPAIGN),
    "annotation:api-guidelines": Noted("guideline.publish", _CAMPAIGN),
    "annotation:api-campaigns": Noted("campaign.make"),
    "annotation:api-campaign": Noted("campaign.change", _CAMPAIGN),
    "annotation:api-open": Noted("campaign.open", _CAMPAIGN),
    "annotation:api-pause": Noted("campaign.pause", _CAMPAIGN),
    "annotation:api-close": Noted("campaign.close", _CAMPAIGN),
    "annotation:api-extend": Noted("campaign.extend", _CAMPAIGN, ("votes_wanted",)),
    "annotation:api-clone": Noted("campaign.clone", _CAMPAIGN),
    "annotation:api-import": Noted("campaign.import", _CAMPAIGN),
    "annotation:api-pairs": Noted("campaign.import", _CAMPAIGN),
    "annotation:api-uploads": Noted("import.upload", "", ("name", "bytes", "sha256")),
    # Data that leave the site.
    "annotation:export": Noted("export.labels", _CAMPAIGN, reads=True),
    "annotation:api-export": Noted("export.votes", _CAMPAIGN, ("what",), reads=True),
    "annotation:pay-table": Noted("export.pay", _CAMPAIGN, ("from", "to"), reads=True),
    "annotation:api-pay-table": Noted("export.pay", _CAMPAIGN, ("from", "to"), reads=True),
    "annotation:audit": Noted("audit.read", "", ("act", "target"), reads=True),
    "annotation:api-audit": Noted("audit.read", "", ("act", "target"), reads=True),
}


def declare(table: Mapping[str, Noted]) -> None:
    """Add the addresses of another app."""
    ACTS.update(table)


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
