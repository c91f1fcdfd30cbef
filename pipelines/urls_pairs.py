"""Where preference pairs are looked at."""

from django.urls import URLPattern, path

from pipelines.views import pairs, pairs_api

urlpatterns: list[URLPattern] = [
    path("pairs/", pairs.pair_sets, name="pair-sets"),
    path("pairs/<int:artifact_id>/", pairs.pair_preview, name="pair-preview"),
    path("api/pairs/<int:artifact_id>", pairs_api.PairSetView.as_view(), name="api-pairs"),
]
