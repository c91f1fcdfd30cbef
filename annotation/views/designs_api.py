"""The REST doors of what is asked next: plans, priorities, the overlap of annotators."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.designs import First, Wish, create_pairs, propose_pairs, refresh_priorities
from annotation.overlap import Overlap, bridge, overlap_of
from annotation.statistics.strategies import Strategy
from annotation.views import schemas
from annotation.views.lead_door import (
    CostlyDoor,
    campaign_of,
    lead,
    read_body,
    read_query,
    repeatable,
    viewer,
)


class PlanView(CostlyDoor):
    @extend_schema(
        summary="Plan pairs by a strategy, and create them if that is wished",
        description="Without `create` nothing is written. The same wish with the same seed gives"
        " the same pairs as long as clips, pairs and votes are the same.",
        operation_id="campaigns_plan",
        request=schemas.PlanBody,
        responses=schemas.PlanAnswer,
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        body = read_body(schemas.PlanBody, request)
        wish = Wish(
            strategy=Strategy(body["strategy"]),
            budget=body["budget"],
            seed=body["seed"],
            prompts=tuple(body["prompts"]),
            generators=tuple(body["generators"]),
            category=body["category"],
        )
        proposal = propose_pairs(campaign, wish)
        created = 0
        if body["create"]:
            created = create_pairs(campaign, proposal, priority=body["priority"])
        return Response({"plan": asdict(proposal.plan), "created": created})


class PrioritiesView(CostlyDoor):
    @extend_schema(
        summary="Put the open pairs into a new order",
        operation_id="campaigns_priorities",
        request=schemas.PrioritiesBody,
        responses=schemas.MovedAnswer,
    )
    @repeatable(atomic=False)
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        first = First(read_body(schemas.PrioritiesBody, request)["first"])
        return Response({"moved": refresh_priorities(campaign, first)})


class OverlapView(CostlyDoor):
    @extend_schema(
        summary="Which annotators share how many triplets",
        operation_id="campaigns_overlap",
        responses=schemas.OverlapAnswer,
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        viewer(request)
        read_query(request)
        return Response(overlap_json(overlap_of(campaign_of(campaign_id))))


class BridgeView(CostlyDoor):
    @extend_schema(
        summary="Ask for further votes that tie loose groups of annotators together",
        operation_id="campaigns_bridge",
        request=None,
        responses=schemas.ExtensionAnswer,
    )
    @repeatable(atomic=False)
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        done = bridge(campaign_of(campaign_id))
        return Response(asdict(done))


def overlap_json(found: Overlap) -> dict[str, Any]:
    return {
        "connected": found.connected,
        "annotators": [
            {"annotator": found.names[pk], "triplets": count}
            for pk, count in found.triplets.items()
        ],
        "shares": [
            {"a": found.names[each.a], "b": found.names[each.b], "triplets": each.triplets}
            for each in found.shares
        ],
        "groups": [[found.names[pk] for pk in group] for group in found.groups],
        "loose": list(found.loose),
        "beginners": [found.names[pk] for pk in found.beginners],
        "waiting": found.waiting,
    }
