"""Where everything lives. Each app owns the paths below its prefix."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from annotation.accounts.forms import ChangedPasswordForm, NewPasswordForm
from annotation.views.accounts import ForgottenPassword, LogIn, confirm

admin.autodiscover()

urlpatterns = [
    # One way in: the admin's own form knows no second factor.
    path("admin/login/", LogIn.as_view(), name="admin-login"),
    path("admin/", admin.site.urls),
    path("accounts/login/", LogIn.as_view(), name="login"),
    path("accounts/confirm/", confirm, name="confirm"),
    # Before Django's own: what it answers must not tell who has an account.
    path("accounts/password_reset/", ForgottenPassword.as_view(), name="password_reset"),
    # These save no more of an account than its password.
    path(
        "accounts/password_change/",
        PasswordChangeView.as_view(form_class=ChangedPasswordForm),
        name="password_change",
    ),
    path(
        "accounts/reset/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(form_class=NewPasswordForm),
        name="password_reset_confirm",
    ),
    path("accounts/", include("django.contrib.auth.urls")),
    path("accounts/", include("annotation.urls_identities")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", login_required(SpectacularSwaggerSplitView.as_view()), name="api-docs"),
    path("", include("annotation.urls")),
    path("", include("pipelines.urls")),
]
