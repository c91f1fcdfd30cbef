"""The REST doors of what is asked about: triplets and clips, page by page."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.models import Consensus, Generator, Triplet, TripletState, Video
from annotation.views import schemas
from annotation.views.door import Door
from annotation.views.lead_door import (
    MOST_ROWS,
    campaign_of,
    page_of,
    read_number,
    read_query,
    read_word,
    viewer,
)

_PAGING = [
    OpenApiParameter("cursor", description="Opaque: from `next` or `previous`."),
    OpenApiParameter("limit", OpenApiTypes.INT, description=f"Rows, up to {MOST_ROWS}."),
]


class TripletsView(Door):
    @extend_schema(
        summary="Triplets of a campaign with their consensus",
        operation_id="triplets_list",
        parameters=[*_PAGING, OpenApiParameter("state", enum=TripletState.values)],
        responses=schemas.TripletPage,
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        viewer(request)
        query = read_query(request, ["state"])
        state = read_word(query, "state", TripletState.values)
        rows = campaign_of(campaign_id).triplets.with_clips()
        rows = rows.prefetch_related("consensus__dimension")
        return page_of(request, rows.filter(state=state) if state else rows, triplet_json)


class VideosView(Door):
    @extend_schema(
        summary="Clips",
        operation_id="videos_list",
        parameters=[
            *_PAGING,
            OpenApiParameter("campaign", OpenApiTypes.INT, description="In its pool."),
            OpenApiParameter("prompt", OpenApiTypes.INT),
            OpenApiParameter("generator", description="By its name."),
        ],
        responses=schemas.VideoPage,
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        query = read_query(request, ["campaign", "prompt", "generator"])
        return page_of(request, _videos(query), video_json)


def _videos(query: dict[str, str]) -> QuerySet[Video]:
    rows = Video.objects.select_related("prompt", "generator")
    campaign, prompt = read_number(query, "campaign"), read_number(query, "prompt")
    if campaign is not None:
        rows = rows.filter(pk__in=campaign_of(campaign).pool.values("pk"))
    if prompt is not None:
        rows = rows.filter(prompt=prompt)
    if "generator" in query:
        rows = rows.filter(generator__in=Generator.objects.filter(name=query["generator"]))
    return rows


def triplet_json(triplet: Triplet) -> dict[str, Any]:
    return {
        "id": triplet.pk,
        "state": triplet.state,
        "need": triplet.need,
        "priority": triplet.priority,
        "prompt": triplet.prompt.text,
        "video_a": str(triplet.video_a_id),
        "video_b": str(triplet.video_b_id) if triplet.video_b_id else None,
        "generator_a": _generator(triplet.video_a),
        "generator_b": _generator(triplet.video_b),
        "consensus": {each.dimension.key: _settled(each) for each in triplet.consensus.all()},
    }


def _settled(row: Consensus) -> dict[str, Any]:
    names = ("label", "source", "posterior", "score_a", "score_b", "votes")
    return {name: getattr(row, name) for name in names}


def video_json(video: Video) -> dict[str, Any]:
    plain = (
        *("sha256", "original_path", "seed", "fps", "num_frames"),
        *("width", "height", "duration", "withdrawn"),
    )
    return {
        "id": str(video.pk),
        "prompt": video.prompt.text,
        "prompt_id": video.prompt_id,
        "category": video.prompt.category,
        "generator": _generator(video),
        **{name: getattr(video, name) for name in plain},
    }


def _generator(video: Video | None) -> str | None:
    return video.generator.name if video and video.generator else None
