"""The REST doors of quality: flags and the own scorecard for annotators, the rest for leads."""

import uuid
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import adjudicating
from annotation.errors import NotAllowed, NotFound, Unreadable
from annotation.models import Campaign, Dimension, Flag, FlagState, Probe, Triplet
from annotation.permissions import is_lead, may_see_campaign
from annotation.quality import flags, gold, recollecting, scorecards, standings
from annotation.quality import wire as wire_quality
from annotation.views import shapes_quality, shapes_voting
from annotation.views.door import Door, body_of, person

_PAGE: Final = 100
_AFTER = OpenApiParameter("after", OpenApiTypes.INT, description="`next` of the page before.")
_KIND = OpenApiParameter("kind", OpenApiTypes.STR, description="practice, qualification or gold")
_STATE = OpenApiParameter("state", OpenApiTypes.STR, description="open, upheld or dismissed")


def led_campaign(request: Request, campaign_id: int) -> Campaign:
    """The campaign, for a lead."""
    if not is_lead(person(request)):
        raise NotAllowed("Only leads look after the quality of a campaign.")
    campaign = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def _after(request: Request) -> int:
    text = request.query_params.get("after", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Unreadable("'after' must be the `next` of the page before.")
    return int(text)


def _page(rows: QuerySet[Any], request: Request) -> tuple[list[Any], int | None]:
    """By primary key, so that a page costs the same however far it is."""
    found = list(rows.filter(pk__gt=_after(request)).order_by("pk")[: _PAGE + 1])
    return found[:_PAGE], found[_PAGE - 1].pk if len(found) > _PAGE else None


class FlagQuestionView(Door):
    @extend_schema(
        summary="Flag a pair, or one of its clips",
        request=shapes_voting.FLAG,
        responses={200: shapes_voting.FLAGGED},
    )
    def post(self, request: Request, token: uuid.UUID) -> Response:
        report = wire_quality.read_report(body_of(request, "kind", "side", "note"))
        withdrawn = flags.raise_flag(token, person(request), report)
        return Response({"flagged": True, "withdrawn": withdrawn})


class ScorecardView(Door):
    @extend_schema(
        summary="My own figures in a campaign", responses={200: shapes_quality.SCORECARD}
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        user = person(request)
        campaign = Campaign.objects.filter(pk=campaign_id).first()
        if campaign is None or not may_see_campaign(user, campaign):
            raise NotFound("There is no such campaign.")
        card = scorecards.scorecard(campaign, user)
        return Response(wire_quality.scorecard_json(card, campaign))


class GoldView(Door):
    @extend_schema(
        operation_id="gold_list",
        summary="Questions with a known answer",
        parameters=[_AFTER, _KIND],
        responses={200: shapes_quality.PROBES},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        rows = gold.questions(campaign)
        if kind := request.query_params.get("kind"):
            if kind not in gold.KINDS:
                raise Unreadable(f"'kind' is one of {', '.join(gold.KINDS)}.")
            rows = rows.filter(kind=kind)
        page, after = _page(rows, request)
        return Response(
            {"gold": [wire_quality.probe_json(each, user) for each in page], "next": after}
        )

    @extend_schema(
        summary="Add a question: from a settled triplet, or from clips",
        request=shapes_quality.PROBE_BODY,
        responses={201: shapes_quality.PROBE},
    )
    def post(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        body = body_of(request, "kind", "triplet", "video_a", "video_b", "expected", "explanation")
        probe = _add_question(campaign, user, body)
        return Response(wire_quality.probe_json(probe, user), status=201)


def _add_question(campaign: Campaign, user: User, body: dict[str, Any]) -> Probe:
    kind = wire_quality.read_text(body, "kind")
    if body.get("triplet") is None:
        return gold.make(campaign, kind, wire_quality.read_question(body), user)
    return gold.from_triplet(
        _triplet(campaign, wire_quality.read_whole(body, "triplet")),
        kind,
        user,
        expected=wire_quality.read_expected(body) if "expected" in body else None,
        explanation=wire_quality.read_explanation(body),
    )


def _triplet(campaign: Campaign, triplet_id: int) -> Triplet:
    rows = Triplet.objects.select_related("campaign", "prompt", "video_a", "video_b")
    triplet = rows.filter(campaign=campaign, pk=triplet_id).first()
    if triplet is None:
        raise NotFound("There is no such triplet in this campaign.")
    return triplet


class GoldQuestionView(Door):
    @extend_schema(
        summary="One question with a known answer", responses={200: shapes_quality.PROBE}
    )
    def get(self, request: Request, campaign_id: int, probe_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        probe = gold.of_campaign(campaign, probe_id)
        return Response(wire_quality.probe_json(probe, person(request)))

    @extend_schema(
        summary="Change what is right and why, or ask it (no) more",
        request=shapes_quality.PROBE_CHANGES,
        responses={200: shapes_quality.PROBE},
    )
    def patch(self, request: Request, campaign_id: int, probe_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        body = body_of(request, "expected", "explanation", "active")
        probe = gold.of_campaign(campaign, probe_id)
        if "expected" in body or "explanation" in body:
            expected = wire_quality.read_expected(body) if "expected" in body else probe.expected
            told = wire_quality.read_explanation(body) if "explanation" in body else None
            gold.explain(probe, expected, probe.explanation if told is None else told)
        if "active" in body:
            change = gold.restore if wire_quality.read_flag(body, "active") else gold.retire
            change(probe)
        probe = gold.of_campaign(campaign, probe_id)
        return Response(wire_quality.probe_json(probe, person(request)))

    @extend_schema(summary="Ask a question no more; its answers stay", responses={204: None})
    def delete(self, request: Request, campaign_id: int, probe_id: int) -> Response:
        gold.retire(gold.of_campaign(led_campaign(request, campaign_id), probe_id))
        return Response(status=204)


class PromotableView(Door):
    @extend_schema(
        summary="Triplets on which everybody said the same",
        parameters=[_AFTER],
        responses={200: shapes_quality.PROMOTABLE},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        rows = gold.promotable(campaign).select_related(
            "prompt", "video_a__generator", "video_b__generator"
        )
        page, after = _page(rows, request)
        return Response(
            {"triplets": [wire_quality.triplet_json(each, user) for each in page], "next": after}
        )

    @extend_schema(
        summary="Make gold of them",
        request=shapes_quality.PROMOTE_BODY,
        responses={201: shapes_quality.PROMOTED},
    )
    def post(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        wanted = wire_quality.read_numbers(body_of(request, "triplets"), "triplets")
        made = gold.promote_all([_triplet(campaign, each) for each in wanted], user)
        return Response({"gold": [probe.pk for probe in made]}, status=201)


class FlagsView(Door):
    @extend_schema(
        summary="What annotators flagged",
        parameters=[_AFTER, _STATE],
        responses={200: shapes_quality.FLAGS},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        rows = flags.of_campaign(campaign)
        state = request.query_params.get("state")
        if state:
            if state not in FlagState.values:
                raise Unreadable(f"'state' is one of {', '.join(FlagState.values)}.")
            rows = rows.filter(state=state)
        page, after = _page(rows, request)
        return Response(
            {"flags": [wire_quality.flag_json(each, user) for each in page], "next": after}
        )


class SettleFlagView(Door):
    @extend_schema(
        summary="Uphold a flag, or dismiss it and bring its clip back",
        request=shapes_quality.SETTLE_BODY,
        responses={200: shapes_quality.FLAG},
    )
    def post(self, request: Request, flag_id: int) -> Response:
        user = person(request)
        if not is_lead(user):
            raise NotAllowed("Only leads settle flags.")
        flags.settle(
            flag_id, user, uphold=wire_quality.read_flag(body_of(request, "uphold"), "uphold")
        )
        flag = flags.with_people(Flag.objects.filter(pk=flag_id)).get()
        return Response(wire_quality.flag_json(flag, user))


class NextCaseView(Door):
    @extend_schema(
        operation_id="adjudication_next",
        summary="The next pair that people split on",
        parameters=[_AFTER],
        responses={200: shapes_quality.NEXT_CASE},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        case = adjudicating.next_case(campaign, user, after=_after(request))
        if case is None:
            return Response({"empty": True, "reason": "Nothing waits to be settled."})
        dimensions = Dimension.objects.filter(dimension_set=campaign.dimension_set_id)
        return Response(wire_quality.case_json(case, dimensions, user))


class CaseView(Door):
    @extend_schema(summary="One pair to be settled (again)", responses={200: shapes_quality.CASE})
    def get(self, request: Request, campaign_id: int, triplet_id: int) -> Response:
        campaign, user = led_campaign(request, campaign_id), person(request)
        case = adjudicating.case_of(campaign, triplet_id, user)
        dimensions = Dimension.objects.filter(dimension_set=campaign.dimension_set_id)
        return Response(wire_quality.case_json(case, dimensions, user))

    @extend_schema(
        summary="Settle a pair; the answer shows what people had said",
        request=shapes_quality.RULING_BODY,
        responses={200: shapes_quality.VERDICT},
    )
    def post(self, request: Request, campaign_id: int, triplet_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        ruling = wire_quality.read_ruling(body_of(request))
        verdict = adjudicating.settle(campaign, triplet_id, person(request), ruling)
        return Response(wire_quality.verdict_json(verdict))


class RulingsView(Door):
    @extend_schema(
        summary="All rulings on a pair, the standing one first",
        responses={200: shapes_quality.RULINGS},
    )
    def get(self, request: Request, campaign_id: int, triplet_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        rows = adjudicating.history(_triplet(campaign, triplet_id))
        return Response({"rulings": [wire_quality.ruling_json(each) for each in rows]})


class StandingsView(Door):
    @extend_schema(
        summary="How everybody in a campaign stands", responses={200: shapes_quality.STANDINGS}
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        rows = standings.standings(led_campaign(request, campaign_id))
        return Response({"annotators": [wire_quality.standing_json(each) for each in rows]})


class ResumeView(Door):
    @extend_schema(
        summary="Let a paused annotator go on, or give one attempt more",
        request=shapes_quality.NOTE_BODY,
        responses={200: shapes_quality.RESUMED},
    )
    def post(self, request: Request, campaign_id: int, user_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        note = wire_quality.read_text(body_of(request, "note"), "note")
        cursor = recollecting.resume(campaign, user_id, person(request), note)
        return Response({"stage": cursor.stage, "attempt": cursor.attempt})


class RecollectView(Door):
    @extend_schema(
        summary="Votes since the last good window of gold", responses={200: shapes_quality.WINDOW}
    )
    def get(self, request: Request, campaign_id: int, user_id: int) -> Response:
        found = recollecting.window(led_campaign(request, campaign_id), user_id)
        return Response(wire_quality.window_json(found))

    @extend_schema(
        summary="Ask others for them anew",
        request=shapes_quality.NOTE_BODY,
        responses={200: shapes_quality.RECOLLECTED},
    )
    def post(self, request: Request, campaign_id: int, user_id: int) -> Response:
        campaign = led_campaign(request, campaign_id)
        note = wire_quality.read_text(body_of(request, "note"), "note")
        done = recollecting.recollect(campaign, user_id, person(request), note)
        since = done.since.isoformat() if done.since else None
        return Response({"votes": done.votes, "since": since})
