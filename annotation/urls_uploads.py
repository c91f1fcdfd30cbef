"""The addresses of uploads."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import uploads_api

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/uploads", uploads_api.UploadsView.as_view(), name="api-uploads"),
    path("api/uploads/<uuid:upload_id>", uploads_api.UploadView.as_view(), name="api-upload"),
    path(
        "api/uploads/<uuid:upload_id>/parts/<int:offset>",
        uploads_api.UploadPartView.as_view(),
        name="api-upload-part",
    ),
]
