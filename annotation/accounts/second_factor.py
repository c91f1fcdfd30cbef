"""A second factor at log-in: codes of an authenticator app, by django-allauth.

Whoever has one is asked for it at every log-in. Where the site wants one of its staff
(TIEBREAK_REQUIRES_MFA), those who have none can do nothing but set it up. The secret that app and
site share is kept encrypted, and wrong codes count as failed log-ins do.
"""

import base64
import hashlib
from typing import Any, Final

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_used
from axes.handlers.proxy import AxesProxyHandler
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework.request import Request

from annotation.errors import NotAllowed
from annotation.models import ApiToken
from annotation.permissions import is_staff_person

_REMEMBERED: Final = 300  # seconds; a code is good for three steps of 30 at most
_GIVEN: Final = "second_factor"  # in the session: whose second factor was given in it


class SecondFactorNeeded(NotAllowed):
    """The site wants a second factor of its staff, and this log-in was without."""

    code = "second_factor_needed"


def is_missing(request: Any, user: User) -> bool:
    """Whether this person must set one up, or log in with it, before anything else."""
    if not settings.TIEBREAK_REQUIRES_MFA or not is_staff_person(user):
        return False
    return bool(request.session.get(_GIVEN) != user.pk)


def refuse_missing(request: Request) -> None:
    if isinstance(request.auth, ApiToken) or not isinstance(request.user, User):
        return
    if is_missing(request, request.user):
        raise SecondFactorNeeded(_("Set up a second factor first: My account."))


def where_to_enrol() -> str:
    return reverse("mfa_index")


def has_one(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


# What allauth asks of a project.


class Secrets(DefaultMFAAdapter):
    """The secrets of authenticators, encrypted in the table with a key that SECRET_KEY gives."""

    def get_totp_issuer(self) -> str:
        return f"Tiebreak {self._get_site_name()}"

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())  # an address would be on the screen of a phone

    def encrypt(self, text: str) -> str:
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _box().decrypt(encrypted_text.encode()).decode()


def _box() -> MultiFernet:
    """The first key encrypts; those that SECRET_KEY was before still decrypt."""
    return MultiFernet([Fernet(_key(each)) for each in _site_keys()])


def _site_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _key(secret: str) -> bytes:
    """SECRET_KEY is random and long, so one hash is as good as a slow one."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"second factor:{secret}".encode()).digest())


class CodeForm(AuthenticateForm):
    """Counts wrong codes with the failed log-ins of this person from this address."""

    def clean_code(self) -> str:
        request = _request()
        credentials = {"username": self.user.get_username()}
        if not AxesProxyHandler.is_allowed(request, credentials):
            request.axes_locked_out = True  # the middleware of axes answers
            raise ValidationError(_("Too many attempts; wait a while."))
        code = str(super().clean_code())
        # Each once, in all processes: allauth remembers used codes in this process alone.
        if not caches["throttle"].add(f"used-code:{self.user.pk}:{_digest(code)}", 1, _REMEMBERED):
            raise get_adapter().validation_error("incorrect_code")
        return code


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _request() -> Any:
    from allauth.core import context  # an attribute of the module, which changes

    return context.request


def connect_signals() -> None:
    authenticator_added.connect(_enrolled)
    authenticator_used.connect(_given)
    authentication_failed.connect(_failed)


def _enrolled(request: HttpRequest, user: User, authenticator: Authenticator, **_more: Any) -> None:
    """Who has just set one up has shown that they hold it."""
    record_authentication(request, user, method="mfa", type=authenticator.type)
    request.session[_GIVEN] = user.pk


def _given(request: HttpRequest, user: User, **_more: Any) -> None:
    request.session[_GIVEN] = user.pk


def _failed(request: HttpRequest, user: User, **_more: Any) -> None:
    user_login_failed.send(
        sender=__name__, request=request, credentials={"username": user.get_username()}
    )
