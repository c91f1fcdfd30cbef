"""Addresses of disagreement: what people said beside what a reward model foresaw."""

from django.urls import URLPattern, path

from pipelines.views import disagreements, disagreements_api

urlpatterns: list[URLPattern] = [
    path(
        "artifacts/<int:artifact_id>/disagreement/",
        disagreements.disagreements,
        name="disagreements",
    ),
    path(
        "artifacts/<int:artifact_id>/disagreement/send",
        disagreements.send,
        name="disagreements-send",
    ),
    path(
        "artifacts/<int:artifact_id>/score-judged",
        disagreements.score_judged,
        name="score-judged",
    ),
    path(
        "api/scores/<int:artifact_id>/disagreement",
        disagreements_api.DisagreementView.as_view(),
        name="api-disagreement",
    ),
]
