"""How often programs may ask: per person for tokens and costly doors, per address for strangers.

People who vote in a browser are not counted: a session writes at the pace of a person, and its
requests are the ones that must be quick. The counts lie in a cache that all processes of a host
share (`CACHES["throttle"]`), without Redis.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from django.conf import settings
from django.core.cache import BaseCache, caches
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from annotation.accounts.login_limits import client_address
from annotation.models import ApiToken


class _Throttle(SimpleRateThrottle, ABC):
    setting: ClassVar[str]

    @abstractmethod
    def ident_of(self, request: Request) -> str | None:
        """Whom the request counts against; None if it is not counted."""

    def get_cache_key(self, request: Request, view: Any) -> str | None:  # noqa: ARG002
        ident = self.ident_of(request)
        return ident and self.cache_format % {"scope": self.scope, "ident": ident}

    @property
    def cache(self) -> BaseCache:  # type: ignore[override]  # the library has a plain attribute
        return caches["throttle"]

    def get_rate(self) -> str:
        rate: str = getattr(settings, self.setting)
        return rate


class TokenThrottle(_Throttle):
    """What one person's tokens may ask for together."""

    scope = "token"
    setting = "TIEBREAK_TOKEN_RATE"

    def ident_of(self, request: Request) -> str | None:
        return str(request.auth.user_id) if isinstance(request.auth, ApiToken) else None


class StrangerThrottle(_Throttle):
    """Requests that nobody has logged in for: guesses at tokens, mostly."""

    scope = "stranger"
    setting = "TIEBREAK_STRANGER_RATE"

    def ident_of(self, request: Request) -> str | None:
        return client_address(request._request)


class CostlyThrottle(_Throttle):
    """Imports, exports, plans and clones, whoever asks and however."""

    scope = "costly"
    setting = "TIEBREAK_COSTLY_RATE"

    def ident_of(self, request: Request) -> str | None:
        return str(request.user.pk)
