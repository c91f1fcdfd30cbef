"""Signed addresses of media: good for one person and a short time, and silent about what they show.

`/v/<id>` is a clip, `/p/<id>` its poster, `/i/<id>` a reference image. Ids are random.
"""

import hmac
import time
import uuid
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.crypto import salted_hmac

_PURPOSE: Final = "annotation.media"
CLIP, POSTER, IMAGE = "v", "p", "i"


def signed_url(video_id: uuid.UUID | str, user: User) -> str:
    """Where this person alone may fetch this clip, for 1 to 2 buckets of time.

    The end falls on a bucket's edge, so the URL, and the browser's cache, stay the same within a
    bucket (RELIABILITY 3d).
    """
    return _url(CLIP, video_id, user)


def poster_url(video_id: uuid.UUID | str, user: User) -> str:
    """The clip's first picture, on the same terms."""
    return _url(POSTER, video_id, user)


def image_url(image_id: uuid.UUID | str, user: User) -> str:
    """A reference image, on the same terms."""
    return _url(IMAGE, image_id, user)


def signature_holds(
    thing_id: uuid.UUID | str, user: User, expires: str, signature: str, *, what: str = CLIP
) -> bool:
    """Whether this person was given this URL and its time has not run out."""
    if not (expires.isascii() and expires.isdigit() and len(expires) < 15):
        return False
    wanted = _signature(what, thing_id, user, int(expires))
    good = hmac.compare_digest(wanted.encode(), signature.encode())
    return good and time.time() < int(expires)


def _url(what: str, thing_id: uuid.UUID | str, user: User) -> str:
    bucket = settings.TIEBREAK_MEDIA_URL_SECONDS
    expires = int((time.time() // bucket + 2) * bucket)
    return f"/{what}/{thing_id}?x={expires}&s={_signature(what, thing_id, user, expires)}"


def _signature(what: str, thing_id: uuid.UUID | str, user: User, expires: int) -> str:
    message = f"{what}|{thing_id}|{user.pk}|{expires}"
    return salted_hmac(_PURPOSE, message, algorithm="sha256").hexdigest()[:40]
