"""The REST doors that steer a run or a whole chain."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import audit
from pipelines import steering
from pipelines.models import LoopGroup
from pipelines.run_cards import cards
from pipelines.views.api import Door, _card, body_of, engineer, run_of
from pipelines.views.shapes_runs import PRIORITY, RUN, STEERED


class PauseView(Door):
    @extend_schema(
        summary="Pause a run",
        description="What runs saves its state and stops; `resume` goes on from there.",
        request=None,
        responses={200: RUN},
    )
    def post(self, request: Request, run_id: int) -> Response:
        user, run = engineer(request), run_of(run_id)
        with transaction.atomic():
            paused = steering.pause_run(run, user)
            audit.record(request, "run.pause", run)
        return Response(_card(paused, user))


class ResumeView(Door):
    @extend_schema(summary="Go on with a paused run", request=None, responses={200: RUN})
    def post(self, request: Request, run_id: int) -> Response:
        user, run = engineer(request), run_of(run_id)
        with transaction.atomic():
            resumed = steering.resume_run(run)
            audit.record(request, "run.resume", run)
        return Response(_card(resumed, user))


class PriorityView(Door):
    @extend_schema(
        summary="Move a waiting run in the queue",
        description='`{"priority": 10}`: a whole number from -100 to 100, the higher the earlier.',
        request=PRIORITY,
        responses={200: RUN},
    )
    def post(self, request: Request, run_id: int) -> Response:
        user, run = engineer(request), run_of(run_id)
        value = steering.priority_of(body_of(request).get("priority"))
        with transaction.atomic():
            moved = steering.put_run_at(run, value)
            audit.record(request, "run.priority", run, priority=value)
        return Response(_card(moved, user))


class GroupView(Door):
    @extend_schema(
        summary="Steer a whole chain",
        description=(
            "`cancel`, `pause`, `resume`, `retry` or `priority` for every run of a loop or a "
            "comparison that can be, and gives the runs that it changed. "
            '`priority` takes `{"priority": 10}`.'
        ),
        request=PRIORITY,
        responses={200: STEERED},
    )
    def post(self, request: Request, group_id: int, act: str) -> Response:
        user = engineer(request)
        group = LoopGroup.objects.filter(pk=group_id).first()
        if group is None or act not in steering.GROUP_ACTS:
            raise exceptions.NotFound("There is no such chain, or no such act.")
        priority: Any = body_of(request).get("priority") if act == "priority" else None
        with transaction.atomic():
            runs = steering.steer_group(group, act, user, priority)
            audit.record(request, f"group.{act}", group, runs=[run.pk for run in runs])
        return Response({"runs": [card.to_json() for card in cards(runs, user)]})
