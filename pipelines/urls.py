from django.urls import URLPattern, URLResolver, include, path

from pipelines.views import (
    api,
    artifacts,
    comparisons,
    comparisons_api,
    doubts,
    doubts_api,
    loops,
    reports,
    runs,
)

app_name = "pipelines"
urlpatterns: list[URLPattern | URLResolver] = [
    path("runs/", runs.run_list, name="runs"),
    path("runs/live", runs.live_cards, name="live"),
    path("runs/<int:run_id>/", runs.run_page, name="run"),
    path("runs/<int:run_id>/live", runs.run_live, name="run-live"),
    path("runs/<int:run_id>/cancel", runs.cancel, name="cancel"),
    path("runs/<int:run_id>/retry", runs.retry, name="retry"),
    path("loop/", loops.newest_loop, name="loop"),
    path("loop/<int:group_id>/", loops.loop_page, name="loop-group"),
    path("loop/anime", loops.start_anime, name="start-anime"),
    path("comparisons/", comparisons.comparison_list, name="comparisons"),
    path("comparisons/runs", comparisons.side_by_side, name="side-by-side"),
    path("comparisons/<int:group_id>/", comparisons.comparison, name="comparison"),
    path(
        "comparisons/<int:group_id>/table",
        comparisons.comparison_table,
        name="comparison-table",
    ),
    path(
        "comparisons/<int:group_id>/table.json",
        comparisons.comparison_json,
        name="comparison-json",
    ),
    path("", include("pipelines.urls_pairs")),
    path("reports/<int:artifact_id>/", reports.report, name="report"),
    path("reports/<int:artifact_id>/report.json", reports.report_json, name="report-json"),
    path("artifacts/<int:artifact_id>/", artifacts.artifact_page, name="artifact"),
    path("artifacts/<int:artifact_id>/card.json", artifacts.card_json, name="card-json"),
    path("artifacts/<int:artifact_id>/card.md", artifacts.card_markdown, name="card-md"),
    path("artifacts/<int:artifact_id>/ingest.json", artifacts.ingest_json, name="ingest-json"),
    path("artifacts/<int:artifact_id>/pairs/", doubts.doubtful_pairs, name="doubtful-pairs"),
    path(
        "api/scores/<int:artifact_id>/pairs",
        doubts_api.DoubtfulPairsView.as_view(),
        name="api-doubtful-pairs",
    ),
    path("api/comparisons", comparisons_api.ComparisonsView.as_view(), name="api-comparisons"),
    path(
        "api/comparisons/<int:group_id>",
        comparisons_api.ComparisonView.as_view(),
        name="api-comparison",
    ),
    path("api/runs", api.RunsView.as_view(), name="api-runs"),
    path("api/runs/<int:run_id>", api.RunView.as_view(), name="api-run"),
    path("api/runs/<int:run_id>/cancel", api.CancelView.as_view(), name="api-cancel"),
    path("api/runs/<int:run_id>/retry", api.RetryView.as_view(), name="api-retry"),
]
