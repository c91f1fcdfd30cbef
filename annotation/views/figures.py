"""The REST doors of the figures that leads and ML engineers see."""

from dataclasses import asdict

from django.contrib.auth.models import User
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import dashboards
from annotation.errors import NotAllowed, NotFound
from annotation.models import Campaign
from annotation.permissions import is_lead, is_ml_engineer
from annotation.views.door import Door, person

_OBJECT = OpenApiTypes.OBJECT


def _to_look_at(campaign_id: int, user: User) -> Campaign:
    if not (is_lead(user) or is_ml_engineer(user)):
        raise NotAllowed("Only leads and ML engineers see the figures of a campaign.")
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


class ProgressView(Door):
    @extend_schema(summary="How far a campaign is", responses=_OBJECT)
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign = _to_look_at(campaign_id, person(request))
        return Response(asdict(dashboards.progress_panel(campaign)))


class AgreementView(Door):
    @extend_schema(summary="How far annotators agree", responses=_OBJECT)
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign = _to_look_at(campaign_id, person(request))
        return Response(asdict(dashboards.agreement_panel(campaign)))
