"""The page on which a lead asks people about what a reward model is least sure of."""

from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.designs import Wish, create_pairs
from annotation.models import Campaign, CampaignKind, CampaignState
from annotation.permissions import is_lead
from annotation.statistics.committee import FEWEST
from annotation.statistics.strategies import Strategy
from annotation.views.schemas import PLANNED
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.disagreement.doubts import beliefs_of, companions, first_of, propose_from_scores
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.views.access import person

_SHOWN: Final = 12


@never_cache
@require_http_methods(["GET", "POST"])
def doubtful_pairs(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """Without a campaign in the address nothing is planned; with one, the plan is shown first."""
    if not is_lead(person(request)):
        raise PermissionDenied("Leads decide what is asked.")
    scores = get_object_or_404(
        Artifact.objects.select_related("run"), pk=artifact_id, kind=OutputKind.SCORES
    )
    if request.method == "POST":
        return _create(request, scores)
    context: dict[str, Any] = {
        "artifact": scores,
        "campaigns": Campaign.objects.exclude(kind=CampaignKind.SINGLE)
        .exclude(state=CampaignState.CLOSED)
        .order_by("-pk"),
        "most": PLANNED,
        "companions": companions(scores),
        "fewest": FEWEST - 1,
        "chosen": request.GET.dict(),
    }
    if "campaign" in request.GET:
        context |= _preview(scores, request.GET)
    return render(request, "pipelines/doubts.html", context)


def _preview(scores: Artifact, asked: QueryDict) -> dict[str, Any]:
    try:
        campaign, wish = _wish(asked)
        further = _further(asked, scores)
        proposal = propose_from_scores(campaign, scores, wish, further)
        pairs = first_of(proposal, beliefs_of(campaign, scores, further), _SHOWN)
    except (PipelineError, FormatError) as error:
        return {"fault": str(error)}
    committee = [each.pk for each in further]
    return {"plan": proposal.plan, "pairs": pairs, "campaign": campaign, "committee": committee}


def _create(request: HttpRequest, scores: Artifact) -> HttpResponse:
    try:
        campaign, wish = _wish(request.POST)
        further = _further(request.POST, scores)
        made = create_pairs(campaign, propose_from_scores(campaign, scores, wish, further))
    except (PipelineError, FormatError) as error:
        messages.error(request, str(error))
        return redirect("pipelines:doubtful-pairs", scores.pk)
    messages.success(request, f"{made} pairs more to ask about.")
    return redirect("annotation:plan", campaign.pk)


def _wish(asked: QueryDict) -> tuple[Campaign, Wish]:
    campaign = Campaign.objects.filter(pk=_whole(asked, "campaign", 0)).first()
    if campaign is None:
        raise PipelineError("Choose one of the campaigns.")
    budget = _whole(asked, "budget", 0)
    if not 1 <= budget <= PLANNED:
        raise PipelineError(
            f"Ask for 1 to {PLANNED} pairs at a time; more by the command plan_doubtful_pairs."
        )
    return campaign, Wish(Strategy.ACTIVE, budget=budget, seed=_whole(asked, "seed", 0))


def _further(asked: QueryDict, scores: Artifact) -> list[Artifact]:
    """The score sets that were ticked, of those that fit."""
    ticked = set(asked.getlist("committee"))
    found = [each for each in companions(scores) if str(each.pk) in ticked]
    if len(found) < len(ticked):
        raise PipelineError("Choose score sets of the same clips for the committee.")
    return found


def _whole(asked: QueryDict, name: str, default: int) -> int:
    value = asked.get(name, "") or str(default)
    if not value.isdecimal() or len(value) > 9:
        raise PipelineError(f"The {name} must be a whole number.")
    return int(value)
