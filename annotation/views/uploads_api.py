"""The REST doors through which programs send files for imports, in parts that may be sent again."""

import uuid
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.errors import Unreadable
from annotation.media import uploads
from annotation.views import schemas
from annotation.views.door import Door, person
from annotation.views.lead_door import read_body

_HOW = (
    "The same name, length and sha256 give the same upload again, as far as it is: whoever was cut"
    " off goes on at `received`. When the last byte is here and the hash is right, the file lies at"
    " `path` below MEDIA_ROOT/incoming, which is what imports and runs take as a folder or archive."
)


def _json(upload: uploads.Upload) -> dict[str, Any]:
    plain = ("id", "name", "bytes", "sha256", "received", "done", "path")
    return {**{name: getattr(upload, name) for name in plain}, "part_bytes": uploads.PART}


class UploadsView(Door):
    @extend_schema(
        summary="My unfinished uploads",
        operation_id="uploads_list",
        responses=schemas.UploadList,
    )
    def get(self, request: Request) -> Response:
        found = uploads.unfinished_of(person(request))
        return Response({"uploads": [_json(each) for each in found]})

    @extend_schema(
        summary="Begin to send a file, or go on",
        description=_HOW,
        operation_id="uploads_begin",
        request=schemas.UploadBody,
        responses={201: schemas.UploadAnswer},
    )
    def post(self, request: Request) -> Response:
        body = read_body(schemas.UploadBody, request)
        upload = uploads.begin(person(request), body["name"], body["bytes"], body["sha256"])
        return Response(_json(upload), status=status.HTTP_201_CREATED)


class UploadView(Door):
    @extend_schema(
        summary="How far an upload is",
        operation_id="uploads_read",
        responses=schemas.UploadAnswer,
    )
    def get(self, request: Request, upload_id: uuid.UUID) -> Response:
        return Response(_json(uploads.find(person(request), upload_id)))

    @extend_schema(
        summary="Drop an unfinished upload", operation_id="uploads_drop", responses={204: None}
    )
    def delete(self, request: Request, upload_id: uuid.UUID) -> Response:
        uploads.drop(person(request), upload_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UploadPartView(Door):
    @extend_schema(
        summary="Send the part that begins at this byte",
        description=f"The bytes themselves, at most {uploads.PART}, with their Content-Length.",
        operation_id="uploads_part",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: schemas.UploadAnswer, 409: schemas.UploadFault},
    )
    def put(self, request: Request, upload_id: uuid.UUID, offset: int) -> Response:
        length = request.META.get("CONTENT_LENGTH") or ""
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise Unreadable("A part needs its length in the header Content-Length.")
        user, raw = person(request), request._request
        # Never `request.data`: that would read the part into memory first.
        return Response(_json(uploads.add_part(user, upload_id, offset, int(length), raw)))
