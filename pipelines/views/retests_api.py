"""The REST doors of human re-tests: start one, look, count now."""

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from pipelines.models import LoopGroup
from pipelines.retests import page as retest_page
from pipelines.retests.starting import start_retest
from pipelines.views.api import Door, body_of, object_of, source, text_of, viewer
from pipelines.views.shapes_runs import START_CHAIN

_LATEST = 50


class RunOfRetest(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    words = serializers.CharField(help_text="Why it stands where it stands.")


class RetestAnswer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    runs = RunOfRetest(many=True)
    ended = serializers.BooleanField(help_text="Whether all its runs have.")
    campaign = serializers.IntegerField(
        allow_null=True, help_text="Whose votes are waited for; null before it is open and after."
    )
    votes_missing = serializers.IntegerField(allow_null=True)
    votes_wanted = serializers.IntegerField(allow_null=True)
    result = serializers.DictField(
        allow_null=True, help_text="The content of `human_test.json`, schema `human_test/1`."
    )
    artifact = serializers.IntegerField(allow_null=True, help_text="Of the result.")
    report = serializers.IntegerField(allow_null=True, help_text="Artifact of the report.")


class RetestRow(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class RetestList(serializers.Serializer):
    retests = RetestRow(many=True)


def _group(group_id: int) -> LoopGroup:
    found = retest_page.retests().filter(pk=group_id).first()
    if found is None:
        raise exceptions.NotFound("There is no such re-test.")
    return found


class RetestsView(Door):
    @extend_schema(summary="The latest re-tests", operation_id="retests_list", responses=RetestList)
    def get(self, request: Request) -> Response:
        viewer(request)
        rows = retest_page.retests()[:_LATEST]
        return Response(
            {
                "retests": [
                    {"id": each.pk, "name": each.name, "created_at": each.created_at.isoformat()}
                    for each in rows
                ]
            }
        )

    @extend_schema(
        summary="Start a human re-test: a blind campaign, its count, a report",
        description=(
            '`{"config": {…}, "inputs": {"evaluation": {"artifact": id}}, "nonce": name}`; or the '
            "inputs `candidate` and `base`: two adapters or two sets of clips; an adapter alone is "
            "compared with its base. Entries of the config: docs/retest.md."
        ),
        operation_id="retests_start",
        request=START_CHAIN,
        responses={status.HTTP_201_CREATED: RetestAnswer},
    )
    def post(self, request: Request) -> Response:
        user = viewer(request)
        body = body_of(request)
        group = start_retest(
            object_of(body, "config"),
            {role: source(role, named) for role, named in object_of(body, "inputs").items()},
            user,
            nonce=text_of(body, "nonce") or None,
            site=request.build_absolute_uri("/").rstrip("/"),
        )
        return Response(retest_page.as_json(group, user), status=status.HTTP_201_CREATED)


class RetestView(Door):
    @extend_schema(
        summary="One re-test: what it waits for, and its result",
        operation_id="retests_read",
        responses=RetestAnswer,
    )
    def get(self, request: Request, group_id: int) -> Response:
        user = viewer(request)
        return Response(retest_page.as_json(_group(group_id), user))


class CountNowView(Door):
    @extend_schema(
        summary="Count the votes that are there",
        operation_id="retests_count",
        request=None,
        responses=RetestAnswer,
    )
    def post(self, request: Request, group_id: int) -> Response:
        user = viewer(request)
        group = _group(group_id)
        retest_page.count_now(group, user)
        return Response(retest_page.as_json(group, user))
