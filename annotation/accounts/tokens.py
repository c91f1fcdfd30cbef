"""Tokens of programs: random, stored as a hash, shown once, sent in a header and never in a URL."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import TokenAuthentication

from annotation.access.scopes import SCOPES, known_scopes
from annotation.errors import AnnotationError, NotFound
from annotation.models import ApiToken, Campaign

_PREFIX: Final = "tb_"  # so that a leaked one is found by who searches for them
_SHOWN: Final = 8
MOST: Final = 50  # live ones of a person
MAX_DAYS: Final = 366
_NOTED_EVERY: Final = timedelta(minutes=1)


class TokenRefused(AnnotationError):
    """A token cannot be made like this."""

    status = 422
    code = "bad_token"


def make_token(
    user: User,
    name: str,
    *,
    days: int = 90,
    scopes: Iterable[str] = SCOPES,
    campaign: Campaign | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its secret, which nobody can read again.

    It opens what its owner's role opens, of that only its scopes, and of these only one campaign,
    where one is named. The doors to people, roles and tokens open to no token.
    """
    if not name.strip() or len(name) > 100:
        raise TokenRefused("A token needs a name of 1 to 100 characters that says what it is for.")
    if not 1 <= days <= MAX_DAYS:
        raise TokenRefused(f"A token lives for 1 to {MAX_DAYS} days, not for {days}.")
    if ApiToken.objects.live().filter(user=user).count() >= MOST:
        raise TokenRefused(f"You have {MOST} live tokens; revoke one first.")
    secret = _PREFIX + secrets.token_urlsafe(32)
    wanted = _scopes(scopes)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        sha256=_digest(secret),
        prefix=secret[:_SHOWN],
        scopes=wanted,
        campaign=campaign,
        expires_at=timezone.now() + timedelta(days=days),
    )
    return token, secret


def _scopes(wanted: Iterable[str]) -> list[str]:
    try:
        known = known_scopes(wanted)
    except ValueError as error:
        raise TokenRefused(
            f"There is no scope {str(error)!r}; there are {', '.join(SCOPES)}."
        ) from None
    if not known:
        raise TokenRefused(f"A token needs at least one scope of {', '.join(SCOPES)}.")
    return known


def revoke_token(user: User, token_id: int) -> ApiToken:
    """An own token stops working at once."""
    found = ApiToken.objects.filter(user=user, pk=token_id)
    if not found.update(revoked=True):
        raise NotFound("There is no such token of yours.")
    return found.get()


def find_token(secret: str) -> ApiToken | None:
    """The live token with this secret, if its owner may still log in."""
    found = ApiToken.objects.live().filter(sha256=_digest(secret), user__is_active=True)
    token = found.select_related("user").first()
    if token is not None:
        _note_use(token)
    return token


def _note_use(token: ApiToken) -> None:
    """To the minute: a program that votes all day must not write one row all day."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - _NOTED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - _NOTED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class BearerToken(TokenAuthentication):
    """`Authorization: Bearer tb_…`. DRF reads the header; the table is ours."""

    keyword = "Bearer"
    model = ApiToken

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        token = find_token(key)
        if token is None:
            raise exceptions.AuthenticationFailed(
                "This token is unknown, expired or revoked; make another on the page of tokens."
            )
        return token.user, token
