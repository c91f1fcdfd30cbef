"""The chain of one run: all that it stands on and all that goes on with it, as one picture."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from pipelines import graph
from pipelines.models import Run
from pipelines.views.access import for_viewers


@require_GET
@for_viewers
def chain(request: HttpRequest, run_id: int) -> HttpResponse:
    run = get_object_or_404(Run.objects.select_related("group"), pk=run_id)
    context = {"run": run, "graph": graph.of_run(run)}
    return render(request, "pipelines/chain.html", context)
