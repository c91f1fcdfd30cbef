"""The same request again: a program that got no answer asks once more and does nothing twice.

A request that carries an Idempotency-Key is answered from here if the key was used before for the
same request; for another one it is a conflict. Keys are kept for a day.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.http import QueryDict
from django.utils import timezone

from annotation.errors import AnnotationError, Unreadable, VoteConflict
from annotation.models import StoredAnswer

_KEPT: Final = timedelta(days=1)
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    body: Any
    replay: bool = False


def digest(method: str, path: str, data: Any) -> str:
    """Of everything that a request asks for, files included."""
    said = hashlib.sha256(f"{method} {path}\n".encode())
    if isinstance(data, QueryDict):
        for name, values in sorted(data.lists()):
            for value in values:
                said.update(f"{name}\0".encode())
                _take_in(said, value)
    else:
        said.update(json.dumps(data, sort_keys=True).encode())
    return said.hexdigest()


def _take_in(said: Any, value: Any) -> None:
    if not isinstance(value, UploadedFile):
        said.update(f"{value}\0".encode())
        return
    said.update(f"{value.name}\0".encode())
    for chunk in value.chunks():
        said.update(chunk)
    value.seek(0)


def once(
    user: User, key: str, request_sha256: str, act: Callable[[], Answered], *, atomic: bool = True
) -> Answered:
    """Do it, or give the answer that was given before under this key.

    `atomic`: what is done and that it was answered are one transaction, so of two at once one wins
    and the other replays. Work that is itself done only once, such as an import, goes without.
    """
    if not 0 < len(key) <= _LONGEST or not key.isascii() or not key.isprintable():
        raise Unreadable(f"The header Idempotency-Key must be 1 to {_LONGEST} ASCII characters.")
    earlier = _earlier(user, key, request_sha256)
    if earlier is not None:
        return earlier
    try:
        if not atomic:
            answered = act()
            _keep(user, key, request_sha256, answered)
            return answered
        with transaction.atomic():
            answered = act()
            _keep(user, key, request_sha256, answered)
            return answered
    except (IntegrityError, AnnotationError):
        # The same request was quicker, and this one met what it had done; or something else is
        # wrong, and then nothing stands under this key.
        earlier = _earlier(user, key, request_sha256)
        if earlier is None:
            raise
        return earlier


def _earlier(user: User, key: str, request_sha256: str) -> Answered | None:
    found = StoredAnswer.objects.filter(
        user=user, key=key, created_at__gt=timezone.now() - _KEPT
    ).first()
    if found is None:
        return None
    if found.request_sha256 != request_sha256:
        raise VoteConflict("Another request was made under this Idempotency-Key; take a new one.")
    return Answered(found.status, found.body, replay=True)


def _keep(user: User, key: str, request_sha256: str, answered: Answered) -> None:
    StoredAnswer.objects.filter(created_at__lte=timezone.now() - _KEPT).delete()
    StoredAnswer.objects.create(
        user=user,
        key=key,
        request_sha256=request_sha256,
        status=answered.status,
        body=answered.body,
    )
