"""Cleaning of what people type to get in; the rules are in `invitations` and `people`."""

import threading
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
)
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.mail import EmailMultiAlternatives
from django.template import loader
from django.utils.translation import gettext_lazy as _

from annotation.accounts.profiles import note_reset

_BETWEEN_MAILS: Final = timedelta(minutes=10)


class JoinForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"))
    email = forms.EmailField(required=False, label=_("E-mail, to reset a forgotten password"))
    password = forms.CharField(label=_("Password"), strip=False)


class ResetForm(PasswordResetForm):
    """Answers the same, and as fast, whether or not there is such an account.

    The mail is sent beside the request, because sending takes time that would tell. An account
    gets one mail in ten minutes: nobody's mailbox is flooded from here.
    """

    def get_users(self, email: str) -> Iterator[User]:
        """Also accounts that have no password yet: their first link may have run out."""
        wanted = _folded(email)
        for user in User.objects.filter(email__iexact=email, is_active=True):
            if _folded(user.email) == wanted and note_reset(user, _BETWEEN_MAILS):
                yield user

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,  # noqa: ARG002  Django's signature
    ) -> None:
        subject = "".join(loader.render_to_string(subject_template_name, context).splitlines())
        body = loader.render_to_string(email_template_name, context)
        message = EmailMultiAlternatives(subject, body, from_email, [to_email])
        threading.Thread(target=message.send, name="password-reset").start()


class NewPasswordForm(SetPasswordForm):
    """Saves the password alone: the rest of the row, as it was read, may be out of date."""

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002  Django's signature
        user: User = super().save(commit=False)
        if commit:
            _keep_password(user, is_active=True)
        return user


class ChangedPasswordForm(NewPasswordForm, PasswordChangeForm):
    """The same, with the old password before it."""


class GivenPasswordForm(AdminPasswordChangeForm):
    """The same, set by an operator, also of an account that is not active."""

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002  Django's signature
        user: User = super().save(commit=False)
        if commit:
            _keep_password(user, username=user.username)
        return user


def _keep_password(user: User, **still: Any) -> None:
    """As long as the account is what it was: it may have been deactivated or erased since."""
    if not User.objects.filter(pk=user.pk, **still).update(password=user.password):
        raise PermissionDenied


def _folded(address: str) -> str:
    """Two addresses that look alike are not the same mailbox."""
    return unicodedata.normalize("NFKC", address).casefold()
