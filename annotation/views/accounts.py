"""The pages on which people get in: invitations, forgotten passwords, the own account."""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordResetView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.accounts import fresh_login, invitations, pay, second_factor
from annotation.accounts.forms import JoinForm, ResetForm
from annotation.errors import BadAccount, NotFound
from annotation.models import Campaign
from annotation.permissions import is_annotator

_PASSWORDS = "django.contrib.auth.backends.ModelBackend"


class LogIn(LoginView):
    """By name and password; a second factor is asked behind it, where there is one."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        record_authentication(self.request, user, method="password")
        answer: HttpResponse = perform_login(
            self.request, user, email_verification="none", redirect_url=self.get_success_url()
        )
        return answer


@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """The password again, before what could do harm; then on to where the person wanted."""
    onwards = _inside(request, request.POST.get("next") or request.GET.get("next", ""))
    typed = request.POST.get(fresh_login.PASSWORD, "")
    if request.method == "POST" and fresh_login.confirm(request, typed):
        return HttpResponseRedirect(onwards)
    wrong = request.method == "POST"
    return fresh_login.confirm_page(request, wrong=wrong, onwards=onwards)


def _inside(request: HttpRequest, wanted: str) -> str:
    """An address of this site, or its beginning."""
    inside = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if inside else resolve_url(settings.LOGIN_REDIRECT_URL)


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
    context = {
        "days": pay.own_hours(request.user),
        "second_factor": second_factor.has_one(request.user),
    }
    return render(request, "annotation/account.html", context)
