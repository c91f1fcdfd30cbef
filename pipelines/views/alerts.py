"""What is wrong now and what was; and the figures for Prometheus."""

import hmac

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from annotation.accounts.login_limits import client_address
from pipelines import alerts, metrics
from pipelines.models import Alert
from pipelines.views.access import for_viewers

_PAST = 50
_OWN = {"127.0.0.1", "::1"}


@require_GET
@for_viewers
def alert_list(request: HttpRequest) -> HttpResponse:
    """The page. It looks anew: with no worker alive, nobody else might."""
    alerts.watch_if_due()
    past = Alert.objects.exclude(ended_at=None)[:_PAST]
    return render(request, "pipelines/alerts.html", {"standing": alerts.standing(), "past": past})


@never_cache
@login_not_required
@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """With the token of the operator; without one, for this host alone."""
    if not _may_read(request):
        return HttpResponse("a bearer token is needed\n", status=401, content_type="text/plain")
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    token: str = settings.TIEBREAK_METRICS_TOKEN
    if not token:
        return client_address(request) in _OWN
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
