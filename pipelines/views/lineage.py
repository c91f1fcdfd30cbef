"""Where files come from, and how much room they take: two pages and their REST doors."""

from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from pipelines.errors import ArtifactMissing, InvalidRunConfig
from pipelines.models import Artifact
from pipelines.store.usage import DiskUse, disk_use
from pipelines.tracing import Lineage, trace_artifact, trace_hash
from pipelines.views.access import for_viewers
from pipelines.views.api import Door, viewer
from pipelines.views.shapes_lineage import DISK_USE, LINEAGE

_HASHES = range(12, 65)
_KEEP = 60  # seconds: whoever presses reload does not make the disk be read again


def hash_of(text: str) -> str:
    """A sha256 that a person or a program typed; a path is refused here, whatever it leads to."""
    found = text.strip().lower()
    if len(found) not in _HASHES or not set(found) <= set("0123456789abcdef"):
        raise InvalidRunConfig(
            "sha256 must be 12 to 64 hex digits; `sha256sum FILE` prints that of a file"
        )
    return found


@require_GET
@for_viewers
def lineage_page(request: HttpRequest) -> HttpResponse:
    """Type a hash, see where it comes from."""
    asked = request.GET.get("sha256", "").strip()
    found: Lineage | None = None
    fault = ""
    if asked:
        try:
            found = trace_hash(hash_of(asked))
        except (ArtifactMissing, InvalidRunConfig) as error:
            fault = str(error)
    context = {"asked": asked, "found": found, "fault": fault}
    return render(request, "pipelines/lineage.html", context, status=404 if fault else 200)


@require_GET
@for_viewers
def disk_page(request: HttpRequest) -> HttpResponse:
    return render(request, "pipelines/disk.html", {"use": _use()})


def _use() -> DiskUse:
    found: DiskUse | None = cache.get("pipelines.disk_use")
    if found is None:
        found = disk_use()
        cache.set("pipelines.disk_use", found, _KEEP)
    return found


class LineageView(Door):
    @extend_schema(
        summary="Where a file comes from, by its sha256",
        description="The runs behind it with configs, code and inputs, oldest first; the votes that"
        " it stands on; `gaps` are sentences on what is not known. Twelve digits are enough."
        " Leads and ML engineers.",
        operation_id="lineage_read",
        parameters=[OpenApiParameter("sha256", str, required=True)],
        responses={200: LINEAGE},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        try:
            found = trace_hash(hash_of(request.query_params.get("sha256", "")))
        except ArtifactMissing as error:
            raise exceptions.NotFound(str(error)) from error
        return Response(found.to_json())


class ArtifactLineageView(Door):
    @extend_schema(
        summary="Where an artifact comes from", operation_id="artifact_lineage",
        responses={200: LINEAGE},
    )  # fmt: skip
    def get(self, request: Request, artifact_id: int) -> Response:
        viewer(request)
        artifact = Artifact.objects.filter(pk=artifact_id).first()
        if artifact is None:
            raise exceptions.NotFound("There is no such artifact.")
        return Response(trace_artifact(artifact).to_json())


class DiskView(Door):
    @extend_schema(
        summary="How much room runs, store and media take, in bytes", operation_id="disk_use",
        responses={200: DISK_USE},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        viewer(request)
        body: dict[str, Any] = _use().to_json()
        return Response(body)
