"""Pages on which a lead looks where people and a reward model disagree, and sends pairs back."""

from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.models import Campaign, CampaignKind
from annotation.permissions import is_lead
from annotation.relabelling import MOST
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.disagreement.judged_scores import judged_scores
from pipelines.disagreement.overview import overview
from pipelines.disagreement.page import cards_of, page_of
from pipelines.disagreement.ranking import Agreement, Clash, Filters, compare
from pipelines.disagreement.sending import (
    NEW_PAIRS,
    WAYS,
    Errand,
    carry_out,
    first_triplets,
    plan,
)
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.splitting import SPLITS
from pipelines.views.access import for_engineers, person

CARDS: Final = 12
FILTERS: Final = ("dimension", "split", "agreement", "clash")
_WORDS: Final = {
    "relabel": "Other people, in a campaign of their own",
    "more_votes": "More votes in the same campaign",
    "adjudicate": "A ruling by one lead, blind",
    NEW_PAIRS: "New pairs on these prompts, of which a vote tells most",
}
_CLASHES: Final = {
    Clash.OPPOSITE.value: "two winners",
    Clash.MODEL_DECIDES.value: "people say same",
    Clash.PEOPLE_DECIDE.value: "the model says same",
    Clash.NONE.value: "same word, less sure",
}


@never_cache
@require_GET
def disagreements(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The ranking of one campaign by one score set; without a campaign, the choice of one."""
    scores = _scores(request, artifact_id)
    campaigns = list(Campaign.objects.filter(kind=CampaignKind.PAIRWISE).order_by("-pk"))
    context: dict[str, Any] = {
        "artifact": scores,
        "campaigns": campaigns,
        "agreements": list(map(str, Agreement)),
        "clashes": _CLASHES,
        "splits": SPLITS,
        "chosen": request.GET.dict(),
        "ways": {way: _WORDS[way] for way in WAYS},
        "most": MOST,
    }
    if "campaign" in request.GET:
        context |= _ranking(request, scores)
    return render(request, "pipelines/doubts_ranking.html", context)


def _ranking(request: HttpRequest, scores: Artifact) -> dict[str, Any]:
    try:
        campaign, filters = _campaign(request.GET), _filters(request.GET)
        compared = compare(campaign, scores)
        pages = max(1, -(-len(compared.ranked(filters)[0]) // CARDS))
        page = min(max(1, _whole(request.GET, "page", 1)), pages)
        found = page_of(compared, filters, CARDS * (page - 1), CARDS)
    except (PipelineError, FormatError) as error:
        return {"fault": str(error)}
    given = {name: str(request.GET.get(name, "")) for name in FILTERS}
    return {
        "campaign": campaign,
        "compared": compared,
        "filters": filters,
        "overview": overview(compared, filters),
        "cards": cards_of(found, person(request)),
        "total": len(compared.ranked(filters)[0]),
        "page": page,
        "pages": pages,
        "query": urlencode({"campaign": str(campaign.pk), **given}),
    }


@require_POST
@for_engineers
def score_judged(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """Let a reward model score what people judged in its own snapshot."""
    rows = Artifact.objects.select_related("run")
    model = get_object_or_404(rows, pk=artifact_id, kind=OutputKind.REWARD_MODEL)
    try:
        run = judged_scores(model, person(request))
    except (PipelineError, FormatError) as error:
        messages.error(request, str(error))
        return redirect("pipelines:artifact", model.pk)
    messages.success(request, "When it has scored them, its scores lead to where people disagree.")
    return redirect("pipelines:run", run.pk)


@never_cache
@require_http_methods(["GET", "POST"])
def send(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """What sending would ask is shown first; the button below it does it."""
    scores = _scores(request, artifact_id)
    asked = request.POST if request.method == "POST" else request.GET
    try:
        campaign = _campaign(asked)
        errand = _errand(campaign, scores, asked)
        if request.method == "POST":
            done = carry_out(campaign, scores, errand, person(request))
            messages.success(request, _said(errand, done.pairs, done.campaign))
            page = "adjudicate" if errand.way == "adjudicate" else "plan"
            return redirect(f"annotation:{page}", done.campaign.pk)
        planned = plan(campaign, scores, errand)
    except (PipelineError, FormatError) as error:
        messages.error(request, str(error))
        return redirect("pipelines:disagreements", scores.pk)
    context = {
        "artifact": scores,
        "campaign": campaign,
        "errand": errand,
        "plan": planned,
        "way": _WORDS[errand.way],
    }
    return render(request, "pipelines/doubts_send.html", context)


def _said(errand: Errand, pairs: int, campaign: Campaign) -> str:
    if errand.way == "adjudicate":
        return f"{pairs} pairs wait for a ruling."
    if errand.way == "relabel":
        return f"{campaign.name} has {pairs} pairs and is a draft: open it when it is ready."
    return f"{pairs} pairs more to ask about in {campaign.name}."


def _errand(campaign: Campaign, scores: Artifact, asked: QueryDict) -> Errand:
    """The triplets that were ticked, or else the first of the ranking."""
    way = asked.get("way", "")
    if way not in WAYS:
        raise PipelineError(f"Choose what is to become of the pairs: {', '.join(WAYS)}.")
    ticked = asked.getlist("triplet")
    if not all(each.isdecimal() and len(each) < 19 for each in ticked):
        raise PipelineError("A triplet is named by its number.")
    chosen = tuple(dict.fromkeys(map(int, ticked)))
    if not chosen:
        count = _whole(asked, "first", 0)
        if not count:
            raise PipelineError("Tick some pairs, or say how many of the first ones.")
        chosen = first_triplets(campaign, scores, _filters(asked), count)
    return Errand(
        way,
        chosen,
        votes=_whole(asked, "votes", campaign.votes_wanted),
        name=asked.get("name", "")[:200],
        budget=_whole(asked, "budget", 0),
        seed=_whole(asked, "seed", 0),
    )


def _scores(request: HttpRequest, artifact_id: int) -> Artifact:
    if not is_lead(person(request)):
        raise PermissionDenied("Leads decide what is asked.")
    rows = Artifact.objects.select_related("run")
    return get_object_or_404(rows, pk=artifact_id, kind=OutputKind.SCORES)


def _campaign(asked: QueryDict) -> Campaign:
    rows = Campaign.objects.select_related("dimension_set")
    campaign = rows.filter(pk=_whole(asked, "campaign", 0)).first()
    if campaign is None:
        raise PipelineError("Choose one of the campaigns.")
    return campaign


def _filters(asked: QueryDict) -> Filters:
    return Filters(**{name: asked.get(name, "") for name in FILTERS})


def _whole(asked: QueryDict, name: str, default: int) -> int:
    value = asked.get(name, "") or str(default)
    if not value.isdecimal() or len(value) > 9:
        raise PipelineError(f"The {name} must be a whole number.")
    return int(value)
