"""The admin of accounts: as Django's, with links to set passwords for operators."""

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from annotation.errors import AnnotationError
from annotation.people import password_link

admin.site.unregister(User)


@admin.register(User)
class AccountAdmin(UserAdmin):
    actions = ["make_password_links"]

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
