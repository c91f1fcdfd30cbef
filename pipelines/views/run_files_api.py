"""The REST doors to the log and the figures of a run, a part at a time: who follows asks again."""

from dataclasses import asdict

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.views.lead_door import read_number, read_query
from pipelines import launching, logs
from pipelines.run_pages import metrics_since
from pipelines.views.api import Door, run_of, viewer
from pipelines.views.shapes_runs import LOG, METRICS


class LogView(Door):
    @extend_schema(
        summary="The log of a run from a byte on; without one, its end",
        description="In whole lines, up to 64 KB: ask again from `end`. `left_out` bytes before"
        " `start` are gone, because the log had grown too long.",
        operation_id="runs_log",
        parameters=[
            OpenApiParameter("offset", int, description="First byte."),
            OpenApiParameter("rank", int, description="Of which process; 0 is the first."),
        ],
        responses={200: LOG},
    )
    def get(self, request: Request, run_id: int) -> Response:
        viewer(request)
        query = read_query(request, ("offset", "rank"))
        run = run_of(run_id)
        file = launching.run_dir(run).log_of(read_number(query, "rank") or 0)
        return Response(asdict(logs.read_from(file, read_number(query, "offset"))))


class MetricsView(Door):
    @extend_schema(
        summary="The figures of a run behind a cursor, thinned to what a screen can show",
        operation_id="runs_metrics",
        parameters=[OpenApiParameter("since", int, description="`since` of the answer before.")],
        responses={200: METRICS},
    )
    def get(self, request: Request, run_id: int) -> Response:
        viewer(request)
        since = read_number(read_query(request, ("since",)), "since") or 0
        points, newest = metrics_since(run_of(run_id), since)
        rows = [{"name": name, "step": step, "value": value} for name, step, value in points]
        return Response({"metrics": rows, "since": newest})
