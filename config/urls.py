"""Where everything lives. Each app owns the paths below its prefix."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from annotation.views.accounts import ForgottenPassword

urlpatterns = [
    path("admin/", admin.site.urls),
    # Before Django's own: what it answers must not tell who has an account.
    path("accounts/password_reset/", ForgottenPassword.as_view(), name="password_reset"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("", include("annotation.urls")),
    path("", include("pipelines.urls")),
]
