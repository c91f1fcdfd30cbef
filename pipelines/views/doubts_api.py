"""The REST door of active pairs: what a reward model is least sure of becomes questions."""

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.designs import Wish, create_pairs
from annotation.errors import CampaignError, NotFound
from annotation.statistics.strategies import Strategy
from annotation.views import schemas
from annotation.views.lead_door import CostlyDoor, campaign_of, lead, read_body, repeatable
from formats.errors import FormatError
from pipelines.disagreement.doubts import propose_from_scores
from pipelines.errors import PipelineError
from pipelines.models import Artifact


class DoubtBody(schemas.WishBody):
    campaign = serializers.IntegerField(help_text="Its id.")
    budget = serializers.IntegerField(
        min_value=1,
        max_value=schemas.PLANNED,
        help_text="At most so many pairs. More than this: `manage.py plan_doubtful_pairs`.",
    )

    committee = serializers.ListField(
        child=serializers.IntegerField(),
        default=list,
        max_length=32,
        help_text="Further score sets of the same clips, by other reward models.",
    )


class DoubtfulPairsView(CostlyDoor):
    @extend_schema(
        summary="Plan the pairs that a reward model is least sure of, and create them if wished",
        description="The artifact is a score set of a reward model that says how sure it is."
        " Without `create` nothing is written. The same wish with the same seed gives the same"
        " pairs as long as scores and pairs are the same.",
        operation_id="scores_plan",
        request=DoubtBody,
        responses=schemas.PlanAnswer,
    )
    @repeatable()
    def post(self, request: Request, artifact_id: int) -> Response:
        lead(request)
        scores = _scores(artifact_id)
        body = read_body(DoubtBody, request)
        campaign = campaign_of(body["campaign"])
        wish = Wish(
            strategy=Strategy.ACTIVE,
            budget=body["budget"],
            seed=body["seed"],
            prompts=tuple(body["prompts"]),
            generators=tuple(body["generators"]),
            category=body["category"],
        )
        try:
            further = [_scores(pk) for pk in body["committee"]]
            proposal = propose_from_scores(campaign, scores, wish, further)
        except (PipelineError, FormatError) as error:
            raise CampaignError(str(error)) from error
        created = 0
        if body["create"]:
            created = create_pairs(campaign, proposal, priority=body["priority"])
        return Response({"plan": asdict(proposal.plan), "created": created})


def _scores(artifact_id: int) -> Artifact:
    found = Artifact.objects.select_related("run").filter(pk=artifact_id).first()
    if found is None:
        raise NotFound("There is no such artifact.")
    return found
