"""The pages of annotation: thin doors that ask for a permission and render what was read."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from annotation import dashboards, pay
from annotation.exporting import write_videoalign
from annotation.models import Campaign, Skip, Vote
from annotation.permissions import (
    is_annotator,
    is_lead,
    is_ml_engineer,
    may_see_campaign,
    votable_by,
)
from annotation.views import ballot_words


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
        "today": pay.today_of(user) if is_annotator(user) else None,
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
        **ballot_words.words(),
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


@require_GET
def dashboard(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Progress, agreement, labels and annotators; asked again every few seconds by htmx.

    The page names the state it has seen. Where nothing has changed since, the answer is 204: the
    statistics are not computed again and nothing on the screen moves.
    """
    campaign = _campaign_behind(request, campaign_id)
    stamp = _stamp(campaign)
    if request.GET.get("seen") == stamp:
        return HttpResponse(status=204)
    context = {"campaign": campaign, "stamp": stamp, **_figures(campaign)}
    part = "_figures" if "seen" in request.GET else "dashboard"
    return render(request, f"annotation/{part}.html", context)


@require_GET
def export(request: HttpRequest, campaign_id: int) -> FileResponse:
    """The settled triplets as a VideoAlign CSV."""
    campaign = _campaign_behind(request, campaign_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        write_videoalign(campaign.triplets.complete().order_by("pk"), path)
        file = path.open("rb")  # outlives its name; the response closes it
    name = f"{slugify(campaign.name) or campaign.pk}.csv"
    return FileResponse(file, as_attachment=True, filename=name, content_type="text/csv")


def _campaign_behind(request: HttpRequest, campaign_id: int) -> Campaign:
    """The campaign for somebody who may see its figures; annotators vote without them."""
    user = _person(request)
    campaign = _campaign_for(user, campaign_id)
    if not (is_lead(user) or is_ml_engineer(user)):
        raise PermissionDenied("The figures of a campaign belong to leads and ML engineers.")
    return campaign


def _stamp(campaign: Campaign) -> str:
    """Changes with every vote, revision and skip: all of them add rows."""
    votes = Vote.objects.filter(triplet__campaign=campaign).aggregate(rows=Count("pk"))["rows"]
    skips = Skip.objects.filter(triplet__campaign=campaign).count()
    return f"{campaign.state}-{campaign.triplets_done}-{campaign.triplets_total}-{votes}-{skips}"


@dataclass(frozen=True, slots=True)
class AnnotatorView:
    row: dashboards.AnnotatorRow
    leans: str  # left, right, or nothing


def _figures(campaign: Campaign) -> dict[str, object]:
    rows = dashboards.annotators_panel(campaign)
    return {
        "progress": dashboards.progress_panel(campaign),
        "agreement": dashboards.agreement_panel(campaign),
        "labels": dashboards.label_shares(campaign),
        "annotators": [AnnotatorView(row, leaning(row, tests=len(rows))) for row in rows],
    }


def leaning(row: dashboards.AnnotatorRow, *, tests: int) -> str:
    """The side that an annotator prefers, if the test says so at 5 % over all annotators."""
    if row.left_p is None or row.left_share is None or row.left_p >= 0.05 / tests:
        return ""
    return "left" if row.left_share > 0.5 else "right"
