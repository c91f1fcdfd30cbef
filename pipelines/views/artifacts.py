"""The page of one artifact: what it is, where it comes from, who uses it."""

import json
import tempfile
from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation.permissions import is_lead
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import registry, run_pages
from pipelines.adapters import cards as adapter_cards
from pipelines.adapters import page as adapter_page
from pipelines.adapters.zips import zip_of
from pipelines.comparisons import guidance_page
from pipelines.exports import files as export_files
from pipelines.models import Artifact
from pipelines.retests import page as retest_page
from pipelines.rewards import context as reward_context
from pipelines.tracing import trace_artifact
from pipelines.views.access import for_viewers, person


def whole_json(artifact_id: int, kind: OutputKind, name: str) -> HttpResponse:
    """The one file of an artifact of this kind, to take away as NAME-<run>.json."""
    artifact = get_object_or_404(Artifact, pk=artifact_id, kind=kind)
    file = registry.path_of(artifact)
    if not file.is_file():
        raise Http404("The file of this artifact is not there.")
    response = HttpResponse(file.read_bytes(), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{name}-{artifact.run_id}.json"'
    return response


@require_GET
@for_viewers
def ingest_json(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """What became of each file of a media import, whole."""
    return whole_json(artifact_id, OutputKind.INGEST, "ingest")


@require_GET
@for_viewers
def grid_json(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The table of a guidance grid, whole."""
    return whole_json(artifact_id, OutputKind.GUIDANCE_GRID, "guidance-grid")


@require_GET
@for_viewers
def card_json(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The model card of a reward model or an adapter for tools."""
    return _card(artifact_id, "card.json", "application/json")


@require_GET
@for_viewers
def card_markdown(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The same for people."""
    return _card(artifact_id, "README.md", "text/markdown; charset=utf-8")


def _card(artifact_id: int, name: str, content_type: str) -> HttpResponse:
    kinds = (OutputKind.REWARD_MODEL, OutputKind.ADAPTER)
    artifact = get_object_or_404(Artifact, pk=artifact_id, kind__in=kinds)
    if artifact.kind == OutputKind.ADAPTER:
        return _adapter_card(artifact, name, content_type)
    file = registry.path_of(artifact) / name
    if not file.is_file():
        raise Http404("This reward model has no card.")
    response = HttpResponse(file.read_bytes(), content_type=content_type)
    shown = f"reward-model-{artifact.run_id}{file.suffix}"
    response["Content-Disposition"] = f'attachment; filename="{shown}"'
    return response


def _adapter_card(artifact: Artifact, name: str, content_type: str) -> HttpResponse:
    """The trainer's card with what judges found and the lineage behind it, as of now."""
    if not adapter_cards.has_card(artifact):
        raise Http404("This adapter has no card.")
    try:
        if name == "card.json":
            content = json.dumps(adapter_cards.card_of(artifact), indent=2, default=str)
        else:
            content = adapter_cards.markdown_of(artifact)
    except FormatError as error:
        raise Http404(str(error)) from error
    response = HttpResponse(content, content_type=content_type)
    shown = f"adapter-{artifact.run_id}{Path(name).suffix}"
    response["Content-Disposition"] = f'attachment; filename="{shown}"'
    return response


@require_GET
@for_viewers
def adapter_zip(_request: HttpRequest, artifact_id: int) -> HttpResponseBase:
    """The adapter's folder with its whole card, to load elsewhere."""
    artifact = get_object_or_404(Artifact, pk=artifact_id, kind=OutputKind.ADAPTER)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        zip_of(artifact, file)
    except FormatError as error:
        file.close()
        raise Http404(str(error)) from error
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"adapter-{artifact.run_id}.zip")


@require_GET
@for_viewers
def artifact_page(request: HttpRequest, artifact_id: int) -> HttpResponse:
    artifact = get_object_or_404(Artifact.objects.select_related("run"), pk=artifact_id)
    is_clips = artifact.kind == OutputKind.GENERATIONS
    of_a_model = artifact.kind == OutputKind.SCORES and "reward_model" in artifact.meta
    context = {
        "artifact": artifact,
        "may_ask": of_a_model and is_lead(person(request)),
        "figures": run_pages.figures(artifact.meta),
        "meta": run_pages.pretty(artifact.meta),
        "used_by": artifact.used_by.select_related("run").order_by("-run"),
        "lineage": (traced := trace_artifact(artifact)).steps,
        "traced": traced,
        "files": artifact.files.select_related("blob").order_by("name"),
        "card_urls": reward_context.card_urls(artifact),
        "adapter": adapter_page.page_of(artifact),
        "grid": guidance_page.page_of([artifact], person(request)),
        "exported": export_files.shown(artifact),
        "zips": export_files.fits_a_zip(artifact),
        "human": retest_page.shown(artifact, person(request)),
        "clips": run_pages.clips_of(artifact, person(request), limit=24) if is_clips else [],
    }
    return render(request, "pipelines/artifact.html", context)
