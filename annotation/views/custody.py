"""The pages of the audit log and of erasure."""

from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import audit
from annotation.accounts import erasing
from annotation.errors import AnnotationError, BadAccount, Unreadable
from annotation.models import AuditEntry
from annotation.permissions import is_lead

FILTERS: Final = ("act", "target", "person", "since", "until")


def _lead(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not is_lead(request.user):
        raise PermissionDenied("The audit log and erasures belong to leads and operators.")
    return request.user


@never_cache
@require_GET
def audit_log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    _lead(request)
    fault, before = "", None
    rows: list[AuditEntry] = []
    try:
        wanted = audit.wanted_of(request.GET)
        rows, before = audit.page(wanted, _number(request))
    except AnnotationError as error:
        fault = error.message
    context = {
        "rows": rows,
        "acts": audit.acts(),
        "wanted": {name: request.GET.get(name, "") for name in FILTERS},
        "fault": fault,
        "older": _older(request, before),
    }
    return render(request, "annotation/audit.html", context, status=400 if fault else 200)


def _number(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Unreadable(_("The page sent something unknown; open it again."))
    return int(text)


def _older(request: HttpRequest, before: int | None) -> str:
    """The query of the next page."""
    if before is None:
        return ""
    query = request.GET.copy()
    query["before"] = str(before)
    return query.urlencode()


# Erasure.


@never_cache
@require_http_methods(["GET", "POST"])
def erasures(request: HttpRequest) -> HttpResponse:
    """Who wishes to be forgotten. An operator does it, and types the name to be sure."""
    user = _lead(request)
    context: dict[str, Any] = {"may_erase": user.is_superuser}
    status = 200
    if request.method == "POST":
        try:
            context |= _erased(request)
        except AnnotationError as error:
            context |= {"fault": error.message, "typed": request.POST.get("username", "")}
            status = error.status
    context["waiting"] = list(erasing.waiting())
    return render(request, "annotation/erasures.html", context, status=status)


def _erased(request: HttpRequest) -> dict[str, Any]:
    name = request.POST.get("username", "").strip()
    if not name or name != request.POST.get("confirmed", "").strip():
        raise BadAccount(_("The two names differ; nobody was erased."))
    person = User.objects.filter(username=name).first()
    if person is None:
        raise BadAccount(_("There is no such account."))
    left = erasing.erase(request, person.pk)
    return {"done": person.pk, "left": left}


@require_POST
def own_erasure(request: HttpRequest) -> HttpResponse:
    """Ask to be forgotten, or take that back."""
    assert isinstance(request.user, User)
    if request.POST.get("act") == "withdraw":
        erasing.withdraw(request.user)
        messages.success(request, _("You are not waiting to be forgotten any more."))
    else:
        erasing.ask(request.user)
        messages.success(request, _("An operator was asked to forget you."))
    return redirect("annotation:account")
