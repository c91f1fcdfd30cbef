"""The REST doors of voting: parse, call one function, answer."""

import uuid

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import assigning, voting, wire
from annotation.errors import NotAllowed, NotFound, Unreadable
from annotation.models import Campaign, Dimension
from annotation.permissions import (
    may_see_campaign,
)
from annotation.views import shapes_voting
from annotation.views.door import Door, body_of, person

_LATEST = 20


def _explain_refusal(campaign_id: int, user: User) -> None:
    """Who may not even see the campaign does not learn that it is there."""
    hidden = Campaign.objects.filter(pk=campaign_id).first()
    if hidden is None or not may_see_campaign(user, hidden):
        raise NotFound("There is no such campaign.")


class NextView(Door):
    @extend_schema(
        summary="The next pair for this tab",
        request=shapes_voting.WISH,
        responses={200: shapes_voting.NEXT},
    )
    def post(self, request: Request, campaign_id: int) -> Response:
        user, wish = person(request), wire.read_wish(body_of(request))
        try:
            offer = assigning.offer(campaign_id, user, wish)
        except NotAllowed:
            _explain_refusal(campaign_id, user)
            raise
        return Response(wire.offer_json(offer, user))


class RenewView(Door):
    @extend_schema(
        summary="More time for a pair", request=None, responses={200: shapes_voting.RENEWED}
    )
    def post(self, request: Request, token: uuid.UUID) -> Response:
        return Response({"expires_at": assigning.renew(token, person(request)).isoformat()})


class ReleaseView(Door):
    @extend_schema(summary="Put a pair back", request=None, responses={200: shapes_voting.RELEASED})
    def post(self, request: Request, token: uuid.UUID) -> Response:
        return Response({"released": assigning.release(token, person(request))})


class SkipView(Door):
    @extend_schema(
        summary="Pass on a pair for good",
        request=shapes_voting.SKIP,
        responses={200: shapes_voting.SKIPPED},
    )
    def post(self, request: Request, token: uuid.UUID) -> Response:
        assigning.skip(token, person(request), str(body_of(request).get("reason") or ""))
        return Response({"skipped": True})


class VotesView(Door):
    @extend_schema(
        summary="Send a vote", request=shapes_voting.BALLOT, responses={200: shapes_voting.RECEIPT}
    )
    def post(self, request: Request) -> Response:
        user, body = person(request), body_of(request)
        token = wire.read_uuid(body, "lease")
        if wire.read_uuid(request.headers, "Idempotency-Key") != token:
            raise Unreadable("The header Idempotency-Key must be the lease of the pair.")
        receipt = voting.cast_vote(token, user, wire.read_ballot(body))
        return Response(wire.receipt_json(receipt))


class VoteView(Door):
    @extend_schema(
        summary="Change an own vote",
        request=shapes_voting.BALLOT,
        responses={200: shapes_voting.RECEIPT},
    )
    def put(self, request: Request, vote_id: uuid.UUID) -> Response:
        revision = request.headers.get("If-Match", "").strip().strip('"')
        if not (revision.isascii() and revision.isdigit()):
            raise Unreadable("The header If-Match must be the revision that you change.")
        ballot = wire.read_ballot(body_of(request))
        receipt = voting.revise_vote(vote_id, person(request), int(revision), ballot)
        return Response(wire.receipt_json(receipt))


class MyVotesView(Door):
    @extend_schema(
        summary="My latest votes in a campaign", responses={200: shapes_voting.OWN_VOTES}
    )
    def get(self, request: Request) -> Response:
        user = person(request)
        campaign_id = request.query_params.get("campaign", "")
        if not (campaign_id.isascii() and campaign_id.isdigit()):
            raise Unreadable("The query must name a campaign: ?campaign=<id>.")
        campaign = Campaign.objects.filter(pk=int(campaign_id)).first()
        if campaign is None or not may_see_campaign(user, campaign):
            raise NotFound("There is no such campaign.")
        votes = voting.latest_of(user, campaign, _LATEST)
        dimensions = Dimension.objects.filter(dimension_set=campaign.dimension_set_id)
        return Response(
            {
                "votes": [wire.own_answer_json(vote, user) for vote in votes],
                "dimensions": wire.dimensions_json(dimensions),
            }
        )
