"""The REST door to disagreement: the ranking, and what a lead does with a part of it."""

from dataclasses import asdict
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.errors import CampaignError, NotFound, Unreadable
from annotation.relabelling import MOST
from annotation.views import schemas
from annotation.views.lead_door import (
    CostlyDoor,
    campaign_of,
    lead,
    read_body,
    read_number,
    read_query,
    read_word,
    repeatable,
)
from formats.errors import FormatError
from pipelines.disagreement.overview import overview
from pipelines.disagreement.page import page_of, rows_of
from pipelines.disagreement.ranking import Agreement, Clash, Filters, compare
from pipelines.disagreement.sending import (
    WAYS,
    Errand,
    carry_out,
    first_triplets,
    plan,
)
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.splitting import SPLITS

_LIMIT: Final = 100
_MOST: Final = 1000
_WORDS: Final = {
    "split": SPLITS,
    "agreement": tuple(map(str, Agreement)),
    "clash": tuple(map(str, Clash)),
}
_PARAMETERS: Final = [
    OpenApiParameter("campaign", OpenApiTypes.INT, required=True, description="Its id."),
    OpenApiParameter("dimension", OpenApiTypes.STR, description="Only this one counts."),
    *(
        OpenApiParameter(name, OpenApiTypes.STR, description="Only these count.", enum=words)
        for name, words in _WORDS.items()
    ),
    OpenApiParameter("offset", OpenApiTypes.INT, description="How many to leave out."),
    OpenApiParameter("limit", OpenApiTypes.INT, description=f"Up to {_MOST}; else {_LIMIT}."),
]


class WordRow(schemas.Serializer):
    dimension = serializers.CharField()
    people = serializers.ListField(child=serializers.FloatField(), help_text="A, tie, B.")
    model = serializers.ListField(child=serializers.FloatField(), help_text="A, tie, B.")
    difference = serializers.FloatField(help_text="Of the rewards, A minus B.")
    surprise = serializers.FloatField(help_text="Nats.")
    agreement = serializers.ChoiceField(_WORDS["agreement"])
    clash = serializers.ChoiceField(_WORDS["clash"])
    counts = serializers.BooleanField(help_text="Whether the filters leave it in the total.")


class FoundRow(schemas.Serializer):
    triplet = serializers.IntegerField()
    rank = serializers.IntegerField()
    surprise = serializers.FloatField(help_text="Nats, over the dimensions that count.")
    split = serializers.CharField(allow_blank=True)
    words = WordRow(many=True)
    prompt = serializers.CharField()
    a_url = serializers.CharField(allow_blank=True)
    b_url = serializers.CharField(allow_blank=True)


class OverviewRow(schemas.Serializer):
    key = serializers.CharField()
    triplets = serializers.IntegerField()
    same_word = serializers.FloatField()
    mean = serializers.FloatField(help_text="Nats.")
    expected = serializers.FloatField(help_text="The mean, if the chances of the model were right.")
    clashes = serializers.DictField(child=serializers.IntegerField())


class RankingAnswer(schemas.Serializer):
    total = serializers.IntegerField()
    not_scored = serializers.IntegerField()
    uncertain = serializers.BooleanField()
    overview = OverviewRow(many=True)
    results = FoundRow(many=True)
    next_offset = serializers.IntegerField(allow_null=True)


class ErrandBody(schemas.Serializer):
    campaign = serializers.IntegerField(help_text="Its id.")
    way = serializers.ChoiceField(WAYS)
    triplets = serializers.ListField(
        child=serializers.IntegerField(), default=list, max_length=MOST
    )
    first = serializers.IntegerField(
        default=0, min_value=0, max_value=MOST, help_text="Instead of triplets: the first so many."
    )
    dimension = serializers.CharField(default="", allow_blank=True)
    split = serializers.ChoiceField(("", *_WORDS["split"]), default="")
    agreement = serializers.ChoiceField(("", *_WORDS["agreement"]), default="")
    clash = serializers.ChoiceField(("", *_WORDS["clash"]), default="")
    votes = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, help_text="Per pair; else the campaign's."
    )
    name = serializers.CharField(default="", allow_blank=True, max_length=200)
    budget = serializers.IntegerField(
        default=0, min_value=0, max_value=schemas.PLANNED, help_text="Of new pairs."
    )
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31)
    create = serializers.BooleanField(default=False)  # type: ignore[assignment]  # DRF has one too


class ErrandPlan(schemas.Serializer):
    way = serializers.ChoiceField(WAYS)
    chosen = serializers.IntegerField()
    pairs = serializers.IntegerField(help_text="That can go this way.")
    votes = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField())
    short_of_people = serializers.IntegerField()


class ErrandAnswer(schemas.Serializer):
    plan = ErrandPlan()
    campaign = serializers.IntegerField(help_text="Where the pairs are asked about.")
    created = serializers.IntegerField()


class DisagreementView(CostlyDoor):
    @extend_schema(
        summary="Triplets on which people and a reward model disagree, the most surprising first",
        description="The artifact is a score set of clips that people judged. The surprise is the"
        " divergence of the model's chances from what people say, in nats. For leads.",
        operation_id="scores_disagreement",
        parameters=_PARAMETERS,
        responses=RankingAnswer,
    )
    def get(self, request: Request, artifact_id: int) -> Response:
        user = lead(request)
        names = ("campaign", "dimension", *_WORDS, "offset", "limit")
        query = read_query(request, names)
        start, limit = read_number(query, "offset") or 0, read_number(query, "limit") or _LIMIT
        if limit > _MOST:
            raise Unreadable(f"limit must be at most {_MOST}, got {limit}.")
        words = {name: read_word(query, name, known) or "" for name, known in _WORDS.items()}
        filters = Filters(dimension=query.get("dimension", ""), **words)
        scores, campaign = _scores(artifact_id), campaign_of(read_number(query, "campaign") or 0)
        try:
            compared = compare(campaign, scores)
            total = len(compared.ranked(filters)[0])
            found = page_of(compared, filters, start, limit)
            seen = overview(compared, filters)
        except (PipelineError, FormatError) as error:
            raise CampaignError(str(error)) from error
        return Response(
            {
                "total": total,
                "not_scored": compared.not_scored,
                "uncertain": compared.uncertain,
                "overview": [asdict(each) for each in seen],
                "results": rows_of(found, user),
                "next_offset": start + limit if start + limit < total else None,
            }
        )

    @extend_schema(
        summary="Send triplets of disagreement back to people, or ask for new pairs",
        description="Without `create` nothing is written. `relabel` makes a draft campaign whose"
        " pairs are never offered to those who judged them; `more_votes` adds votes where the pairs"
        " are; `adjudicate` puts them before a lead, blind; `new_pairs` asks about other pairs of"
        " the same prompts of which a vote tells the model most. Nobody who votes learns why.",
        operation_id="scores_disagreement_send",
        request=ErrandBody,
        responses=ErrandAnswer,
    )
    @repeatable()
    def post(self, request: Request, artifact_id: int) -> Response:
        user = lead(request)
        body = read_body(ErrandBody, request)
        scores, campaign = _scores(artifact_id), campaign_of(body["campaign"])
        try:
            errand = _errand(campaign, scores, body)
            planned = plan(campaign, scores, errand)
            created, where = 0, campaign
            if body["create"]:
                done = carry_out(campaign, scores, errand, user)
                created, where = done.pairs, done.campaign
        except (PipelineError, FormatError) as error:
            raise CampaignError(str(error)) from error
        return Response({"plan": asdict(planned), "campaign": where.pk, "created": created})


def _scores(artifact_id: int) -> Artifact:
    found = Artifact.objects.select_related("run").filter(pk=artifact_id).first()
    if found is None:
        raise NotFound("There is no such artifact.")
    return found


def _errand(campaign: Any, scores: Artifact, body: dict[str, Any]) -> Errand:
    if bool(body["triplets"]) == bool(body["first"]):
        raise Unreadable("Name either triplets, or how many of the first ones.")
    filters = Filters(*(body[name] for name in ("dimension", "split", "agreement", "clash")))
    triplets = body["triplets"] or first_triplets(campaign, scores, filters, body["first"])
    return Errand(
        body["way"],
        tuple(triplets),
        votes=campaign.votes_wanted if body["votes"] is None else body["votes"],
        name=body["name"],
        budget=body["budget"],
        seed=body["seed"],
    )
