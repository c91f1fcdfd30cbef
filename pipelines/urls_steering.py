"""Doors that steer runs and chains: pause, resume, priority, the stacks of a hang."""

from django.urls import path

from pipelines.views import steering, steering_api

urlpatterns = [
    path("runs/<int:run_id>/pause", steering.pause, name="pause"),
    path("runs/<int:run_id>/resume", steering.resume, name="resume"),
    path("runs/<int:run_id>/priority", steering.priority, name="priority"),
    path("runs/<int:run_id>/stacks-<int:fence>.txt", steering.stacks_text, name="stacks"),
    path("loop/<int:group_id>/steer", steering.steer_group, name="steer-group"),
    path("api/runs/<int:run_id>/pause", steering_api.PauseView.as_view(), name="api-pause"),
    path("api/runs/<int:run_id>/resume", steering_api.ResumeView.as_view(), name="api-resume"),
    path(
        "api/runs/<int:run_id>/priority",
        steering_api.PriorityView.as_view(),
        name="api-priority",
    ),
    path(
        "api/groups/<int:group_id>/<slug:act>",
        steering_api.GroupView.as_view(),
        name="api-steer-group",
    ),
]
