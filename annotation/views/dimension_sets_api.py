"""The REST doors of dimension sets."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import dimension_sets
from annotation.errors import NotFound
from annotation.models import DimensionSet
from annotation.views import schemas
from annotation.views.door import Door
from annotation.views.lead_door import lead, read_body, read_query, repeatable, viewer


def set_json(found: DimensionSet) -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title,
        "dimensions": [
            {name: getattr(each, name) for name in dimension_sets.KEYS}
            for each in found.dimensions.all()
        ],
        "fixed": dimension_sets.is_fixed(found),
    }


def _named(name: str) -> DimensionSet:
    found = dimension_sets.all_sets().filter(name=name).first()
    if found is None:
        raise NotFound("There is no such dimension set.")
    return found


class DimensionSetsView(Door):
    @extend_schema(
        summary="All dimension sets",
        operation_id="dimension_sets_list",
        responses=schemas.DimensionSetList,
    )
    def get(self, request: Request) -> Response:
        viewer(request)
        read_query(request)
        return Response({"dimension_sets": [set_json(each) for each in dimension_sets.all_sets()]})

    @extend_schema(
        summary="Make a dimension set",
        operation_id="dimension_sets_create",
        request=schemas.DimensionSetBody,
        responses={201: schemas.DimensionSetAnswer},
    )
    @repeatable()
    def post(self, request: Request) -> Response:
        lead(request)
        body = read_body(schemas.DimensionSetBody, request)
        made = dimension_sets.make_dimension_set(**body)
        return Response(set_json(_named(made.name)), status=status.HTTP_201_CREATED)


class DimensionSetView(Door):
    @extend_schema(
        summary="One dimension set",
        operation_id="dimension_sets_retrieve",
        responses=schemas.DimensionSetAnswer,
    )
    def get(self, request: Request, name: str) -> Response:
        viewer(request)
        read_query(request)
        return Response(set_json(_named(name)))

    @extend_schema(
        summary="Write a set anew that no campaign uses",
        operation_id="dimension_sets_replace",
        request=schemas.DimensionSetChanges,
        responses=schemas.DimensionSetAnswer,
    )
    def put(self, request: Request, name: str) -> Response:
        lead(request)
        found = _named(name)
        body = read_body(schemas.DimensionSetChanges, request)
        dimension_sets.replace_dimension_set(found.name, **body)
        return Response(set_json(_named(name)))

    @extend_schema(
        summary="Remove a set that no campaign uses",
        operation_id="dimension_sets_remove",
        responses={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        lead(request)
        dimension_sets.delete_dimension_set(_named(name))
        return Response(status=status.HTTP_204_NO_CONTENT)
