"""The REST doors through which pairs come in: files, and pairs of clips that are here."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access.strict_json import StrictJSON
from annotation.errors import CampaignError
from annotation.importing import Pair, create_triplets
from annotation.imports.reading_in import ImportReport, Target, import_given
from annotation.imports.tables import Labels
from annotation.models import Video
from annotation.views import schemas
from annotation.views.lead_door import CostlyDoor, campaign_of, lead, read_body, repeatable


def report_json(report: ImportReport) -> dict[str, Any]:
    return {
        "campaign": report.campaign_id,
        "rows": report.rows,
        "triplets": report.triplets,
        "pooled": report.pooled,
        "duplicates": [str(each) for each in report.duplicates],
        "warnings": list(report.warnings),
    }


class ImportView(CostlyDoor):
    parser_classes = [MultiPartParser, StrictJSON]

    @extend_schema(
        summary="Import a file into a campaign, all or nothing",
        operation_id="campaigns_import",
        request={"multipart/form-data": schemas.ImportBody, "application/json": schemas.ImportBody},
        responses={200: schemas.ImportAnswer, 422: schemas.ImportFault},
    )
    @repeatable(atomic=False)
    def post(self, request: Request, campaign_id: int) -> Response:
        user = lead(request)
        campaign = campaign_of(campaign_id)
        body = read_body(schemas.ImportBody, request)
        report = import_given(
            body.get("file"),
            body.get("clips", ""),
            Target(campaign.name, pk=campaign.pk),
            user,
            Labels(body["labels"]),
        )
        return Response(report_json(report))


class PairsView(CostlyDoor):
    @extend_schema(
        summary="Ask about pairs of clips that are here",
        description="In a campaign of single clips `video_b` is left out. A pair that the campaign"
        " has already, also as B/A, is not added again; its triplet is answered.",
        operation_id="triplets_create",
        request=schemas.PairsBody,
        responses={201: schemas.PairsAnswer},
    )
    @repeatable()
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = campaign_of(campaign_id)
        body = read_body(schemas.PairsBody, request)
        before = campaign.triplets_total
        triplets = create_triplets(campaign, named_pairs(body["pairs"]), priority=body["priority"])
        answer = {
            "triplets": [each.pk for each in triplets],
            "added": campaign.triplets_total - before,
        }
        return Response(answer, status=status.HTTP_201_CREATED)


def named_pairs(pairs: list[dict[str, Any]]) -> list[Pair]:
    """The rows of these clips; CampaignError names one that is not here."""
    wanted = {pair[side] for pair in pairs for side in ("video_a", "video_b") if pair.get(side)}
    videos = Video.objects.filter(withdrawn=False).select_related("prompt").in_bulk(list(wanted))
    missing = sorted(str(each) for each in wanted - set(videos))
    if missing:
        raise CampaignError(f"there is no clip {missing[0]} here")
    return [
        (videos[pair["video_a"]].prompt, videos[pair["video_a"]], videos.get(pair.get("video_b")))
        for pair in pairs
    ]
