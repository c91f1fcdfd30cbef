"""The pages of figures: a light frame, and panels that are fetched one by one."""

import threading
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from annotation.dashboards import READERS, Reading
from annotation.dashboards.pictures import charts_of
from annotation.models import Campaign, Cursor, Flag, Skip, Vote, VoteState
from annotation.views.pages import campaign_behind

_MANY_TRIPLETS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    title: object
    panels: tuple[str, ...]


PAGES: Final = {
    "dashboard": Page(_("Progress"), ("labels",)),
    "agreement": Page(_("Agreement"), ("agreement", "agreement-over-time", "kappa")),
    "annotators": Page(_("Annotators"), ("annotators", "sides", "time", "confusion")),
    "generators": Page(_("Generators"), ("generators",)),
    "dataset": Page(_("Dataset"), ("dataset",)),
}


@require_GET
def dashboard(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Progress at once; the other panels are fetched."""
    campaign = campaign_behind(request, campaign_id)
    context = {"campaign": campaign, **_drawn(campaign, "progress", stamp_of(campaign))}
    return render(request, "annotation/dashboard.html", {**context, **_frame("dashboard")})


@require_GET
def figures_page(request: HttpRequest, campaign_id: int, page: str) -> HttpResponse:
    """The frame of the page alone; htmx fetches its panels."""
    campaign = campaign_behind(request, campaign_id)
    return render(request, "annotation/figures.html", {"campaign": campaign, **_frame(page)})


@require_GET
def panel(request: HttpRequest, campaign_id: int, name: str) -> HttpResponse:
    """One panel as a piece of HTML, which asks for itself again every few seconds.

    It names the state it has seen. Where nothing has changed since, the answer is 204: the figures
    are not computed again and nothing on the screen moves.
    """
    if name not in READERS:
        raise Http404
    campaign = campaign_behind(request, campaign_id)
    stamp = stamp_of(campaign)
    if request.GET.get("seen") == stamp:
        return HttpResponse(status=204)
    context = {"campaign": campaign, **_drawn(campaign, name, stamp)}
    return render(request, f"annotation/panels/{name}.html", context)


def _drawn(campaign: Campaign, name: str, stamp: str) -> dict[str, object]:
    found = READERS[name](_shared_reading(campaign, stamp))
    return {
        "name": name,
        "stamp": stamp,
        "every": _pause(campaign, name),
        "panel": found,
        "charts": charts_of(name, found),
        "tables": found.tables(),
    }


def _pause(campaign: Campaign, name: str) -> int:
    """Seconds between questions of a page that stays open: few where an answer costs little."""
    if campaign.triplets_total > _MANY_TRIPLETS:
        return 15 if name == "progress" else 120
    return 3 if name == "progress" else 10


def _frame(page: str) -> dict[str, object]:
    return {"page": page, "title": PAGES[page].title, "panels": PAGES[page].panels}


def stamp_of(campaign: Campaign) -> str:
    """Changes with every vote, revision, skip, withdrawal and flag; read from indexes alone."""
    newest = Vote.objects.filter(campaign=campaign).aggregate(at=Max("submitted_at"))["at"]
    people = Cursor.objects.filter(campaign=campaign).aggregate(
        rows=Count("pk"), stages=Max("stage_since")
    )
    parts = [
        *(campaign.state, campaign.triplets_done, campaign.triplets_total),
        newest.timestamp() if newest else 0,
        Vote.objects.filter(campaign=campaign, state=VoteState.WITHDRAWN).count(),
        Skip.objects.filter(triplet__campaign=campaign).count(),
        Flag.objects.filter(campaign=campaign).count(),
        people["rows"],
        people["stages"].timestamp() if people["stages"] else 0,
    ]
    return "-".join(map(str, parts))


# The panels of a page are fetched one after the other: they share what was read, as long as nothing
# has changed in the campaign. One campaign at a time is kept per process.
_kept: dict[tuple[str, int, str], Reading] = {}
_lock = threading.Lock()


def _shared_reading(campaign: Campaign, stamp: str) -> Reading:
    from django.db import connection

    key = (str(connection.settings_dict["NAME"]), campaign.pk, stamp)
    with _lock:
        found = _kept.get(key)
        if found is None:
            found = Reading(campaign)
            _kept.clear()
            _kept[key] = found
        return found
