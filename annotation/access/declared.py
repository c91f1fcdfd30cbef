"""Holds every REST door to its policy: the default permission of DRF, behind IsAuthenticated."""

from typing import Any

from rest_framework import exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from annotation.access.policies import (
    ANYONE,
    Policy,
    Rule,
    of_match,
    refusal,
    undeclared,
    unknown_entry,
)
from annotation.accounts import fresh_login, second_factor, token_campaign
from annotation.errors import AnnotationError, NotAllowed
from annotation.models import ApiToken


class Declared(BasePermission):
    """The policy of a REST door. Stands behind IsAuthenticated, so there is somebody."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        policy = of_match(request.resolver_match)
        if policy is None:
            raise exceptions.PermissionDenied(undeclared("?"), "not_declared")
        if entry := unknown_entry(policy, request):
            raise exceptions.ParseError(_unknown(entry, policy), "unreadable")
        rule = policy.rule(request.method)
        if rule is None or rule.who == ANYONE:
            return True  # the door answers 405 by itself
        token = request.auth if isinstance(request.auth, ApiToken) else None
        _hold_rest(request, policy, rule, token)
        return True


def _unknown(entry: str, policy: Policy) -> str:
    known = ", ".join(sorted(policy.query or ())) or "none"
    return f"The query has an unknown entry {entry!r}; there are {known}."


def _hold_rest(request: Request, policy: Policy, rule: Rule, token: ApiToken | None) -> None:
    refused = refusal(rule, request.user, token)
    if refused is not None:
        raise exceptions.PermissionDenied(refused.said, refused.code)
    try:
        if token is not None:
            token_campaign.refuse_other(token, request)
            return
        if not policy.enrolling:
            second_factor.refuse_missing(request)
        if rule.fresh:
            fresh_login.refuse_stale(request)
    except NotAllowed as error:
        raise exceptions.PermissionDenied(error.message, error.code) from error
    except AnnotationError as error:
        raise exceptions.NotFound(error.message, error.code) from error


def need_scope(request: Request, scope: str) -> None:
    """For a door behind which some answers need more than the policy asks for."""
    if isinstance(request.auth, ApiToken) and scope not in request.auth.scopes:
        raise exceptions.PermissionDenied(
            f"This token may not do this: it was made without the scope {str(scope)!r}.",
            "scope_missing",
        )
