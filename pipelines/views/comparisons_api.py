"""The REST doors of comparisons: start one, look at its table."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from pipelines.comparisons.comparing import start_comparison
from pipelines.comparisons.config import KIND
from pipelines.comparisons.table import table_of
from pipelines.models import GroupKind, LoopGroup
from pipelines.views.api import Door, body_of, engineer, object_of, source, text_of, viewer

_OBJECT = OpenApiTypes.OBJECT


class RunOfComparison(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    state = serializers.CharField()


class ComparisonAnswer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    runs = RunOfComparison(many=True)
    ended = serializers.BooleanField(help_text="Whether all its runs have.")
    table = serializers.DictField(
        help_text="`members` with what differs, figures of training, `win_rates` by judge and"
        " dimension, motion, alarms, seconds; `judges`; `training_rewards`; `note`."
    )


class ComparisonsView(Door):
    @extend_schema(
        summary="Start a comparison: several settings of an alignment on the same pairs",
        description=(
            '`{"config": {"name", "base", "variations", "configs", "test"}, "inputs": {role: '
            '{"artifact"|"base_model"|"run": id}}, "nonce": name}`. Inputs are those of an '
            "alignment run, `judges:NAME` and the judges' `backbone`."
        ),
        operation_id="comparisons_start",
        request=_OBJECT,
        responses={status.HTTP_201_CREATED: ComparisonAnswer},
    )
    def post(self, request: Request) -> Response:
        user = engineer(request)
        body = body_of(request)
        group = start_comparison(
            object_of(body, "config"),
            {role: source(role, named) for role, named in object_of(body, "inputs").items()},
            user,
            nonce=text_of(body, "nonce") or None,
        )
        return Response(_told(group), status=status.HTTP_201_CREATED)


class ComparisonView(Door):
    @extend_schema(
        summary="The table of a comparison as it stands",
        operation_id="comparisons_read",
        responses=ComparisonAnswer,
    )
    def get(self, request: Request, group_id: int) -> Response:
        viewer(request)
        group = LoopGroup.objects.filter(pk=group_id, kind=GroupKind.COMPARISON).first()
        if group is None:
            raise exceptions.NotFound("There is no such comparison.")
        return Response(_told(group))


def _told(group: LoopGroup) -> dict[str, object]:
    runs = list(group.runs.order_by("pk"))
    return {
        "id": group.pk,
        "name": group.name,
        "runs": [{"id": run.pk, "kind": run.kind, "state": run.state} for run in runs],
        "ended": all(run.has_ended for run in runs),
        "table": table_of([run for run in runs if run.kind == KIND]).to_json(),
    }
