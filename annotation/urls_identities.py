"""The addresses of django-allauth that we use: a second factor, and log-in by another service."""

from allauth.account.views import account_inactive
from allauth.mfa.base import views as second_factor
from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, include, path

from annotation.views.accounts import LogIn, confirm

urlpatterns: list[URLPattern | URLResolver] = [
    # Names under which allauth looks for what is ours.
    path("login/", LogIn.as_view(), name="account_login"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("confirm/", confirm, name="account_reauthenticate"),
    path("inactive/", account_inactive, name="account_inactive"),
    path("2fa/", second_factor.index, name="mfa_index"),
    path("2fa/authenticate/", second_factor.authenticate, name="mfa_authenticate"),
    path("2fa/totp/", include("allauth.mfa.totp.urls")),
    path("2fa/recovery-codes/", include("allauth.mfa.recovery_codes.urls")),
    path("3rdparty/", include("allauth.socialaccount.urls")),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
]
