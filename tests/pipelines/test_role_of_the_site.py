"""The site must not be the superuser of its database (S1): asked before each migrate."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

pytestmark = pytest.mark.django_db


def faults() -> list[str]:
    found = run_checks(tags=["database"], databases=["default"])
    return [each.id or "" for each in found if "superuser" in each.msg]


@pytest.mark.promise("S1")
def test_a_superuser_is_refused_in_production(settings: Any) -> None:
    assert faults() == []  # on a laptop it is nobody's affair
    settings.PRODUCTION = True
    # The role of the tests' server is its superuser; SQLite has no roles.
    assert faults() == (["pipelines.E003"] if connection.vendor == "postgresql" else [])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE plain_site")
            cursor.execute("SET LOCAL ROLE plain_site")
        assert faults() == []
