"""The page on which a lead decides what is asked next: pairs by a strategy, order, overlap."""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.charts import Heat, HeatCell, HeatRow, level
from annotation.designs import (
    First,
    Proposal,
    Wish,
    clips_for,
    create_pairs,
    propose_pairs,
    refresh_priorities,
)
from annotation.errors import AnnotationError, Unreadable
from annotation.models import Campaign, Generator, Prompt, TripletState
from annotation.overlap import WANTED, Overlap, bridge, overlap_of
from annotation.statistics.strategies import Strategy
from annotation.views.lead_pages import act_on, lead_and_campaign, whole_of
from annotation.views.schemas import PLANNED

_PEOPLE: Final = 40  # annotators of the table of overlaps; the API has all
_STRATEGIES: Final = {
    Strategy.BALANCED: gettext_lazy("Balanced: each two generators, and each clip, equally often"),
    Strategy.ACTIVE: gettext_lazy("Active: where the ranking is least sure"),
    Strategy.CHAIN: gettext_lazy("Chain: the fewest pairs that tie the clips of a prompt together"),
    Strategy.ALL: gettext_lazy("All: every two generators, on every prompt"),
}
_ORDERS: Final = {
    First.DISAGREEMENT: gettext_lazy("Pairs on which people differ so far"),
    First.ACTIVE: gettext_lazy("Pairs whose generators the ranking is least sure of"),
}


@never_cache
@require_http_methods(["GET", "POST"])
def plan(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Without `strategy` in the address nothing is planned; with it, the plan is shown first."""
    user, campaign = lead_and_campaign(request, campaign_id)
    if request.method == "POST":
        act_on(request, user, campaign, {"create": _create, "order": _order, "bridge": _bridge})
        return redirect("annotation:plan", campaign.pk)
    context: dict[str, Any] = {
        "campaign": campaign,
        "strategies": _STRATEGIES.items(),
        "orders": _ORDERS.items(),
        "most": PLANNED,
        "open": campaign.triplets.filter(state=TripletState.OPEN).count(),
        "pool": campaign.pool.filter(withdrawn=False).count(),
        **_choices(campaign),
        **_overlap(overlap_of(campaign)),
    }
    if "strategy" in request.GET:
        context |= _preview(campaign, request.GET)
    return render(request, "annotation/plan.html", context)


def _choices(campaign: Campaign) -> dict[str, Any]:
    clips = clips_for(campaign, Wish(Strategy.ALL))
    names = Generator.objects.filter(video__in=clips).distinct().order_by("name")
    categories = Prompt.objects.filter(videos__in=clips).exclude(category="")
    return {
        "generators": list(names.values_list("name", flat=True)),
        "categories": list(
            categories.values_list("category", flat=True).distinct().order_by("category")
        ),
    }


def _preview(campaign: Campaign, asked: QueryDict) -> dict[str, Any]:
    chosen = {"chosen": asked.dict(), "chosen_generators": asked.getlist("generator")}
    try:
        return {**chosen, "plan": propose_pairs(campaign, _wish(asked)).plan}
    except AnnotationError as error:
        return {**chosen, "fault": error.message}


def _wish(asked: QueryDict) -> Wish:
    strategy = asked.get("strategy", "")
    if strategy not in set(Strategy):
        raise Unreadable(_("The page sent something unknown; open it again."))
    budget = whole_of(asked.get("budget", "") or "0", "budget")
    if not 1 <= budget <= PLANNED:
        raise Unreadable(
            _("Ask for 1 to %(most)d pairs at a time; more by the command plan_pairs.")
            % {"most": PLANNED}
        )
    return Wish(
        strategy=Strategy(strategy),
        budget=budget,
        seed=whole_of(asked.get("seed", "") or "0", "seed"),
        generators=tuple(asked.getlist("generator")),
        category=asked.get("category", ""),
    )


def _create(request: HttpRequest, _user: User, campaign: Campaign) -> str:
    proposal: Proposal = propose_pairs(campaign, _wish(request.POST))
    made = create_pairs(campaign, proposal)
    told = ngettext("%(count)d pair more to ask about.", "%(count)d pairs more to ask about.", made)
    return told % {"count": made}


def _order(request: HttpRequest, _user: User, campaign: Campaign) -> str:
    first = request.POST.get("first", "")
    if first not in set(First):
        raise Unreadable(_("The page sent something unknown; open it again."))
    moved = refresh_priorities(campaign, First(first))
    told = ngettext("%(count)d open pair has moved.", "%(count)d open pairs have moved.", moved)
    return told % {"count": moved}


def _bridge(_request: HttpRequest, _user: User, campaign: Campaign) -> str:
    done = bridge(campaign)
    if not done.slots:
        return _(
            "Nothing has to be asked: what is missing is waiting already, or nothing is loose."
        )
    told = ngettext(
        "%(count)d vote more is asked for.", "%(count)d votes more are asked for.", done.slots
    )
    return told % {"count": done.slots}


def _overlap(found: Overlap) -> dict[str, Any]:
    """Who shares how much, the busiest first."""
    busiest = sorted(found.triplets, key=lambda pk: (-found.triplets[pk], found.names[pk]))
    return {
        "overlap": found,
        "wanted": WANTED,
        "groups": [
            {"names": [found.names[pk] for pk in group], "shared": shared}
            for group, shared in zip(found.groups, (None, *found.loose), strict=False)
        ],
        "beginners": [found.names[pk] for pk in found.beginners],
        "chart": _heat(found, busiest[:_PEOPLE]) if len(busiest) > 1 else None,
        "left_out": max(0, len(busiest) - _PEOPLE),
    }


def _heat(found: Overlap, people: Sequence[int]) -> Heat:
    shared = {frozenset((each.a, each.b)): each.triplets for each in found.shares}
    names = [found.names[pk] for pk in people]

    def cell(one: int, other: int) -> HeatCell:
        if one == other:
            return HeatCell("", None, "")
        count = shared.get(frozenset((one, other)), 0)
        told = _("%(a)s and %(b)s: %(count)d shared")
        tip = told % {"a": found.names[one], "b": found.names[other], "count": count}
        return HeatCell(str(count), level(count, 0, WANTED), tip)

    rows = tuple(
        HeatRow(name, tuple(cell(pk, other) for other in people))
        for pk, name in zip(people, names, strict=True)
    )
    return Heat(
        _("Triplets that two annotators share"), "heat", tuple(names), rows, len(names) > 12
    )
