"""The pages of annotation: thin doors that ask for a permission and render what was read."""

import tempfile
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from annotation.accounts import pay
from annotation.exporting import write_videoalign
from annotation.models import Campaign
from annotation.permissions import (
    is_annotator,
    is_lead,
    is_ml_engineer,
    may_see_campaign,
    votable_by,
)
from annotation.views import ballot_words


def campaign_for(user: User, campaign_id: int) -> Campaign:
    """The campaign, or 404: nobody learns of a campaign that is not theirs to see."""
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None or not may_see_campaign(user, campaign):
        raise Http404
    return campaign


def person_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware lets nobody else in
    return request.user


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What can I do now?"""
    user = person_of(request)
    context = {
        "votable": votable_campaigns(user),
        "watched": watched_campaigns(user)[:6],
        "has_role": is_annotator(user) or is_lead(user) or is_ml_engineer(user),
        "today": pay.today_of(user) if is_annotator(user) else None,
    }
    return render(request, "annotation/home.html", context)


@require_GET
def annotate(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The voting page. Its pairs, votes and progress go through the REST API."""
    user = person_of(request)
    campaign = campaign_for(user, campaign_id)
    if not is_annotator(user):
        raise PermissionDenied("Voting needs the role of an annotator.")
    context = {
        "campaign": campaign,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "lease_seconds": settings.TIEBREAK_LEASE_SECONDS,
        **ballot_words.words(),
    }
    return render(request, "annotation/annotate.html", context)


@require_GET
def campaigns(request: HttpRequest) -> HttpResponse:
    """All campaigns with their progress, for those who look behind them."""
    user = person_of(request)
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


@require_GET
def export(request: HttpRequest, campaign_id: int) -> FileResponse:
    """The settled triplets as a VideoAlign CSV."""
    campaign = campaign_behind(request, campaign_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        write_videoalign(campaign.triplets.complete().order_by("pk"), path)
        file = path.open("rb")  # outlives its name; the response closes it
    name = f"{slugify(campaign.name) or campaign.pk}.csv"
    return FileResponse(file, as_attachment=True, filename=name, content_type="text/csv")


def campaign_behind(request: HttpRequest, campaign_id: int) -> Campaign:
    """The campaign for somebody who may see its figures; annotators vote without them."""
    user = person_of(request)
    campaign = campaign_for(user, campaign_id)
    if not (is_lead(user) or is_ml_engineer(user)):
        raise PermissionDenied("The figures of a campaign belong to leads and ML engineers.")
    return campaign
