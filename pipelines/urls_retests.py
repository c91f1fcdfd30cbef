"""Human re-tests: pages and REST doors."""

from django.urls import URLPattern, path

from pipelines.views import retests, retests_api

urlpatterns: list[URLPattern] = [
    path("retests/", retests.retest_list, name="retests"),
    path("retests/start", retests.start, name="retest-start"),
    path("retests/<int:group_id>/", retests.retest, name="retest"),
    path("retests/<int:group_id>/state", retests.retest_state, name="retest-state"),
    path("retests/<int:group_id>/count", retests.count_now, name="retest-count"),
    path("artifacts/<int:artifact_id>/human_test.json", retests.human_json, name="human-json"),
    path("api/retests", retests_api.RetestsView.as_view(), name="api-retests"),
    path("api/retests/<int:group_id>", retests_api.RetestView.as_view(), name="api-retest"),
    path(
        "api/retests/<int:group_id>/count",
        retests_api.CountNowView.as_view(),
        name="api-retest-count",
    ),
]
