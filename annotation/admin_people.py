"""The admin of accounts: as Django's, with links to set passwords for operators.

Second factors and identities of other services can be seen and deleted there, for who has lost a
phone or changes the service. What else django-allauth would show is configured elsewhere.
"""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from annotation.accounts.erasing import is_erased
from annotation.accounts.forms import GivenPasswordForm
from annotation.accounts.people import password_link
from annotation.errors import AnnotationError
from annotation.forms import changed_columns

admin.site.unregister([User, EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken])


@admin.register(User)
class AccountAdmin(UserAdmin):
    actions = ["make_password_links"]
    change_password_form = GivenPasswordForm

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who was erased stays a number."""
        return super().has_change_permission(request, obj) and not (obj and is_erased(obj))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        if not change:
            super().save_model(request, obj, form, change)
            return
        # The row as it was read may be out of date: somebody may have been erased since.
        User.objects.select_for_update(no_key=True).get(pk=obj.pk)
        if is_erased(obj):
            raise PermissionDenied
        obj.save(update_fields=changed_columns(form))

    @admin.action(description="Make links to set a new password", permissions=["change"])
    def make_password_links(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Shown once, on the page that follows; each works once, within three days."""
        assert isinstance(request.user, User)
        for user in queryset:
            try:
                link = password_link(request.user, user.pk)
            except AnnotationError as error:
                self.message_user(request, f"{user}: {error.message}", messages.ERROR)
            else:
                address = request.build_absolute_uri(link.path)
                self.message_user(request, f"{user}: {address}", messages.SUCCESS)


class _Deletable(admin.ModelAdmin):
    """Made and changed by its owner alone; an operator may delete it."""

    list_select_related = ["user"]
    search_fields = ["user__username"]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Authenticator)
class AuthenticatorAdmin(_Deletable):
    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    fields = ["user", "type", "created_at", "last_used_at"]  # its secrets stay where they are


@admin.register(SocialAccount)
class IdentityAdmin(_Deletable):
    list_display = ["user", "provider", "uid", "last_login", "date_joined"]
    fields = ["user", "provider", "uid", "last_login", "date_joined"]
