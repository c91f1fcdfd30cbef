"""The REST doors of suites: import, read, say how they are scored, evaluate."""

from typing import Any, Final

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import audit
from annotation.access.strict_json import StrictJSON
from annotation.permissions import is_lead, is_ml_engineer
from formats.outcome import OutputKind
from pipelines.errors import InvalidRunConfig, NotAllowed
from pipelines.models import Artifact, BaseModel, GroupKind, LoopGroup, Suite, SuitePrompt
from pipelines.suites import pages as suite_pages
from pipelines.suites.evaluating import start_suite_evaluation
from pipelines.suites.scoring import Judge, checked_way, judges_of, way_of
from pipelines.suites.shelf import SuiteReport, set_scoring
from pipelines.suites.uploads import import_incoming, import_list, import_upload
from pipelines.views.api import Door, body_of, engineer, object_of, source, text_of, viewer
from pipelines.views.shapes_suites import (
    ScoringBody,
    SuiteAnswer,
    SuiteEvaluationAnswer,
    SuiteEvaluationBody,
    SuiteImportBody,
    SuiteImported,
    SuiteList,
)

_MOST: Final = 1000
_LIST: Final = ("name", "title", "images", "prompts", "incoming", "repair")


class SuitesView(Door):
    parser_classes = [MultiPartParser, StrictJSON]

    @extend_schema(summary="All suites", operation_id="suites_list", responses=SuiteList)
    def get(self, request: Request) -> Response:
        viewer(request)
        return Response({"suites": [_line_json(each) for each in suite_pages.lines()]})

    @extend_schema(
        summary="Import a suite, whole or not at all",
        operation_id="suites_import",
        request={"multipart/form-data": SuiteImportBody, "application/json": SuiteImportBody},
        responses={status.HTTP_201_CREATED: SuiteImported},
    )
    def post(self, request: Request) -> Response:
        user = viewer(request)
        if not (is_lead(user) or is_ml_engineer(user)):
            raise NotAllowed("Only leads and ML engineers import suites.")
        report = _imported(request, user)
        audit.record(request, "suite.import", report.suite, prompts=report.prompts)
        return Response(_report_json(report), status=status.HTTP_201_CREATED)


def _imported(request: Request, user: User) -> SuiteReport:
    upload = request.FILES.get("file")
    if upload is not None:
        form = request.POST
        given = {name: str(form.get(name, "")) for name in ("name", "title", "images")}
        repair = str(form.get("repair", "")).lower() in ("true", "1", "on")
        return import_upload(
            upload, given["name"], user,
            title=given["title"], images=given["images"], repair=repair,
        )  # fmt: skip
    body = _known(body_of(request), _LIST)
    if text_of(body, "incoming"):
        return import_incoming(
            text_of(body, "incoming"), text_of(body, "name"), user,
            title=text_of(body, "title"), repair=body.get("repair") is True,
        )  # fmt: skip
    prompts = body.get("prompts")
    if not isinstance(prompts, list) or not all(isinstance(each, dict) for each in prompts):
        raise InvalidRunConfig(
            'give a file, "incoming": a name on the server, or "prompts": a list of {"prompt": …}'
        )
    return import_list(
        prompts, text_of(body, "name"), user,
        title=text_of(body, "title"), images=text_of(body, "images"),
    )  # fmt: skip


class SuiteView(Door):
    @extend_schema(
        summary="One suite with its prompts and the way to score them",
        operation_id="suites_read",
        parameters=[
            OpenApiParameter("offset", int, description="the first prompt; 0"),
            OpenApiParameter("limit", int, description=f"at most so many; {_MOST}"),
        ],
        responses=SuiteAnswer,
    )
    def get(self, request: Request, suite_id: int) -> Response:
        viewer(request)
        suite = _suite(suite_id)
        start, most = _number(request, "offset", 0), _number(request, "limit", _MOST)
        rows = suite.prompts.select_related("image").order_by("position")
        shown = rows[start : start + min(most, _MOST)]
        return Response(
            {
                **{name: getattr(suite, name) for name in ("name", "title", "source", "sha256")},
                "id": suite.pk,
                "count": rows.count(),
                "prompts": [_prompt_json(row) for row in shown],
                "scoring": way_of(suite).to_json(),
                "judges": [_judge_json(each) for each in judges_of(suite)],
            }
        )


class SuiteScoringView(Door):
    @extend_schema(
        summary="Say how clips on a suite are scored",
        operation_id="suites_set_scoring",
        request=ScoringBody,
        responses=ScoringBody,
    )
    def put(self, request: Request, suite_id: int) -> Response:
        engineer(request)
        suite = _suite(suite_id)
        body = body_of(request)
        judges = [_judge(each) for each in _rows(body.get("judges", []))]
        way = checked_way({key: body[key] for key in body if key != "judges"}, judges)
        set_scoring(suite, way, judges)
        audit.record(request, "suite.scoring", suite)
        found = [_judge_json(each) for each in judges_of(suite)]
        return Response({**way_of(suite).to_json(), "judges": found})


class SuiteEvaluationsView(Door):
    @extend_schema(
        summary="Evaluate generators or clips on a suite: all runs up to the report",
        operation_id="suites_evaluate",
        request=SuiteEvaluationBody,
        responses={status.HTTP_201_CREATED: SuiteEvaluationAnswer},
    )
    def post(self, request: Request, suite_id: int) -> Response:
        user = engineer(request)
        suite = _suite(suite_id)
        body = _known(body_of(request), ("config", "inputs", "nonce"))
        config = object_of(body, "config")
        if config.get("suite", suite.name) != suite.name:
            raise InvalidRunConfig(
                f"the address names the suite {suite.name!r}, the config another"
            )
        group = start_suite_evaluation(
            {**config, "suite": suite.name},
            {role: source(role, named) for role, named in object_of(body, "inputs").items()},
            user,
            nonce=text_of(body, "nonce") or None,
        )
        return Response(_evaluation_json(group), status=status.HTTP_201_CREATED)


class SuiteEvaluationView(Door):
    @extend_schema(
        summary="An evaluation of a suite as it stands",
        operation_id="suite_evaluations_read",
        responses=SuiteEvaluationAnswer,
    )
    def get(self, request: Request, group_id: int) -> Response:
        viewer(request)
        group = LoopGroup.objects.filter(pk=group_id, kind=GroupKind.EVALUATION).first()
        if group is None:
            raise exceptions.NotFound("There is no such evaluation.")
        return Response(_evaluation_json(group))


# Reading bodies.


def _suite(suite_id: int) -> Suite:
    suite = Suite.objects.filter(pk=suite_id).first()
    if suite is None:
        raise exceptions.NotFound("There is no such suite.")
    return suite


def _known(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    unknown = sorted(set(map(str, body)) - set(names))
    if unknown:
        raise InvalidRunConfig(
            f"there is no entry {unknown[0][:80]!r} here; there are {', '.join(names)}"
        )
    return body


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidRunConfig(f"{name} must be a whole number, got {text[:40]!r}")
    return int(text)


def _rows(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidRunConfig('judges must be a list of {"name", "reward_model", "backbone"}')
    return value


def _judge(row: dict[str, Any]) -> Judge:
    _known(row, ("name", "reward_model", "backbone"))
    name = text_of(row, "name")
    model = source(f"judge {name}", {"artifact": row.get("reward_model")})
    assert isinstance(model, Artifact)
    if row.get("backbone") is None:
        return Judge(name, model)
    backbone = source(f"backbone of {name}", {"base_model": row["backbone"]})
    assert isinstance(backbone, BaseModel)
    return Judge(name, model, backbone)


# Answers.


def _line_json(line: suite_pages.SuiteLine) -> dict[str, Any]:
    suite = line.suite
    return {
        "id": suite.pk, "name": suite.name, "title": suite.title, "prompts": line.prompts,
        "images": line.images, "judges": line.judges, "evaluations": line.evaluations,
    }  # fmt: skip


def _report_json(report: SuiteReport) -> dict[str, Any]:
    return {
        "id": report.suite.pk, "name": report.suite.name, "prompts": report.prompts,
        "is_new": report.is_new, "warnings": report.warnings, "duplicates": report.duplicates,
    }  # fmt: skip


def _prompt_json(row: SuitePrompt) -> dict[str, Any]:
    plain = ("position", "text", "short_text", "translations", "category", "split")
    image = row.image.sha256 if row.image else None
    return {**{name: getattr(row, name) for name in plain}, "image": image}


def _judge_json(judge: Judge) -> dict[str, Any]:
    backbone = judge.backbone.pk if judge.backbone else None
    return {"name": judge.name, "reward_model": judge.reward_model.pk, "backbone": backbone}


def _evaluation_json(group: LoopGroup) -> dict[str, Any]:
    runs = list(group.runs.order_by("pk"))
    left = list(Artifact.objects.filter(run__group=group).order_by("pk"))
    report = next((each.pk for each in left if each.kind == OutputKind.REPORT), None)
    return {
        "id": group.pk,
        "name": group.name,
        "suite": group.config.get("suite", ""),
        "config": group.config,
        "runs": [
            {"id": run.pk, "kind": run.kind, "name": run.name, "state": run.state} for run in runs
        ],
        "ended": all(run.has_ended for run in runs),
        "results": {
            each.meta.get("candidate", ""): each.pk
            for each in left
            if each.kind == OutputKind.EVALUATION
        },
        "report": report,
    }
