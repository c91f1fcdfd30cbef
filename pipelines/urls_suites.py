"""The addresses of suites and of their evaluations."""

from django.urls import path

from pipelines.views import suites, suites_api

urlpatterns = [
    path("suites/", suites.suite_list, name="suites"),
    path("suites/<int:suite_id>/", suites.suite_page, name="suite"),
    path("suites/<int:suite_id>/scoring", suites.suite_scoring, name="suite-scoring"),
    path("suites/<int:suite_id>/evaluate", suites.suite_evaluate, name="suite-evaluate"),
    path("suites/evaluations/<int:group_id>/", suites.suite_evaluation, name="suite-evaluation"),
    path("api/suites", suites_api.SuitesView.as_view(), name="api-suites"),
    path("api/suites/<int:suite_id>", suites_api.SuiteView.as_view(), name="api-suite"),
    path(
        "api/suites/<int:suite_id>/scoring",
        suites_api.SuiteScoringView.as_view(),
        name="api-suite-scoring",
    ),
    path(
        "api/suites/<int:suite_id>/evaluations",
        suites_api.SuiteEvaluationsView.as_view(),
        name="api-suite-evaluations",
    ),
    path(
        "api/suite-evaluations/<int:group_id>",
        suites_api.SuiteEvaluationView.as_view(),
        name="api-suite-evaluation",
    ),
]
