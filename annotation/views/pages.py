"""The pages of annotation: thin doors that ask for a permission and render what was read."""

from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.models import Campaign
from annotation.permissions import (
    is_annotator,
    is_lead,
    is_ml_engineer,
    may_see_campaign,
    votable_by,
)
from formats.labels import InvalidReason

# What the page offers as reasons; the words are for people, the values go to the API.
INVALID_REASONS: Final = [
    {"value": InvalidReason.BROKEN.value, "title": "a clip is broken"},
    {"value": InvalidReason.UNSAFE.value, "title": "unsafe content"},
    {"value": InvalidReason.PROMPT_UNCLEAR.value, "title": "prompt unclear"},
    {"value": InvalidReason.IDENTICAL.value, "title": "identical clips"},
    {"value": InvalidReason.OTHER.value, "title": "something else"},
]
SKIP_REASONS: Final = [
    {"value": "cannot_decide", "title": "I cannot decide"},
    {"value": "prompt_language", "title": "I do not understand the prompt"},
    {"value": "uncomfortable", "title": "I do not want to watch this"},
    {"value": "broken", "title": "A clip does not play"},
]
SCORE_SIDES: Final = [
    {"value": "left", "title": "A", "scores": range(1, 6)},
    {"value": "right", "title": "B", "scores": range(1, 6)},
]


def _campaign_for(user: User, campaign_id: int) -> Campaign:
    """The campaign, or 404: nobody learns of a campaign that is not theirs to see."""
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None or not may_see_campaign(user, campaign):
        raise Http404
    return campaign


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware lets nobody else in
    return request.user


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What can I do now?"""
    user = _person(request)
    context = {
        "votable": votable_campaigns(user),
        "watched": watched_campaigns(user)[:6],
        "has_role": is_annotator(user) or is_lead(user) or is_ml_engineer(user),
    }
    return render(request, "annotation/home.html", context)


@require_GET
def annotate(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The voting page. Its pairs, votes and progress go through the REST API."""
    user = _person(request)
    campaign = _campaign_for(user, campaign_id)
    if not is_annotator(user):
        raise PermissionDenied("Voting needs the role of an annotator.")
    context = {
        "campaign": campaign,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "lease_seconds": settings.TIEBREAK_LEASE_SECONDS,
        "invalid_reasons": INVALID_REASONS,
        "skip_reasons": SKIP_REASONS,
        "score_sides": SCORE_SIDES,
    }
    return render(request, "annotation/annotate.html", context)


@require_GET
def campaigns(request: HttpRequest) -> HttpResponse:
    """All campaigns with their progress, for those who look behind them."""
    user = _person(request)
    if not (is_lead(user) or is_ml_engineer(user)):
        raise PermissionDenied("The list of campaigns belongs to leads and ML engineers.")
    return render(request, "annotation/campaigns.html", {"campaigns": watched_campaigns(user)})


def votable_campaigns(user: User) -> list[Campaign]:
    mine = votable_by(user).with_votes_of(user).select_related("dimension_set")
    return list(mine.filter(state=Campaign.State.OPEN))


def watched_campaigns(user: User) -> list[Campaign]:
    if not (is_lead(user) or is_ml_engineer(user)):
        return []
    return list(Campaign.objects.select_related("dimension_set"))
