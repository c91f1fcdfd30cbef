"""The clips. A URL is good for one person and a short time; what is behind it never changes."""

import uuid

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from annotation.media import shown_path, signature_holds
from annotation.models import Video
from annotation.ranged import ranged_response

_HEADERS = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-site",
    "Referrer-Policy": "no-referrer",
}


@require_safe
def clip(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    expires, signature = request.GET.get("x", ""), request.GET.get("s", "")
    user = request.user
    if not isinstance(user, User) or not signature_holds(video_id, user, expires, signature):
        return HttpResponseForbidden("This link is not yours or its time has run out.")
    video = Video.objects.filter(pk=video_id, withdrawn=False).first()
    if video is None or not shown_path(video).is_file():
        raise Http404("There is no such clip.")
    response = ranged_response(
        request, shown_path(video), etag=f'"{video_id}"', content_type="video/mp4"
    )
    response["Content-Disposition"] = f'inline; filename="{video_id}.mp4"'
    for name, value in _HEADERS.items():
        response[name] = value
    return response
