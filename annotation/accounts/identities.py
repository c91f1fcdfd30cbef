"""Who somebody is, where another service says so: log-in by OpenID Connect, by django-allauth.

The service is configured by the operator (TIEBREAK_OIDC_*). An identity that the site does not know
yet makes an account only if TIEBREAK_OIDC_ROLE says which role such people get; otherwise a person
logs in by password once and connects the identity on the page of their account. No identity is ever
joined to an account by its e-mail address: addresses of accounts were typed by people.
"""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from annotation.accounts.login_limits import client_address
from annotation.accounts.people import give_role
from annotation.permissions import ANNOTATOR


class Accounts(DefaultAccountAdapter):
    """Accounts come from invitations, tables and identities; never from a form of allauth."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def is_reauthentication_required(self, *, app: str, **_more: Any) -> bool:  # noqa: ARG002
        return False  # the policies of these pages ask for a fresh log-in, as everywhere

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: Any = None,
        *more: Any,
        **named: Any,
    ) -> None:
        if message_template != "account/messages/logged_in.txt":  # the next page says it
            super().add_message(request, level, message_template, *more, **named)

    def send_notification_mail(self, *_args: Any, **_more: Any) -> None:
        """No mail about what the person has just done; the audit log keeps it."""


class Identities(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        return bool(settings.TIEBREAK_OIDC_ROLE)

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        return True

    def can_authenticate_by_email(self, login: SocialLogin, email: str) -> bool:  # noqa: ARG002
        return False

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        if settings.TIEBREAK_OIDC_ROLE == ANNOTATOR:
            give_role(user, ANNOTATOR)
        return user

    def send_notification_mail(self, *_args: Any, **_more: Any) -> None:
        """As for accounts."""
