"""Pages on which people look at preference pairs before a generator is trained on them."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.models import Artifact
from pipelines.pairs import figures as pair_figures
from pipelines.pairs.preview import pair_cards, refusal_cards
from pipelines.pairs.sets import EVERYTHING, ORDERS, PairSet, read_set
from pipelines.views.access import for_viewers, person

_CARDS: Final = 12
_SETS: Final = 50
_TILTS: Final = 20


@require_GET
@for_viewers
def pair_sets(request: HttpRequest) -> HttpResponse:
    """All sets of pairs, newest first."""
    rows = Artifact.objects.filter(kind=OutputKind.PAIRS).select_related("run").order_by("-pk")
    page = Paginator(rows, _SETS).get_page(request.GET.get("page"))
    return render(request, "pipelines/pairs/sets.html", {"page": page})


@never_cache
@require_GET
@for_viewers
def pair_preview(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """One set: its figures, what was refused, and both clips of each pair side by side."""
    artifact = get_object_or_404(
        Artifact.objects.select_related("run"), pk=artifact_id, kind=OutputKind.PAIRS
    )
    try:
        found = read_set(artifact)
    except FormatError as error:
        context: dict[str, Any] = {"artifact": artifact, "fault": str(error)}
        return render(request, "pipelines/pairs/page.html", context, status=422)
    context = {
        "artifact": artifact,
        "stats": pair_figures.stats_of(found, artifact.meta),
        "gaps": pair_figures.gap_charts(found.pairs),
        "differences": pair_figures.difference_chart(
            "Reward of the chosen clip minus that of the rejected",
            pair_figures.dimensions_of(found.pairs),
        ),
        "shares": pair_figures.difference_chart(
            "Share of votes for the chosen clip minus one half", pair_figures.shares_of(found.pairs)
        ),
        "reward_map": found.reward_map.facts() if found.reward_map else None,
        "map_chart": pair_figures.map_chart(found.reward_map),
        "tilts": pair_figures.tilts_of(found.pairs)[:_TILTS],
        "refused": pair_figures.counts_of(found, artifact.meta),
        "left_out": artifact.meta.get("left_out", {}),
        **_cards(request, found),
    }
    return render(request, "pipelines/pairs/page.html", context)


def _cards(request: HttpRequest, found: PairSet) -> dict[str, Any]:
    """The pairs, or examples of what was refused, that the address asks for."""
    parts = {name: count for name, count in found.parts().items() if count}
    part, order = request.GET.get("part", EVERYTHING), request.GET.get("order", "narrowest")
    part = part if part in parts else EVERYTHING
    order = order if order in ORDERS else "narrowest"
    reason = request.GET.get("refused", "")
    rows: list[Any] = found.refused(reason) if reason else found.part(part, order)
    page = Paginator(rows, _CARDS).get_page(request.GET.get("page"))
    make: Any = refusal_cards if reason else pair_cards
    query = {"refused": reason} if reason else {"part": part, "order": order}
    return {
        "page": page,
        "cards": make(page.object_list, person(request)),
        "parts": parts,
        "orders": list(ORDERS),
        "part": part,
        "order": order,
        "reason": reason,
        "query": urlencode(query),
    }
