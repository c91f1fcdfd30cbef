"""The REST doors of VBench: results, one result with its totals, and files of the official tool."""

import json
from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.errors import AnnotationError
from formats.outcome import OutputKind
from formats.vbench_official import UNIT
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.vbench import importing as vbench
from pipelines.vbench.doors import File, start_import
from pipelines.views.api import Door, body_of, engineer, object_of, source, text_of, viewer
from pipelines.views.shapes_vbench import IMPORT, QUEUED, RESULT, RESULTS

_LATEST: Final = 50
_ENTRIES: Final = (
    "results", "files", "protocol", "scale", "generator", "inputs", "name", "nonce",
)  # fmt: skip


class VBenchResultsView(Door):
    @extend_schema(
        summary="The latest VBench results",
        operation_id="vbench_list",
        responses={status.HTTP_200_OK: RESULTS},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        rows = Artifact.objects.filter(kind=OutputKind.VBENCH).order_by("-pk")[:_LATEST]
        found = [
            {"id": each.pk, "run": each.run_id, "name": str(each), "meta": each.meta}
            for each in rows
        ]
        return Response({"results": found})

    @extend_schema(
        summary="Import result files of the official VBench tool",
        description="`results` are the contents of `*_eval_results.json` files by their names;"
        " `files` are names below the folder for imports. Inputs may be `generations`, `adapter`,"
        " `generator`, and `result:NAME` for results that are joined. Wrong values, other scales,"
        " unknown dimensions and contradictions are errors that name the file.",
        operation_id="vbench_import",
        request=IMPORT,
        responses={status.HTTP_201_CREATED: QUEUED},
    )
    def post(self, request: Request) -> Response:
        user = engineer(request)
        body = body_of(request)
        unknown = sorted(set(map(str, body)) - set(_ENTRIES))
        if unknown:
            raise InvalidRunConfig(
                f"unknown entry {unknown[0][:80]!r}; there are: {', '.join(_ENTRIES)}"
            )
        run = start_import(
            [*_inline(object_of(body, "results")), *_files(body)],
            user=user,
            protocol=text_of(body, "protocol") or "t2v",
            scale=text_of(body, "scale") or UNIT,
            generator=text_of(body, "generator"),
            inputs={role: source(role, each) for role, each in object_of(body, "inputs").items()},
            name=text_of(body, "name"),
            nonce=text_of(body, "nonce") or None,
        )
        return Response({"run": run.pk, "state": run.state}, status=status.HTTP_201_CREATED)


class VBenchResultView(Door):
    @extend_schema(
        summary="One VBench result: raw values, totals or what is missing, proxies, clips",
        operation_id="vbench_read",
        responses={status.HTTP_200_OK: RESULT},
    )
    def get(self, request: Request, artifact_id: int) -> Response:
        viewer(request)
        artifact = Artifact.objects.filter(pk=artifact_id, kind=OutputKind.VBENCH).first()
        if artifact is None:
            raise exceptions.NotFound("There is no such VBench result.")
        result = vbench.read_result(path_of(artifact))
        return Response({"id": artifact.pk, "run": artifact.run_id, **result.to_json()})


def _inline(results: Mapping[str, Any]) -> list[File]:
    # As JSON again: one reader looks at all files, whichever door they came by.
    return [(name, json.dumps(content).encode()) for name, content in results.items()]


def _files(body: Mapping[str, Any]) -> list[File]:
    names = body.get("files", [])
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise InvalidRunConfig("files must be a list of names below the folder for imports")
    try:
        return vbench.contents(names)
    except AnnotationError as error:
        raise InvalidRunConfig(error.message) from None
