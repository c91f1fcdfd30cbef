"""Clips, posters and reference images: for one person and a short time; they never change."""

import uuid
from functools import partial
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from annotation.media.keeping import image_key, poster_key, shown_key
from annotation.media.media_urls import CLIP, IMAGE, POSTER, signature_holds
from annotation.media.ranged import Content, handed_to_nginx, ranged_response
from annotation.media.storage import media_storage
from annotation.media.watching import clip_for, image_for

_HEADERS: Final = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-site",
    "Referrer-Policy": "no-referrer",
}


@require_safe
def clip(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    user = _signed_for(request, CLIP, video_id)
    if user is None:
        return _not_yours()
    video = clip_for(user, video_id)
    if video is None:
        raise Http404("There is no such clip.")
    return _served(request, shown_key(video.sha256), f"{video_id}.mp4", "video/mp4")


@require_safe
def poster(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    user = _signed_for(request, POSTER, video_id)
    if user is None:
        return _not_yours()
    video = clip_for(user, video_id)
    if video is None:
        raise Http404("There is no such clip.")
    return _served(request, poster_key(video.sha256), f"{video_id}.jpg", "image/jpeg")


@require_safe
def reference_image(request: HttpRequest, image_id: uuid.UUID) -> HttpResponseBase:
    user = _signed_for(request, IMAGE, image_id)
    if user is None:
        return _not_yours()
    image = image_for(user, image_id)
    if image is None:
        raise Http404("There is no such image.")
    return _served(request, image_key(image.sha256), f"{image_id}.png", "image/png")


def _signed_for(request: HttpRequest, what: str, thing_id: uuid.UUID) -> User | None:
    """The person who asks, if the address was made for them and its time has not run out."""
    expires, signature = request.GET.get("x", ""), request.GET.get("s", "")
    user = request.user
    if not isinstance(user, User):
        return None
    return user if signature_holds(thing_id, user, expires, signature, what=what) else None


def _not_yours() -> HttpResponseBase:
    return HttpResponseForbidden("This link is not yours or its time has run out.")


def _served(request: HttpRequest, key: str, name: str, content_type: str) -> HttpResponseBase:
    """The bytes come through us or nginx: an address of the storage would say too much."""
    store = media_storage()
    if settings.TIEBREAK_MEDIA_BY_NGINX:
        inside = store.behind_nginx(key)
        response = handed_to_nginx(request, inside, f'"{name}"', content_type)
    elif store.exists(key):
        content = Content(store.size(key), partial(store.read, key), f'"{name}"', content_type)
        response = ranged_response(request, content)
    else:
        raise Http404("The file is not there.")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    for header, value in _HEADERS.items():
        response[header] = value
    return response
