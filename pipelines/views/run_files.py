"""What a run has left to take away: its logs and its figures. Doors only."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from annotation.spreadsheets import csv_lines
from pipelines import launching, logs
from pipelines.models import Metric, Run
from pipelines.views.access import for_viewers

_ROWS = 2000


@require_GET
@for_viewers
def log_text(_request: HttpRequest, run_id: int, rank: int = 0) -> StreamingHttpResponse:
    """The whole log of one process, as far as it was kept, as plain text."""
    run = get_object_or_404(Run, pk=run_id)
    file = launching.run_dir(run).log_of(rank)
    if not file.exists():
        raise Http404("This process has printed nothing.")
    name = f"run-{run.pk}{file.stem.removeprefix('log')}.log.txt"
    return _download(logs.download(file), "text/plain; charset=utf-8", name)


@require_GET
@for_viewers
def metrics_csv(_request: HttpRequest, run_id: int) -> StreamingHttpResponse:
    """One row per value: step, name, value."""
    run = get_object_or_404(Run, pk=run_id)
    lines = (line.encode() for line in csv_lines(("step", "name", "value"), _values(run)))
    return _download(lines, "text/csv; charset=utf-8", f"run-{run.pk}-metrics.csv")


@require_GET
@for_viewers
def metrics_jsonl(_request: HttpRequest, run_id: int) -> StreamingHttpResponse:
    """One line per step: {"step", "values": {name: value}}."""
    run = get_object_or_404(Run, pk=run_id)
    return _download(_steps(run), "application/jsonl", f"run-{run.pk}-metrics.jsonl")


def _values(run: Run) -> Iterator[tuple[int, str, float]]:
    rows = Metric.objects.filter(run=run).order_by("step", "name")
    return rows.values_list("step", "name", "value").iterator(chunk_size=_ROWS)


def _steps(run: Run) -> Iterator[bytes]:
    for step, rows in groupby(_values(run), key=itemgetter(0)):
        values = {name: value for _, name, value in rows}
        yield json.dumps({"step": step, "values": values}, ensure_ascii=False).encode() + b"\n"


def _download(lines: Iterable[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
