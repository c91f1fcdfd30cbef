"""What the tables share."""

from django.conf import settings
from django.db import models
from django.db.models import Q

USER = settings.AUTH_USER_MODEL


def one_of(field: str, words: type[models.TextChoices], table: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": words.values}), name=f"{table}_{field}_is_known"
    )
