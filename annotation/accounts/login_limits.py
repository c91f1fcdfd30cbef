"""Brute force is stopped where it starts, and cannot be aimed at others (RELIABILITY S4).

django-axes counts failed log-ins in the database, so the limits hold in every process and without
Redis. Five failures with one name from one address lock that name for that address for a quarter of
an hour: somebody else at another address still gets in, so nobody can be locked out by a stranger.
Fifty failures from one address, whatever the names, lock the address.
"""

from typing import Any, Final

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

_NAMES_PER_ADDRESS: Final = 10  # an address may fail so many times as often as one name


def client_address(request: HttpRequest) -> str:
    """Who asks: past the proxies that are ours, and no further, because what is left of them in
    X-Forwarded-For was written by the client."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    hops = [hop.strip() for hop in forwarded if hop.strip()]
    proxies: int = settings.TIEBREAK_PROXIES
    if proxies and len(hops) >= proxies:
        return str(hops[-proxies])
    return str(request.META.get("REMOTE_ADDR", ""))


class LoginLimits(AxesDatabaseHandler):
    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """Of the name at this address; or of the address, where that is nearer to its limit."""
        of_name: int = super().get_failures(request, credentials)
        recent = AccessAttempt.objects.filter(
            ip_address=request.axes_ip_address, attempt_time__gte=get_cool_off_threshold(request)
        )
        of_address: int = recent.aggregate(all=Sum("failures_since_start"))["all"] or 0
        return max(of_name, of_address // _NAMES_PER_ADDRESS)


def locked_out(request: HttpRequest, _response: Any, _credentials: Any) -> HttpResponse:
    """The page for whoever must wait."""
    wait = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {"minutes": wait // 60}
    page = render(request, "registration/locked.html", context, status=429)
    page["Retry-After"] = str(wait)
    return page
