"""The REST door through which a campaign goes out: its labels, or every vote."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from annotation.access.declared import need_scope
from annotation.access.scopes import Scope
from annotation.errors import Unreadable
from annotation.exporting import write_videoalign
from annotation.models import Campaign
from annotation.raw_votes import json_lines, write_parquet
from annotation.views.lead_door import CostlyDoor, campaign_of, read_query, viewer


class ExportView(CostlyDoor):
    @extend_schema(
        summary="The settled labels, or every vote under pseudonyms",
        operation_id="campaigns_export",
        parameters=[
            OpenApiParameter(
                "what",
                enum=["videoalign", "votes", "votes-parquet"],
                description="videoalign: CSV of complete triplets. votes: JSON lines (votes/1).",
            )
        ],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY, "videoalign"),
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.BINARY, "votes"),
            (200, "application/vnd.apache.parquet"): OpenApiResponse(
                OpenApiTypes.BINARY, "votes-parquet"
            ),
        },
    )
    def get(self, request: Request, campaign_id: int) -> HttpResponseBase:
        viewer(request)
        wanted = read_query(request, ["what"]).get("what", "videoalign")
        campaign = campaign_of(campaign_id)
        if wanted not in _FORMATS:
            raise Unreadable(f"what must be one of {', '.join(_FORMATS)}.")
        if wanted != "videoalign":
            need_scope(request, Scope.READ_VOTES)
        return _FORMATS[wanted](campaign)


def _labels(campaign: Campaign) -> HttpResponseBase:
    def write(path: Path) -> None:
        write_videoalign(campaign.triplets.complete().order_by("pk"), path)

    return _file(campaign, "csv", "text/csv", write)


def _votes(campaign: Campaign) -> HttpResponseBase:
    answer = StreamingHttpResponse(json_lines(campaign), content_type="application/x-ndjson")
    answer["Content-Disposition"] = f'attachment; filename="{_name(campaign)}-votes.jsonl"'
    return answer


def _parquet(campaign: Campaign) -> HttpResponseBase:
    def write(path: Path) -> None:
        write_parquet(campaign, path)

    return _file(campaign, "parquet", "application/vnd.apache.parquet", write)


def _file(
    campaign: Campaign, suffix: str, kind: str, write: Callable[[Path], None]
) -> HttpResponseBase:
    with tempfile.TemporaryDirectory(prefix="tiebreak-export-") as folder:
        path = Path(folder) / f"export.{suffix}"
        write(path)
        file = path.open("rb")  # outlives its name; the response closes it
    name = f"{_name(campaign)}.{suffix}"
    return FileResponse(file, as_attachment=True, filename=name, content_type=kind)


def _name(campaign: Campaign) -> str:
    return slugify(campaign.name) or str(campaign.pk)


_FORMATS = {"videoalign": _labels, "votes": _votes, "votes-parquet": _parquet}
