"""Who may open the pages of runs: leads and ML engineers look, ML engineers act."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from annotation.permissions import is_lead, is_ml_engineer

P = ParamSpec("P")
# Views are called by position: the name of their first parameter is their own business.
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def for_viewers(view: View[P]) -> View[P]:
    """403 for everybody who neither leads nor engineers."""
    return _guarded(view, lambda user: is_lead(user) or is_ml_engineer(user))


def for_engineers(view: View[P]) -> View[P]:
    return _guarded(view, is_ml_engineer)


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware lets nobody else in
    return request.user


def _guarded(view: View[P], may: Callable[[User], bool]) -> View[P]:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not may(person(request)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
