"""The REST doors of exports: what each format keeps of a snapshot, and the start of a run."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.views.lead_door import read_number, read_query
from pipelines.exports import page as export_page
from pipelines.exports.losses import Choice
from pipelines.exports.page import ExportRow
from pipelines.views.api import Door, body_of, text_of, viewer
from pipelines.views.shapes_exports import EXPORT, EXPORTS, START


def _export(row: ExportRow) -> dict[str, Any]:
    run = row.run
    return {
        "run": run.pk,
        "state": run.state,
        "format": row.format,
        "media": run.config.get("media", "paths"),
        "snapshot": row.snapshot,
        "artifact": row.artifact.pk if row.artifact else None,
        "rows": run.summary.get("rows"),
        "left_out": run.summary.get("left_out", {}),
        "created_at": run.created_at.isoformat(),
    }


def _format(choice: Choice) -> dict[str, Any]:
    chosen = choice.format
    return {
        "name": chosen.name,
        "title": chosen.title,
        "about": chosen.about,
        "folder": chosen.is_folder,
        "holds": sorted(chosen.holds),
        "beside": list(choice.beside),
        "lost": list(choice.lost),
        "remarks": list(chosen.remarks),
    }


class ExportsView(Door):
    @extend_schema(
        summary="The latest exports; with a snapshot, what each format would lose of it",
        operation_id="exports_list",
        parameters=[OpenApiParameter("snapshot", int, description="Artifact of a snapshot.")],
        responses={200: EXPORTS},
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        asked = read_number(read_query(request, ("snapshot",)), "snapshot")
        snapshot = None if asked is None else export_page.snapshot_of(asked)
        return Response(
            {
                "exports": [_export(row) for row in export_page.latest()],
                "formats": [_format(each) for each in export_page.choices_of(snapshot)],
            }
        )

    @extend_schema(
        summary="Export a snapshot",
        description="`media`: `paths` (below the media root, the default), `links` (behind"
        " `prefix`), `files` (the export holds the clips). The run leaves an artifact whose files"
        " come from `artifacts_file`. The same `nonce` twice gives the same run.",
        operation_id="exports_start",
        request=START,
        responses={status.HTTP_201_CREATED: EXPORT},
    )
    def post(self, request: Request) -> Response:
        user = viewer(request)
        body = body_of(request)
        snapshot = export_page.snapshot_of(body.get("snapshot"))
        words = ("format", "media", "prefix")
        config: dict[str, Any] = {name: body[name] for name in words if name in body}
        run = export_page.start(snapshot, config, user, nonce=text_of(body, "nonce"))
        row = ExportRow(run, snapshot.pk, run.artifacts.first())
        return Response(_export(row), status=status.HTTP_201_CREATED)
