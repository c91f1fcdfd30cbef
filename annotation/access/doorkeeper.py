"""Holds every page to its policy; REST doors are held by `annotation.access.declared`."""

import logging
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from rest_framework import exceptions
from rest_framework.authentication import get_authorization_header
from rest_framework.views import APIView

from annotation.access.policies import (
    ANYONE,
    SAFE,
    Policy,
    Rule,
    of_match,
    refusal,
    undeclared,
    unknown_entry,
)
from annotation.accounts import fresh_login, second_factor, token_campaign
from annotation.accounts.tokens import BearerToken
from annotation.models import ApiToken

_LOG: Final = logging.getLogger(__name__)


class PolicyMiddleware:
    """Stands before LoginRequiredMiddleware: a token may open a page that a policy gives it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Any,
        _args: tuple[Any, ...],
        _kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        policy = _declared(request)
        if _is_rest(view):
            return None  # `Declared` decides, when DRF has read the token
        rule = policy.rule(request.method)
        if rule is None:
            return None  # the view answers 405 by itself, after a log-in
        if entry := unknown_entry(policy, request):
            raise BadRequest(f"There is no entry {entry!r} in the query of this page.")
        if rule.who == ANYONE:
            return None
        return _hold(request, policy, rule)


def _declared(request: HttpRequest) -> Policy:
    match = request.resolver_match
    policy = of_match(match)
    if policy is None:
        name = match.view_name if match else ""
        _LOG.error("%s", undeclared(name))
        raise PermissionDenied(undeclared(name))
    return policy


def _is_rest(view: Any) -> bool:
    made_of = getattr(view, "cls", None)
    return isinstance(made_of, type) and issubclass(made_of, APIView)


def _hold(request: HttpRequest, policy: Policy, rule: Rule) -> HttpResponse | None:
    token = _token(request, rule)
    if not isinstance(request.user, User):
        return redirect_to_login(request.get_full_path())
    refused = refusal(rule, request.user, token)
    if refused is not None:
        raise PermissionDenied(refused.said)
    if token is not None:
        token_campaign.refuse_other(token, request)
        return None
    if second_factor.is_missing(request, request.user) and not policy.enrolling:
        return redirect(second_factor.where_to_enrol())
    return fresh_login.ask(request) if rule.fresh else None


def _token(request: HttpRequest, rule: Rule) -> ApiToken | None:
    """The token of a program that reads a page; from here on the request is its owner's."""
    if not rule.scope or request.method not in SAFE or not get_authorization_header(request):  # type: ignore[arg-type]
        return None
    try:
        found = BearerToken().authenticate(request)  # type: ignore[arg-type]
    except exceptions.AuthenticationFailed as error:
        raise PermissionDenied(str(error.detail)) from None
    if found is None:
        return None
    request.user, token = found
    return token if isinstance(token, ApiToken) else None
