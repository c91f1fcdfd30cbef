"""/healthz and /readyz, for programs without a log-in; no word of theirs names a host."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from pipelines import alerts, health


@never_cache
@login_not_required
@require_safe
def alive(_request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers."""
    return JsonResponse({"state": health.State.GOOD})


@never_cache
@login_not_required
@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """200 where the site can serve, also degraded; 503 where it cannot."""
    parts = health.parts()
    state = health.state_of(parts)
    if state != health.State.BAD:
        alerts.watch_if_due()  # with every worker dead, who asks this is the only clock
    said = {"state": state, "parts": {each.name: each.state for each in parts}}
    return JsonResponse(said, status=503 if state == health.State.BAD else 200)
