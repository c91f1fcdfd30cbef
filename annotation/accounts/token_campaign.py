"""A token may be made for one campaign: then no other one is there for it."""

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404

from annotation.errors import NotFound
from annotation.models import ApiToken, Lease, ProbeLease, Triplet, Vote


def refuse_other(token: ApiToken, request: Any) -> None:
    """NotFound, where the request is not about the campaign of the token."""
    if token.campaign_id is None:
        return
    if not _is_about(token.campaign_id, request):
        if hasattr(request, "auth"):
            raise NotFound("This token is for another campaign.")
        raise Http404("This token is for another campaign.")


def _is_about(campaign_id: int, request: Any) -> bool:
    named = request.resolver_match.kwargs
    if "campaign_id" in named:
        return bool(named["campaign_id"] == campaign_id)
    if "video_id" in named:
        video = named["video_id"]
        shows = Q(video_a=video) | Q(video_b=video)
        return Triplet.objects.filter(shows, campaign=campaign_id).exists()
    if "vote_id" in named:
        return Vote.objects.filter(pk=named["vote_id"], campaign=campaign_id).exists()
    lease = named.get("token") or _lease_in_body(request)
    if lease is not None:
        return _is_lease_of(campaign_id, lease)
    return bool(request.GET.get("campaign") == str(campaign_id))


def _lease_in_body(request: Any) -> UUID | None:
    body = getattr(request, "data", None)
    text = body.get("lease") if isinstance(body, dict) else None
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _is_lease_of(campaign_id: int, lease: UUID) -> bool:
    of_pair = Lease.objects.filter(pk=lease, triplet__campaign=campaign_id)
    of_probe = ProbeLease.objects.filter(pk=lease, campaign=campaign_id)
    return of_pair.exists() or of_probe.exists()
