"""The whole loop of one campaign on one page."""

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.permissions import is_ml_engineer
from formats.outcome import OutputKind
from pipelines import graph
from pipelines.loops import demo_runs
from pipelines.loops.page import steps_of
from pipelines.models import Artifact, GroupKind, LoopGroup, RunState
from pipelines.views.access import for_engineers, for_viewers, person

_SHOWN = 8


@require_GET
@for_viewers
def newest_loop(request: HttpRequest) -> HttpResponse:
    return _page(request, _loops().select_related("campaign").order_by("-pk").first())


@require_GET
@for_viewers
def loop_page(request: HttpRequest, group_id: int) -> HttpResponse:
    group = get_object_or_404(LoopGroup.objects.select_related("campaign"), pk=group_id)
    if group.kind == GroupKind.COMPARISON:
        return redirect("pipelines:comparison", group.pk)
    if group.kind == GroupKind.EVALUATION:
        return redirect("pipelines:suite-evaluation", group.pk)
    if group.kind == GroupKind.RETEST:
        return redirect("pipelines:retest", group.pk)
    return _page(request, group)


@require_POST
@for_engineers
def start_anime(request: HttpRequest) -> HttpResponse:
    """Fill the anime world and start its loop; pressed again, it leads to what was started."""
    if not settings.TIEBREAK_DEMO:
        raise Http404
    run = demo_runs.start(person(request), request.build_absolute_uri("/").rstrip("/"))
    return redirect("pipelines:run", run.pk)


def _loops() -> QuerySet[LoopGroup]:
    return LoopGroup.objects.filter(kind=GroupKind.LOOP)


def _page(request: HttpRequest, group: LoopGroup | None) -> HttpResponse:
    user = person(request)
    steps = steps_of(group, user) if group is not None else []
    cards = [card for step in steps for card in step.cards]
    context = {
        "group": group,
        "others": list(_loops().order_by("-pk")[:_SHOWN]),
        "steps": steps,
        "graph": graph.of_group(group) if group is not None else None,
        "done": sum(card.state == RunState.SUCCEEDED for card in cards),
        "total": len(cards),
        "report": Artifact.objects.filter(run__group=group, kind=OutputKind.REPORT).first()
        if group is not None
        else None,
        "may_start": is_ml_engineer(user),
        "offers_anime": settings.TIEBREAK_DEMO and is_ml_engineer(user),
    }
    return render(request, "pipelines/loop.html", context)
