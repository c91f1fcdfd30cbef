"""Buttons that steer a run or a whole chain. Doors only."""

from collections.abc import Callable

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from annotation.access import audit
from pipelines import launching, stacks, steering
from pipelines.errors import WrongState
from pipelines.logs import readable
from pipelines.models import LoopGroup, Run
from pipelines.steering import in_words, pause_run, priority_of, put_run_at, resume_run
from pipelines.views.access import for_engineers, for_viewers, person


@require_POST
@for_engineers
def pause(request: HttpRequest, run_id: int) -> HttpResponse:
    return _steered(request, run_id, "pause", lambda run: pause_run(run, person(request)))


@require_POST
@for_engineers
def resume(request: HttpRequest, run_id: int) -> HttpResponse:
    return _steered(request, run_id, "resume", resume_run)


@require_POST
@for_engineers
def priority(request: HttpRequest, run_id: int) -> HttpResponse:
    """The place in the queue: a whole number, the higher the earlier."""
    given = request.POST.get("priority", "")
    return _steered(
        request, run_id, "priority", lambda run: put_run_at(run, priority_of(given)), given=given
    )


def _steered(
    request: HttpRequest, run_id: int, word: str, act: Callable[[Run], Run], **details: str
) -> HttpResponse:
    """Do it and write down who did it; what cannot be done now is said on the page of the run."""
    run = get_object_or_404(Run, pk=run_id)
    try:
        with transaction.atomic():
            act(run)
            audit.record(request, f"run.{word}", run, **details)
    except WrongState as error:
        messages.error(request, str(error))
    return redirect("pipelines:run", run_id)


@require_POST
@for_engineers
def steer_group(request: HttpRequest, group_id: int) -> HttpResponse:
    """Cancel, pause, resume or try again every run of a chain that can be."""
    group = get_object_or_404(LoopGroup, pk=group_id)
    word = request.POST.get("act", "")
    try:
        with transaction.atomic():
            runs = steering.steer_group(group, word, person(request), request.POST.get("priority"))
            audit.record(request, f"group.{word}", group, runs=[run.pk for run in runs])
        messages.success(request, in_words(word, runs))
    except WrongState as error:
        messages.error(request, str(error))
    return redirect("pipelines:loop-group", group_id)


@require_GET
@for_viewers
def stacks_text(_request: HttpRequest, run_id: int, fence: int) -> HttpResponse:
    """What the processes of a run were doing when it hung."""
    folder = launching.run_dir(get_object_or_404(Run, pk=run_id))
    file = stacks.file_of(folder, fence)
    if not file.exists():
        raise Http404
    text = readable(file.read_text(encoding="utf-8", errors="replace"))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
