"""The languages of the pages: which one a person reads, and the texts of the scripts.

LocaleMiddleware reads the cookie and, without one, what the browser asks for; so a page costs no
query. The cookie is written in one place, at the end of a request that chose a language: the
switch in the top bar, a log-in (from the profile), a change of the profile.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings
from django.contrib.auth.models import User
from django.core import checks
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from annotation.models import Language, Profile

_COMPILE: Final = "python -m tools.messages compile"


def is_known(language: object) -> bool:
    return isinstance(language, str) and language in Language.values


def choose(request: HttpRequest, language: str) -> None:
    """From this answer on, this browser reads this language."""
    setattr(request, "_language_chosen", language)  # noqa: B010  no such attribute
    translation.activate(language)


class LanguageCookieMiddleware:
    """Writes the cookie for a language that the request chose. Stands below LocaleMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        chosen = getattr(request, "_language_chosen", "")
        if chosen:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME,
                chosen,
                max_age=settings.LANGUAGE_COOKIE_AGE,
                secure=settings.LANGUAGE_COOKIE_SECURE,
                httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
                samesite="Lax",
            )
        return response


def read_profile_at_login(
    sender: Any,  # noqa: ARG001  the signature is that of the signal
    request: HttpRequest | None,
    user: User,
    **_kwargs: Any,
) -> None:
    """Who has chosen a language once finds it again in every browser."""
    language = Profile.objects.filter(user=user).values_list("language", flat=True).first()
    if request is not None and language:
        choose(request, language)


def catalog_of(language: str, domain: str) -> Path:
    """The compiled catalog of this language; English has none, because it is the source."""
    folder = Path(settings.BASE_DIR) / "locale" / translation.to_locale(language)
    return folder / "LC_MESSAGES" / f"{domain}.mo"


@cache
def script_digest(language: str) -> str:
    """Changes with the texts of the scripts: an address with it may be kept for ever."""
    path = catalog_of(language, "djangojs")
    content = path.read_bytes() if path.exists() else b""
    return hashlib.sha256(content + django.__version__.encode()).hexdigest()[:16]


def check_catalogs(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Without its catalog a language would be shown in English, and nobody would know why."""
    return [
        checks.Error(f"The catalog {path} is not compiled.", hint=_COMPILE, id="annotation.E001")
        for language in Language.values
        if language != settings.LANGUAGE_CODE
        for path in (catalog_of(language, "django"), catalog_of(language, "djangojs"))
        if not path.exists()
    ]
