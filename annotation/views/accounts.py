"""The pages on which people get in: invitations, forgotten passwords, the own account."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordResetView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation import invitations, pay
from annotation.account_forms import JoinForm, ResetForm
from annotation.errors import BadAccount, NotFound
from annotation.models import Campaign
from annotation.permissions import is_annotator

_PASSWORDS = "django.contrib.auth.backends.ModelBackend"


@never_cache
@login_not_required
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation: choose a name and a password, or take part with the account one has."""
    try:
        invitation = invitations.read(token)
        if request.method == "POST" and isinstance(request.user, User):
            return _onwards(request.user, invitations.accept(token, request.user))
        form = JoinForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return _joined(request, token, form)
    except NotFound as error:
        return render(
            request, "registration/no_invitation.html", {"why": error.message}, status=404
        )
    return render(request, "registration/join.html", {"invitation": invitation, "form": form})


def _joined(request: HttpRequest, token: str, form: JoinForm) -> HttpResponse:
    campaign = invitations.read(token).campaign
    data = form.cleaned_data
    try:
        user = invitations.make_account(token, data["username"], data["password"], data["email"])
    except BadAccount as error:
        for field, texts in error.details["fields"].items():
            for text in texts:
                form.add_error(field, text)
        context = {"invitation": invitations.read(token), "form": form}
        return render(request, "registration/join.html", context, status=422)
    login(request, user, backend=_PASSWORDS)
    return _onwards(user, campaign)


def _onwards(user: User, campaign: Campaign | None) -> HttpResponse:
    if campaign is not None and is_annotator(user) and campaign.state == Campaign.State.OPEN:
        return redirect("annotation:annotate", campaign.pk)
    return redirect("annotation:home")


@method_decorator([login_not_required, never_cache], name="dispatch")
class ForgottenPassword(PasswordResetView):
    """Sends a link, if there is an account with this address. The answer does not say."""

    form_class = ResetForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "sends": settings.TIEBREAK_SENDS_MAIL}


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """What is mine: language, password, hours."""
    assert isinstance(request.user, User)
    return render(request, "annotation/account.html", {"days": pay.own_hours(request.user)})
