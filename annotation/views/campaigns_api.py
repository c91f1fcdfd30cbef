"""The REST doors of campaigns: make, change, open, pause, close, extend, clone."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import campaigns, wire
from annotation.campaign_options import OPTIONS
from annotation.cloning import clone_campaign
from annotation.extending import extend_votes
from annotation.models import Campaign
from annotation.permissions import is_annotator, is_lead, is_ml_engineer
from annotation.views import schemas
from annotation.views.door import Door, person
from annotation.views.lead_door import (
    CostlyDoor,
    campaign_of,
    lead,
    read_body,
    read_query,
    repeatable,
    viewer,
)

CREATED = status.HTTP_201_CREATED


def campaign_json(campaign: Campaign) -> dict[str, Any]:
    """All that a lead has set, and how far it is."""
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "state": campaign.state,
        "dimension_set": campaign.dimension_set.name,
        **{key: getattr(campaign, key) for key in OPTIONS},
        "hourly_rate": str(campaign.hourly_rate),
        "triplets": {"total": campaign.triplets_total, "done": campaign.triplets_done},
        "pool": campaign.pool.count(),
        "created_by": campaign.created_by.get_username() if campaign.created_by else None,
        "created_at": campaign.created_at.isoformat(),
    }


def _answer(campaign: Campaign, code: int = status.HTTP_200_OK) -> Response:
    return Response(campaign_json(campaign_of(campaign.pk)), status=code)


class CampaignsView(Door):
    @extend_schema(
        summary="Campaigns that I may see",
        operation_id="campaigns_list",
        responses=schemas.CampaignList,
    )
    def get(self, request: Request) -> Response:
        read_query(request)
        user = person(request)
        seen = Campaign.objects.visible_to(
            user, all_of_them=is_lead(user) or is_ml_engineer(user), votes=is_annotator(user)
        )
        rows = [wire.campaign_json(each, each.mine) for each in seen.with_votes_of(user)]
        return Response({"campaigns": rows})

    @extend_schema(
        summary="Make a campaign",
        operation_id="campaigns_create",
        request=schemas.NewCampaign,
        responses={201: schemas.CampaignAnswer},
    )
    @repeatable()
    def post(self, request: Request) -> Response:
        user = lead(request)
        options = read_body(schemas.NewCampaign, request)
        name, dimension_set = options.pop("name"), options.pop("dimension_set")
        made = campaigns.create_campaign(name, dimension_set, created_by=user, **options)
        return _answer(made, CREATED)


class CampaignView(Door):
    @extend_schema(
        summary="One campaign with its settings",
        operation_id="campaigns_retrieve",
        responses=schemas.CampaignAnswer,
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        viewer(request)
        read_query(request)
        return _answer(campaign_of(campaign_id))

    @extend_schema(
        summary="Change settings",
        operation_id="campaigns_change",
        request=schemas.CampaignChanges,
        responses=schemas.CampaignAnswer,
    )
    def patch(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        changes = read_body(schemas.CampaignChanges, request)
        return _answer(campaigns.update_campaign(campaign, changes))

    @extend_schema(
        summary="Remove a draft without triplets",
        operation_id="campaigns_remove",
        responses={204: None},
    )
    def delete(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaigns.delete_campaign(campaign_of(campaign_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class OpenView(Door):
    @extend_schema(
        summary="Open: annotators may vote",
        operation_id="campaigns_open",
        request=None,
        responses=schemas.CampaignAnswer,
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        campaigns.open_campaign(campaign)
        return _answer(campaign)


class PauseView(Door):
    @extend_schema(
        summary="Pause: no new pairs",
        operation_id="campaigns_pause",
        request=None,
        responses=schemas.CampaignAnswer,
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        campaigns.pause_campaign(campaign)
        return _answer(campaign)


class CloseView(Door):
    @extend_schema(
        summary="Close",
        operation_id="campaigns_close",
        request=None,
        responses=schemas.CampaignAnswer,
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        campaigns.close_campaign(campaign)
        return _answer(campaign)


class ExtendView(CostlyDoor):
    @extend_schema(
        summary="More votes per triplet",
        operation_id="campaigns_extend",
        request=schemas.ExtendBody,
        responses=schemas.ExtensionAnswer,
    )
    @repeatable(atomic=False)
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        body = read_body(schemas.ExtendBody, request)
        done = extend_votes(campaign, body["votes_wanted"])
        return Response({"triplets": done.triplets, "slots": done.slots, "reopened": done.reopened})


class CloneView(CostlyDoor):
    @extend_schema(
        summary="The same campaign once more",
        operation_id="campaigns_clone",
        request=schemas.CloneBody,
        responses={201: schemas.CampaignAnswer},
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        user: User = lead(request)
        campaign = campaign_of(campaign_id)
        changes = read_body(schemas.CloneBody, request)
        name = changes.pop("name")
        return _answer(clone_campaign(campaign, name, user, **changes), CREATED)
