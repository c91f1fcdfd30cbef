"""System checks: what would make runs fail later is said at start."""

from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection

TAG: Final = "runs"


@register(TAG)
def lease_outlives_its_renewal(**_: Any) -> list[CheckMessage]:
    term = settings.TIEBREAK_RUN_LEASE_SECONDS - settings.TIEBREAK_RUN_LEASE_MARGIN_SECONDS
    if term > settings.TIEBREAK_RUN_RENEW_SECONDS:
        return []
    return [
        Error(
            f"A run's lease ends for its child after {term} s but is renewed only every "
            f"{settings.TIEBREAK_RUN_RENEW_SECONDS} s, so every run would stop itself.",
            hint="TIEBREAK_RUN_LEASE_SECONDS - TIEBREAK_RUN_LEASE_MARGIN_SECONDS must exceed "
            "TIEBREAK_RUN_RENEW_SECONDS.",
            id="pipelines.E001",
        )
    ]


@register(TAG)
def runs_root_is_a_folder(**_: Any) -> list[CheckMessage]:
    root = Path(settings.RUNS_ROOT)
    if not root.exists() or root.is_dir():
        return []
    return [Error(f"RUNS_ROOT {root} is not a folder.", id="pipelines.E002")]


@register(Tags.database)
def the_site_is_no_superuser(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Asked before each migrate: a role that may do everything turns one fault into all of them."""
    if not settings.PRODUCTION or not databases or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        name, superuser = cursor.fetchone()
    if not superuser:
        return []
    return [
        Error(
            f"The site logs in to PostgreSQL as {name}, which is a superuser.",
            hint="Make a role of its own, as docker/postgres/role.sh does.",
            id="pipelines.E003",
        )
    ]
