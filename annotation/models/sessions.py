"""Log-ins, each with the person behind it, so that one row tells who asks."""

from typing import Any

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from annotation.models.common import USER


class Session(AbstractBaseSession):
    person = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )

    class Meta(AbstractBaseSession.Meta):
        pass

    @classmethod
    def get_session_store_class(cls) -> Any:
        from annotation.accounts.sessions import SessionStore  # it imports this model

        return SessionStore
