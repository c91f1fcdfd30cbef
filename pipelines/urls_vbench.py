from django.urls import path

from pipelines.views import vbench, vbench_api

urlpatterns = [
    path("vbench/", vbench.vbench_list, name="vbench"),
    path("vbench/<int:artifact_id>/", vbench.vbench_result, name="vbench-result"),
    path("vbench/<int:artifact_id>/vbench.json", vbench.vbench_json, name="vbench-json"),
    path("api/vbench", vbench_api.VBenchResultsView.as_view(), name="api-vbench"),
    path(
        "api/vbench/<int:artifact_id>",
        vbench_api.VBenchResultView.as_view(),
        name="api-vbench-result",
    ),
]
