"""Pages of runs: the list, one run live, cancel and retry. Doors only."""

from dataclasses import asdict

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.permissions import is_lead, is_ml_engineer
from pipelines import alerts, kinds, launching, logs, notices, run_pages
from pipelines.adapters import alignment_page
from pipelines.chunking import chunks_of, gathering_of
from pipelines.comparisons import guidance_page
from pipelines.errors import WrongState
from pipelines.ingests import pages as ingest_pages
from pipelines.models import Run, RunState
from pipelines.rewards import context as reward_context
from pipelines.run_cards import cards, kind_title
from pipelines.starting import cancel_run, retry_run
from pipelines.views.access import for_engineers, for_viewers, person

_PER_PAGE = 50
_MANY = 200
_TABLES = 3  # that stand open on the page of a run


@require_GET
@for_viewers
def run_list(request: HttpRequest) -> HttpResponse:
    """All runs, newest first; by state and kind."""
    runs = Run.objects.select_related("group")
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    if state in RunState.values:
        runs = runs.filter(state=state)
    if kind in kinds.names():
        runs = runs.filter(kind=kind)
    page = Paginator(runs, _PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "cards": cards(page.object_list, person(request)),
        "states": RunState.values,
        "kinds": [(name, kind_title(name)) for name in kinds.names()],
        "state": state,
        "kind": kind,
        "alerts": alerts.standing(),
        "may_start": is_ml_engineer(person(request)),
        "may_ingest": is_lead(person(request)) or is_ml_engineer(person(request)),
    }
    return render(request, "pipelines/runs.html", context)


@require_GET
@for_viewers
def live_cards(request: HttpRequest) -> JsonResponse:
    """The cards of the runs that a page shows: /runs/live?id=1&id=2."""
    wanted = [int(each) for each in request.GET.getlist("id")[:_MANY] if each.isdecimal()]
    runs = Run.objects.filter(pk__in=wanted)
    user = person(request)
    found = [card.to_json() for card in cards(runs, user)]
    return JsonResponse({"runs": found, "unread": notices.unread(user)})


@require_GET
@for_viewers
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """One run, live."""
    run = get_object_or_404(Run.objects.select_related("group", "created_by"), pk=run_id)
    user = person(request)
    notices.mark_read_of(user, run)
    outputs = list(run.artifacts.all())
    reward = reward_context.of_run(run, outputs, beside=_number(request, "beside"))
    figures = run_pages.most_telling(run_pages.figures(alignment_page.figures_of(run)))
    shown = 0 if reward else _TABLES
    context = {
        "run": run,
        "card": cards([run], user)[0],
        "inputs": run_pages.inputs_of(run),
        "outputs": outputs,
        "events": list(run.events.all()),
        "config": run_pages.pretty(run.config),
        "processes": run_pages.processes_of(run),
        "figures": figures[:shown],
        "more_figures": figures[shown:],
        "clips": run_pages.sample_clips(run, user),
        "grid": guidance_page.page_of(outputs, user),
        "ingest": ingest_pages.report_of(run, user),
        "chunks": cards(chunks_of(run), user),
        "gathering": gathering_of(run),
        "may_admin": user.is_staff,
        **reward,
        **alignment_page.of_run(run),
    }
    return render(request, "pipelines/run.html", context)


@require_GET
@for_viewers
def run_live(request: HttpRequest, run_id: int) -> JsonResponse:
    """What is new: /runs/<id>/live?since=<cursor>&log=<byte offset>&rank=<process>."""
    run = get_object_or_404(Run, pk=run_id)
    points, cursor = run_pages.metrics_since(run, _number(request, "since") or 0)
    folder, rank = launching.run_dir(run), _number(request, "rank") or 0
    log = logs.read_from(folder.log_of(rank), _number(request, "log"))
    return JsonResponse(
        {
            "run": cards([run], person(request))[0].to_json(),
            "chunks": [card.to_json() for card in cards(chunks_of(run), person(request))],
            "fence": run.fence,
            "unread": notices.unread(person(request)),
            "metrics": points,
            "since": cursor,
            "log": asdict(log),
            "ranks": list(folder.logs()),
        }
    )


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


@require_POST
@for_engineers
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    run = get_object_or_404(Run, pk=run_id)
    try:
        cancel_run(run, person(request))
    except WrongState as error:
        messages.error(request, str(error))
    return redirect("pipelines:run", run_id)


@require_POST
@for_engineers
def retry(request: HttpRequest, run_id: int) -> HttpResponse:
    run = get_object_or_404(Run, pk=run_id)
    try:
        retry_run(run, person(request))
    except WrongState as error:
        messages.error(request, str(error))
    return redirect("pipelines:run", run_id)
