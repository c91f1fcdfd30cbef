"""What is known of a run before it starts, for the form in the admin and for programs."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from pipelines import forecasts, kinds
from pipelines.errors import PipelineError
from pipelines.forms import StartRunForm
from pipelines.views import api
from pipelines.views.access import for_viewers
from pipelines.worker_labels import checked

_OBJECT = OpenApiTypes.OBJECT


@require_POST
@for_viewers
def forecast(request: HttpRequest) -> JsonResponse:
    """The form that starts a run, as it is filled in so far; nothing is started."""
    kind = request.POST.get("kind", "")
    if kind not in kinds.names():
        return JsonResponse({"error": f"There is no run kind {kind!r}."}, status=422)
    form = StartRunForm(kinds.get(kind), request.POST)
    try:
        return JsonResponse({"said": forecasts.to_json(forecasts.of_form(form))})
    except PipelineError as error:
        return JsonResponse({"error": str(error)}, status=422)


class SaidOfARun(serializers.Serializer):
    about = serializers.CharField(help_text="worker, place, memory or time")
    verdict = serializers.CharField()
    text = serializers.CharField()


class ForecastAnswer(serializers.Serializer):
    said = SaidOfARun(many=True)


class ForecastView(api.Door):
    @extend_schema(
        summary="What is known of a run before it starts",
        description=(
            "The body is that of a start. Answers `{said: [{about, verdict, text}]}` about the "
            "worker, the place in the queue, the memory and the time; nothing is started."
        ),
        request=_OBJECT,
        responses=ForecastAnswer,
    )
    def post(self, request: Request) -> Response:
        api.viewer(request)
        body = api.body_of(request)
        spec = kinds.get(api.text_of(body, "kind"))
        named = api.object_of(body, "inputs").items()
        said = forecasts.forecast(
            spec,
            spec.check(api.config_of(body)),
            {role: api.source(role, value) for role, value in named},
            needs=checked(api.object_of(body, "needs")),
            given={role: len(records) for role, records in api.prompts_of(body).items()},
        )
        return Response({"said": forecasts.to_json(said)})
