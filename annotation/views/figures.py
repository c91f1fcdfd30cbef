"""The REST doors of the figures that leads and ML engineers see."""

import typing
from dataclasses import asdict

from django.contrib.auth.models import User
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.dashboards import PANELS, READERS
from annotation.dashboards.panel import Table
from annotation.errors import NotAllowed, NotFound
from annotation.models import Campaign
from annotation.permissions import is_lead, is_ml_engineer
from annotation.spreadsheets import csv_text
from annotation.views.door import Door, person
from annotation.views.shapes import either, one_of, record, rows, shape_of

_SHAPES = {name: shape_of(typing.get_type_hints(read)["return"]) for name, read in READERS.items()}
_PANEL = OpenApiParameter("panel", str, OpenApiParameter.PATH, enum=sorted(PANELS))
_TABLE = OpenApiParameter(
    "table", str, description="Which of the panel's tables; the first one where it is not named."
)


def _to_look_at(campaign_id: int, user: User) -> Campaign:
    if not (is_lead(user) or is_ml_engineer(user)):
        raise NotAllowed("Only leads and ML engineers see the figures of a campaign.")
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def _known(panel: str) -> str:
    if panel not in PANELS:
        raise NotFound(f"There is no panel {panel!r}; there are {', '.join(PANELS)}.")
    return panel


class ProgressView(Door):
    @extend_schema(summary="How far a campaign is", responses={200: _SHAPES["progress"]})
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign = _to_look_at(campaign_id, person(request))
        return Response(asdict(PANELS["progress"](campaign)))


class AgreementView(Door):
    @extend_schema(summary="How far annotators agree", responses={200: _SHAPES["agreement"]})
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign = _to_look_at(campaign_id, person(request))
        return Response(asdict(PANELS["agreement"](campaign)))


class PanelsView(Door):
    @extend_schema(
        operation_id="figures_list",
        summary="Which figures there are of a campaign",
        responses={200: record(panels=rows(one_of(list(PANELS))))},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        _to_look_at(campaign_id, person(request))
        return Response({"panels": list(PANELS)})


class PanelView(Door):
    @extend_schema(
        summary="One panel of figures",
        parameters=[_PANEL],
        responses={200: either(*_SHAPES.values())},
    )
    def get(self, request: Request, campaign_id: int, panel: str) -> Response:
        campaign = _to_look_at(campaign_id, person(request))
        return Response(asdict(PANELS[_known(panel)](campaign)))


class TableView(Door):
    @extend_schema(
        summary="One table of a panel as CSV, its cells safe for spreadsheets",
        parameters=[_PANEL, _TABLE],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The table")},
    )
    def get(self, request: Request, campaign_id: int, panel: str) -> HttpResponse:
        campaign = _to_look_at(campaign_id, person(request))
        table = _chosen(PANELS[_known(panel)](campaign).tables(), request.GET.get("table", ""))
        text = csv_text([column.key for column in table.columns], table.rows)
        name = f"campaign-{campaign.pk}-{panel}-{table.name}.csv"
        return HttpResponse(
            # The mark tells spreadsheets that names of people and clips are UTF-8.
            f"\N{ZERO WIDTH NO-BREAK SPACE}{text}",
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _chosen(tables: tuple[Table, ...], name: str) -> Table:
    found = next((table for table in tables if table.name == name or not name), None)
    if found is None:
        raise NotFound(
            f"There is no table {name!r}; there are {', '.join(table.name for table in tables)}."
        )
    return found
