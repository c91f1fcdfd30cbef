"""Own API tokens: the page, and the REST doors."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import audit
from annotation.access.scopes import Scope
from annotation.accounts.tokens import MAX_DAYS, TokenRefused, make_token, revoke_token
from annotation.errors import AnnotationError
from annotation.models import ApiToken
from annotation.views import schemas
from annotation.views.door import Door, person
from annotation.views.lead_door import read_body, read_query
from annotation.views.people_api import seen_campaign


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label=_("What it is for"))
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=forms.CheckboxSelectMultiple, label=_("It may")
    )
    days = forms.IntegerField(min_value=1, max_value=MAX_DAYS, initial=90, label=_("Days"))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware stands before
    return request.user


@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """Own tokens; a new one is shown here once and nowhere again."""
    user = _user(request)
    form = TokenForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = make_token(user, **form.cleaned_data)
            audit.record(request, "token.make", token, scopes=token.scopes)
            form = TokenForm()
        except TokenRefused as error:
            form.add_error(None, error.message)
    live = ApiToken.objects.live().filter(user=user)
    context = {"form": form, "tokens": live, "secret": secret}
    faulty = request.method == "POST" and not secret
    return render(request, "annotation/tokens.html", context, status=422 if faulty else 200)


@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    try:
        token = revoke_token(_user(request), token_id)
        audit.record(request, "token.revoke", token)
    except AnnotationError as error:
        return HttpResponse(error.message, status=error.status, content_type="text/plain")
    return redirect("annotation:tokens")


class TokensView(Door):
    @extend_schema(summary="My API tokens", operation_id="tokens_list", responses=schemas.TokenList)
    def get(self, request: Request) -> Response:
        read_query(request)
        rows = ApiToken.objects.filter(user=person(request))
        return Response({"tokens": [_json(each) for each in rows]})

    @extend_schema(
        summary="Make an API token; its secret is in this answer and nowhere else",
        operation_id="tokens_create",
        request=schemas.NewToken,
        responses={201: schemas.MadeToken},
    )
    def post(self, request: Request) -> Response:
        body = read_body(schemas.NewToken, request)
        user, named = person(request), body.pop("campaign")
        campaign = seen_campaign(request, named) if named is not None else None
        token, secret = make_token(user, campaign=campaign, **body)
        audit.record(request, "token.make", token, scopes=token.scopes)
        return Response({**_json(token), "token": secret}, status=status.HTTP_201_CREATED)


class TokenView(Door):
    @extend_schema(
        summary="Revoke an own token at once",
        operation_id="tokens_revoke",
        responses=schemas.TokenRow,
    )
    def delete(self, request: Request, token_id: int) -> Response:
        token = revoke_token(person(request), token_id)
        audit.record(request, "token.revoke", token)
        return Response(_json(token))


def _json(token: ApiToken) -> dict[str, Any]:
    plain = ("id", "name", "prefix", "revoked", "scopes")
    times = ("created_at", "expires_at", "last_used_at")
    return {
        **{name: getattr(token, name) for name in plain},
        "campaign": token.campaign_id,
        **{name: (at := getattr(token, name)) and at.isoformat() for name in times},
    }
