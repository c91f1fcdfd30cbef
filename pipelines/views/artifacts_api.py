"""The REST doors to what runs leave: which there are, their files, and the bytes by ranges."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.media.ranged import Content, ranged_response
from annotation.permissions import is_ml_engineer
from annotation.views.lead_door import page_of, read_number, read_query, read_word
from formats.outcome import OutputKind
from pipelines.artifact_files import file_of, files_of, refuse_weights
from pipelines.models import Artifact
from pipelines.views.api import Door, viewer
from pipelines.views.shapes_runs import ARTIFACTS, WHOLE_ARTIFACT

_KINDS: Final = [each.value for each in OutputKind]
_CHUNK: Final = 1 << 20


def _artifact(artifact_id: int) -> Artifact:
    artifact = Artifact.objects.filter(pk=artifact_id).first()
    if artifact is None:
        raise exceptions.NotFound("There is no such artifact.")
    return artifact


def _json(artifact: Artifact) -> dict[str, Any]:
    plain = ("kind", "name", "sha256", "bytes", "meta")
    return {
        "id": artifact.pk,
        "run": artifact.run_id,
        **{name: getattr(artifact, name) for name in plain},
        "created_at": artifact.created_at.isoformat(),
    }


class ArtifactsView(Door):
    @extend_schema(
        summary="What runs have left",
        operation_id="artifacts_list",
        parameters=[
            OpenApiParameter("kind", enum=_KINDS),
            OpenApiParameter("run", int, description="Of this run."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses={200: ARTIFACTS},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        query = read_query(request, ("kind", "run"))
        wanted = {"kind": read_word(query, "kind", _KINDS), "run": read_number(query, "run")}
        given = {name: value for name, value in wanted.items() if value is not None}
        return page_of(request, Artifact.objects.filter(**given), _json)


class ArtifactView(Door):
    @extend_schema(
        summary="One artifact with its files",
        operation_id="artifacts_read",
        responses={200: WHOLE_ARTIFACT},
    )
    def get(self, request: Request, artifact_id: int) -> Response:
        viewer(request)
        artifact = _artifact(artifact_id)
        return Response({**_json(artifact), "files": [asdict(each) for each in files_of(artifact)]})


class ArtifactFileView(Door):
    @extend_schema(
        summary="The bytes of one file, or a range of them",
        description="The ETag is its sha256 in quotes, so a download that was cut off goes on with"
        " Range and If-Range. Weights are for ML engineers.",
        operation_id="artifacts_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, artifact_id: int, name: str) -> HttpResponseBase:
        user = viewer(request)
        artifact = _artifact(artifact_id)
        refuse_weights(artifact, engineer=is_ml_engineer(user))
        found = file_of(artifact, name)
        if found is None:
            raise exceptions.NotFound("This artifact has no such file.")
        file, place = found
        content = Content(
            file.bytes, _reader(place), f'"{file.sha256}"', "application/octet-stream"
        )
        response = ranged_response(request._request, content)
        shown = quote(Path(name).name)
        response["Content-Disposition"] = f"attachment; filename*=UTF-8''{shown}"
        return response


def _reader(path: Path) -> Any:
    def read(start: int, length: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(start)
            left = length
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk

    return read
