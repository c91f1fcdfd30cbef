"""The REST doors of reports: which there are, one of them whole, any results side by side."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.views.lead_door import page_of, read_query
from annotation.views.shapes import MOMENT, NUMBER, TEXT, TRUTH, WHOLE, by_key, maybe, record, rows
from formats.outcome import OutputKind
from pipelines.models import Artifact
from pipelines.reporting import read_report
from pipelines.reports.contenders import MOST, WORDS, Field, NothingToCompare, fields_of
from pipelines.reports.recommending import Word
from pipelines.views.api import Door, viewer

_TOLD = record(
    id=WHOLE, run=WHOLE, group=maybe(WHOLE), name=TEXT, sha256=TEXT, created_at=MOMENT,
    recommendation=TEXT, verdicts=by_key({"type": "string", "enum": list(Word)}),
)  # fmt: skip
_REPORTS = record(next=maybe(TEXT), previous=maybe(TEXT), results=rows(_TOLD))
_ADDED = (
    "base",
    "rule",
    "because",
    "more",
    "unit",
    "votes",
    "diversity",
    "said",
)  # since the first ones
_VERDICT = record(
    _ADDED, candidate=TEXT, base=TEXT, verdict=TEXT, rule=TEXT, because=TEXT, judge=TEXT,
    was_training_reward=TRUTH, overall=by_key({}), more=maybe(WHOLE), unit=TEXT,
    votes=maybe(WHOLE), lost=rows(TEXT), motion=maybe(by_key({})), diversity=maybe(by_key({})),
    said=rows(TEXT),
)  # fmt: skip
_THINGS = rows(by_key({}))
_REPORT = record(
    title=TEXT, group=maybe(WHOLE), recommendation=TEXT, rules=rows(TEXT),
    candidates=rows(_VERDICT), asked=by_key({}), dimensions=rows(TEXT), snapshots=_THINGS,
    reward_models=_THINGS, pairs=_THINGS, alignments=_THINGS, evaluations=_THINGS,
    human_tests=_THINGS, benchmarks=_THINGS, failures=_THINGS, lineage=_THINGS,
)  # fmt: skip
_RATE = record(rate=NUMBER, low=NUMBER, high=NUMBER, counts=rows(WHOLE))
_CHANGE = record(
    base=NUMBER, candidate=NUMBER, change=NUMBER, low=maybe(NUMBER), high=maybe(NUMBER),
    prompts=WHOLE, clips=WHOLE,
)  # fmt: skip
_CONTENDER = record(
    name=TEXT, run=WHOLE, base=TEXT, win_rates=by_key(by_key(_RATE)), standing=by_key(TEXT),
    measures=by_key(_CHANGE), totals=by_key(NUMBER),
)  # fmt: skip
_FIELD = record(base=TEXT, base_name=TEXT, judges=by_key(rows(TEXT)), contenders=rows(_CONTENDER))
_SIDE_BY_SIDE = record(schema=TEXT, tables=rows(_FIELD))


def _json(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.pk,
        "run": artifact.run_id,
        "group": artifact.run.group_id,
        "name": artifact.run.name,
        "sha256": artifact.sha256,
        "created_at": artifact.created_at.isoformat(),
        "recommendation": artifact.meta.get("recommendation", ""),
        "verdicts": artifact.meta.get("verdicts", {}),  # reports of before do not say
    }


class ReportsView(Door):
    @extend_schema(
        summary="Reports in the order in which they were written, with what each recommends",
        operation_id="reports_list",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses={200: _REPORTS},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        read_query(request)
        found = Artifact.objects.filter(kind=OutputKind.REPORT).select_related("run")
        return page_of(request, found, _json)


class ReportView(Door):
    @extend_schema(
        summary="One report, whole",
        description="As it was written: docs/schemas/report-1.json describes it.",
        operation_id="reports_read",
        responses={200: _REPORT},
    )
    def get(self, request: Request, artifact_id: int) -> Response:
        viewer(request)
        artifact = Artifact.objects.filter(pk=artifact_id, kind=OutputKind.REPORT).first()
        if artifact is None:
            raise exceptions.NotFound("There is no such report.")
        return Response(read_report(artifact))


class ContendersView(Door):
    @extend_schema(
        summary="Any results side by side: evaluations, re-tests, adapters, runs, reports",
        description=f"Ids, each entry repeated as often as wanted, up to {MOST} results. Those "
        "against the same clips of one base stand in one table.",
        operation_id="reports_side_by_side",
        parameters=[OpenApiParameter(word, int, many=True) for word in WORDS],
        responses={200: _SIDE_BY_SIDE},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        tables = [each.to_json() for each in contenders_of(request)]
        return Response({"schema": "contenders/1", "tables": tables})


def contenders_of(request: Request) -> list[Field]:
    named: dict[str, list[int]] = {}
    for word in WORDS:
        for each in request.query_params.getlist(word):
            if not (each.isascii() and each.isdecimal() and len(each) < 19):
                raise NothingToCompare(f"{word} must be an id, got {each[:40]!r}")
            named.setdefault(word, []).append(int(each))
    return fields_of(named)
