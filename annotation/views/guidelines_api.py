"""The REST doors of guidelines: read and accept; draft and publish for leads."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.accounts.profiles import settings_of
from annotation.errors import NotFound, Unreadable
from annotation.guidance import guidelines
from annotation.guidance.bodies import in_language, note_in
from annotation.languages import is_known
from annotation.models import Guideline, Language, Video
from annotation.permissions import is_annotator, may_see_campaign
from annotation.views import shapes_people
from annotation.views.door import Door, body_of, person
from annotation.views.lead_door import lead, repeatable
from annotation.views.people_api import field, seen_campaign
from annotation.wire import video_json


class GuidelineView(Door):
    @extend_schema(
        summary="The guideline as an annotator reads it",
        parameters=[OpenApiParameter("language", enum=Language.values)],
        responses={200: shapes_people.GUIDELINE},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        user = person(request)
        campaign = seen_campaign(request, campaign_id)
        standing = guidelines.newest(campaign)
        language = _language(request)
        return Response(
            {
                "id": standing.id,
                "version": standing.version,
                "major": standing.major,
                "must_accept": is_annotator(user) and campaign.must_accept > 0,
                "accepted": guidelines.accepted(standing, user),
                "language": language,
                **in_language(standing.body, language),
                "examples": _examples(standing.body, language, user),
            }
        )


def _language(request: Request) -> str:
    wanted = request.query_params.get("language", "")
    if wanted and not is_known(wanted):
        raise Unreadable(f"'language' must be one of {', '.join(Language.values)}.")
    chosen = wanted or settings_of(person(request)).language
    return chosen or str(getattr(request._request, "LANGUAGE_CODE", Language.ENGLISH.value))


def _examples(body: dict[str, Any], language: str, user: User) -> dict[str, Any]:
    """Clips that were withdrawn since are left out: nobody has to see them again."""
    examples = body.get("examples", {})
    wanted = {each["video"] for rows in examples.values() for each in rows}
    videos = {str(v.pk): v for v in Video.objects.filter(pk__in=wanted, withdrawn=False)}
    return {
        key: [
            {
                "video": video_json(videos[each["video"]], user),
                "good": each["good"],
                "note": note_in(each["note"], language),
            }
            for each in rows
            if each["video"] in videos
        ]
        for key, rows in examples.items()
    }


class AcceptView(Door):
    @extend_schema(
        summary="I have read this version", request=None, responses={200: shapes_people.ACCEPTED}
    )
    def post(self, request: Request, guideline_id: int) -> Response:
        user = person(request)
        row = Guideline.objects.select_related("campaign").filter(pk=guideline_id).first()
        if row is None or not may_see_campaign(user, row.campaign):
            raise NotFound("There is no such guideline.")
        return Response({"accepted": guidelines.accept(guideline_id, user).version})


class GuidelinesView(Door):
    @extend_schema(summary="The published versions", responses={200: shapes_people.VERSIONS})
    def get(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        rows = seen_campaign(request, campaign_id).guidelines.select_related("created_by")
        return Response({"guidelines": [_version(each) for each in rows]})

    @extend_schema(
        summary="Publish a version",
        request=shapes_people.PUBLISH_BODY,
        responses={201: shapes_people.VERSION},
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        user, campaign = lead(request), seen_campaign(request, campaign_id)
        body = body_of(request, "body", "major")
        draft = None if "body" in body else guidelines.draft_of(campaign)
        text = body["body"] if draft is None else draft.body
        major = field(body, "major", default=True)
        revision = None if draft is None else draft.revision
        row = guidelines.publish(campaign, text, major=major, user=user, draft=revision)
        return Response(_version(row), status=201)


def _version(row: Guideline) -> dict[str, Any]:
    return {
        "id": row.pk,
        "version": row.version,
        "major": row.major,
        "published_at": row.published_at.isoformat(),
        "by": row.created_by.get_username() if row.created_by else None,
        "body": row.body,
    }


class DraftView(Door):
    @extend_schema(summary="What leads are writing", responses={200: shapes_people.DRAFT})
    def get(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        return Response(_draft(guidelines.draft_of(seen_campaign(request, campaign_id))))

    @extend_schema(
        summary="Save the draft",
        request=shapes_people.DRAFT_BODY,
        responses={200: shapes_people.DRAFT},
    )
    def put(self, request: Request, campaign_id: int) -> Response:
        user, body = lead(request), body_of(request, "body", "revision")
        campaign = seen_campaign(request, campaign_id)
        revision = field(body, "revision", 0)
        return Response(_draft(guidelines.save_draft(campaign, body.get("body"), revision, user)))


def _draft(draft: guidelines.Draft) -> dict[str, Any]:
    return {"body": draft.body, "revision": draft.revision, "saved_by": draft.saved_by}
