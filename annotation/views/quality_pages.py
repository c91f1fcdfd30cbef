"""The pages of quality: standings, gold, flags and adjudication for leads, own figures for all."""

from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation import adjudicating
from annotation.errors import NotFound, Unreadable
from annotation.media.media_urls import poster_url, signed_url
from annotation.models import Campaign, Dimension, Flag, Probe, SplitReason, Video
from annotation.permissions import may_see_campaign
from annotation.quality import flags, gold, recollecting, scorecards, standings
from annotation.quality.marking import WINDOW
from annotation.quality.qualifying import PRACTICE_QUESTIONS, QUALIFICATION_QUESTIONS
from annotation.views import ballot_words
from annotation.views.lead_pages import act_on, lead_and_campaign, whole

_LISTED: Final = 200  # rows of a page; the API has the rest
_CANDIDATES: Final = 12  # triplets that could become gold, at a time


# ---- how everybody stands ----


@never_cache
@require_http_methods(["GET", "POST"])
def people(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Who is reliable, who is paused, and what waits for a lead."""
    user, campaign = lead_and_campaign(request, campaign_id)
    if request.method == "POST":
        act_on(request, user, campaign, {"resume": _resume, "recollect": _recollect})
        return redirect("annotation:quality", campaign.pk)
    context = {
        "campaign": campaign,
        "rows": standings.standings(campaign),
        "chosen": _chosen(request, campaign),
        "cases": adjudicating.waiting(campaign, user),
        "open_flags": flags.of_campaign(campaign).filter(state=Flag.State.OPEN).count(),
        "gold": gold.supply(campaign),
        "window": WINDOW,
        "dimensions": _dimensions(campaign),
    }
    return render(request, "annotation/quality.html", context)


def _chosen(request: HttpRequest, campaign: Campaign) -> dict[str, Any] | None:
    """The person whose votes a lead thinks of asking anew, and how many those are."""
    number = request.GET.get("person", "")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    try:
        cursor = recollecting.cursor_of(campaign, int(number))
    except NotFound:
        raise Http404 from None
    return {"cursor": cursor, "window": recollecting.window(campaign, int(number))}


def _resume(request: HttpRequest, user: User, campaign: Campaign) -> str:
    note = request.POST.get("note", "")
    cursor = recollecting.resume(campaign, whole(request, "person"), user, note)
    told = _("%(name)s may go on: %(stage)s.")
    return told % {"name": cursor.annotator.username, "stage": cursor.get_stage_display()}


def _recollect(request: HttpRequest, user: User, campaign: Campaign) -> str:
    note = request.POST.get("note", "")
    done = recollecting.recollect(campaign, whole(request, "person"), user, note)
    return _("%(votes)d votes are taken back; others are asked.") % {"votes": done.votes}


# ---- gold ----


@never_cache
@require_http_methods(["GET", "POST"])
def gold_page(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Questions with a known answer: what there is, what could be, and how they are made."""
    user, campaign = lead_and_campaign(request, campaign_id)
    if request.method == "POST":
        acts = {"promote": _promote, "add": _add, "retire": _retire, "restore": _restore}
        act_on(request, user, campaign, acts)
        return redirect("annotation:gold", campaign.pk)
    kind = request.GET.get("kind", "")
    rows = gold.questions(campaign).order_by("-active", "-pk")
    ready = gold.promotable(campaign).select_related("prompt", "video_a", "video_b")
    found = list(ready[: _CANDIDATES + 1])
    context = {
        "campaign": campaign,
        "supply": gold.supply(campaign),
        "kinds": gold.KINDS,
        "kind": kind,
        "questions": [
            _question(each, user) for each in (rows.filter(kind=kind) if kind else rows)[:_LISTED]
        ],
        "promotable": [
            {"triplet": each, "clips": _clips([each.video_a, each.video_b], user)}
            for each in found[:_CANDIDATES]
        ],
        "more": len(found) > _CANDIDATES,
        "dimensions": _dimensions(campaign),
        "practice_questions": PRACTICE_QUESTIONS,
        "qualification_questions": QUALIFICATION_QUESTIONS,
    }
    return render(request, "annotation/gold.html", context)


def _question(probe: Probe, user: User) -> dict[str, Any]:
    return {
        "probe": probe,
        "clips": _clips([probe.video_a, probe.video_b], user),
        "expected": list(probe.expected.items()),
        "explanation": probe.explanation.get("en") or next(iter(probe.explanation.values()), ""),
    }


def _clips(videos: list[Video | None], user: User) -> list[dict[str, Any]]:
    names = ("A", "B")
    return [
        {
            "name": name,
            "video": each,
            "url": signed_url(each.pk, user),
            "poster": poster_url(each.pk, user),
        }
        for name, each in zip(names, videos, strict=False)
        if each is not None
    ]


def _promote(request: HttpRequest, user: User, campaign: Campaign) -> str:
    wanted = [int(each) for each in request.POST.getlist("triplet") if each.isdigit()]
    if not wanted:
        raise Unreadable(_("Choose the triplets that become gold."))
    rows = campaign.triplets.filter(pk__in=wanted).select_related("campaign", "prompt")
    made = gold.promote_all(list(rows), user)
    return _("%(count)d questions more to ask as gold.") % {"count": len(made)}


def _add(request: HttpRequest, user: User, campaign: Campaign) -> str:
    number = whole(request, "triplet")
    rows = campaign.triplets.select_related("campaign", "prompt", "video_a", "video_b")
    triplet = rows.filter(pk=number).first()
    if triplet is None:
        raise NotFound(_("There is no triplet %(number)d in this campaign.") % {"number": number})
    why = request.POST.get("explanation", "").strip()
    probe = gold.from_triplet(
        triplet,
        request.POST.get("kind", ""),
        user,
        expected=_expected(request, campaign),
        explanation={"en": why} if why else {},
    )
    return _("The pair is asked as %(kind)s.") % {"kind": probe.get_kind_display()}


def _expected(request: HttpRequest, campaign: Campaign) -> dict[str, Any] | None:
    """What the form says is right; None where it leaves all to the settled labels."""
    given = {
        each.key: request.POST.get(f"expected-{each.key}", "") for each in _dimensions(campaign)
    }
    said = {key: int(word) if word.isdigit() else word for key, word in given.items() if word}
    return said or None


def _retire(request: HttpRequest, _user: User, campaign: Campaign) -> str:
    gold.retire(gold.of_campaign(campaign, whole(request, "question")))
    return _("The question is not asked any more; its answers stay.")


def _restore(request: HttpRequest, _user: User, campaign: Campaign) -> str:
    gold.restore(gold.of_campaign(campaign, whole(request, "question")))
    return _("The question is asked again.")


# ---- flags ----


@never_cache
@require_http_methods(["GET", "POST"])
def flags_page(request: HttpRequest, campaign_id: int) -> HttpResponse:
    user, campaign = lead_and_campaign(request, campaign_id)
    if request.method == "POST":
        act_on(request, user, campaign, {"uphold": _settle, "dismiss": _settle})
        return redirect("annotation:flags", campaign.pk)
    found = flags.of_campaign(campaign)[:_LISTED]
    context = {
        "campaign": campaign,
        "rows": [{"flag": each, "clip": _clip_of(each, user)} for each in found],
    }
    return render(request, "annotation/flags.html", context)


def _clip_of(flag: Flag, user: User) -> str:
    return signed_url(flag.video.pk, user) if flag.video else ""


def _settle(request: HttpRequest, user: User, campaign: Campaign) -> str:
    number, uphold = whole(request, "flag"), request.POST["act"] == "uphold"
    if not Flag.objects.filter(campaign=campaign, pk=number).exists():
        raise NotFound(_("There is no such flag in this campaign."))
    flag = flags.settle(number, user, uphold=uphold)
    if flag.kind not in flags.WITHDRAWING:
        return _("The flag is settled.")
    if uphold:
        return _("The clip stays out of every queue.")
    return _("The clip and its pairs are back, unless another flag on them stands.")


# ---- adjudication ----


@never_cache
@require_GET
def adjudicate(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The blind page. Its pairs and rulings go through the REST API."""
    user, campaign = lead_and_campaign(request, campaign_id)
    context = {
        "campaign": campaign,
        "dimensions": _dimensions(campaign),
        "waiting": adjudicating.waiting(campaign, user),
        "reasons": SplitReason.choices,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        **ballot_words.words(),
    }
    return render(request, "annotation/adjudicate.html", context)


# ---- own figures ----


@never_cache
@require_GET
def me(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """What an annotator may know of their own work; nothing here tells what was gold."""
    assert isinstance(request.user, User)  # LoginRequiredMiddleware lets nobody else in
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    if not may_see_campaign(request.user, campaign):
        raise Http404
    try:
        card = scorecards.scorecard(campaign, request.user)
    except NotFound:
        card = None
    return render(request, "annotation/me.html", {"campaign": campaign, "card": card})


def _dimensions(campaign: Campaign) -> list[Dimension]:
    return list(Dimension.objects.filter(dimension_set=campaign.dimension_set_id))
