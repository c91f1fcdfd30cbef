"""A fresh log-in: dangerous acts ask for the password again when the log-in is a while ago.

What is dangerous stands in the policies (`fresh=True`), and `required` is for a door that decides
by itself. A form that was sent too late is not lost: the page that asks for the password holds its
fields and sends them with it. Wrong passwords count as failed log-ins do.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.errors import NotAllowed
from annotation.models import ApiToken

STAMP: Final = "fresh_login"  # in the session: when the password was last given
PASSWORD: Final = "fresh_password"  # noqa: S105 - the name of a field
_SAFE: Final = frozenset({"GET", "HEAD"})
View = Callable[..., HttpResponseBase]


class FreshLoginNeeded(NotAllowed):
    """The log-in is too long ago for this."""

    code = "fresh_login_needed"


def stamp(request: Any) -> None:
    request.session[STAMP] = int(time.time())


def note_login(
    sender: Any,  # noqa: ARG001  the signature is that of the signal
    request: HttpRequest | None,
    user: User,  # noqa: ARG001
    **_kwargs: Any,
) -> None:
    """Who logs in has just shown who they are."""
    if request is not None and hasattr(request, "session"):
        stamp(request)


def is_fresh(request: Any) -> bool:
    at = request.session.get(STAMP)
    now = time.time()
    # A clock that was set back makes nothing fresh for longer than it would have been.
    return isinstance(at, int) and 0 <= now - at + 1 <= settings.TIEBREAK_FRESH_LOGIN_SECONDS + 1


def refuse_stale(request: Any) -> None:
    """For REST doors: FreshLoginNeeded, unless the log-in is fresh or a token asks."""
    if isinstance(getattr(request, "auth", None), ApiToken) or is_fresh(request):
        return
    raise FreshLoginNeeded(said(), confirm=reverse("confirm"))


def said() -> str:
    return _("Confirm with your password that it is you; your log-in is a while ago.")


def required(view: View) -> View:
    """A page or a form that asks for a fresh log-in, whatever its policy says."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = ask(request)
        return answer if answer is not None else view(request, *args, **kwargs)

    return guarded


def ask(request: HttpRequest) -> HttpResponse | None:
    """None, if the request may go on; else the page on which the password is asked."""
    typed = request.POST.get(PASSWORD)
    if typed is not None and request.method == "POST":
        _without_password(request)
        if not is_fresh(request):
            confirm(request, typed)
    if is_fresh(request):
        return None
    if request.method in _SAFE:
        query = urlencode({"next": request.get_full_path()})
        return HttpResponseRedirect(f"{reverse('confirm')}?{query}")
    return confirm_page(request, _held(request), wrong=typed is not None)


def confirm(request: HttpRequest, password: str) -> bool:
    """Whether the password is that of who is logged in; a wrong one counts as a failed log-in."""
    person = request.user
    assert isinstance(person, User)
    known = authenticate(request, username=person.get_username(), password=password)
    if known is None or known.pk != person.pk:
        return False
    request.session.cycle_key()
    stamp(request)
    return True


def confirm_page(
    request: HttpRequest, held: QueryDict | None = None, *, wrong: bool = False, onwards: str = ""
) -> HttpResponse:
    person = request.user
    assert isinstance(person, User)
    context = {
        "held": [
            (name, value) for name, values in (held or QueryDict()).lists() for value in values
        ],
        "wrong": wrong,
        "files": bool(request.FILES),
        "onwards": onwards,
        "field": PASSWORD,
        "has_password": person.has_usable_password(),
        "here": request.get_full_path(),
    }
    status = 200 if held is None and not wrong else 403
    page = render(request, "registration/confirm.html", context, status=status)
    page["Cache-Control"] = "no-store"
    return page


def _held(request: HttpRequest) -> QueryDict:
    held = request.POST.copy()
    held.pop("csrfmiddlewaretoken", None)
    return held


def _without_password(request: HttpRequest) -> None:
    """The view behind gets the form as it was sent before the password was asked."""
    cleaned = request.POST.copy()
    cleaned.pop(PASSWORD, None)
    cleaned._mutable = False
    request.POST = cleaned  # type: ignore[assignment]
