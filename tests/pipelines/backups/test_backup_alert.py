"""The last restore that was seen to work lies more than a week back: somebody is told (O2, D3)."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from pipelines import alerts
from pipelines.backups import records

pytestmark = pytest.mark.django_db
SNAPSHOT: Any = SimpleNamespace(name="2026-01-01T00-00-00Z")


def said() -> list[str]:
    return [each.message for each in alerts.unproven_backup()]


def later(days: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many days go by; the log keeps its entries as they were written."""
    then = timezone.now() + timedelta(days=days)
    monkeypatch.setattr(records, "timezone", SimpleNamespace(now=lambda: then))


@pytest.mark.promise("O2")
@pytest.mark.parametrize(("days", "count"), [(6.9, 0), (7.1, 1), (30, 1)])
def test_a_week_without_a_good_restore_is_told(
    days: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.remember(records.CHECKED, SNAPSHOT, 3.0)
    later(days, monkeypatch)
    assert len(said()) == count
    assert all(f"for {days:.0f} days" in text for text in said())


@pytest.mark.promise("O2")
def test_a_new_check_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    records.remember(records.CHECKED, SNAPSHOT, 3.0)
    later(8, monkeypatch)
    assert said()
    later(0, monkeypatch)
    records.remember(records.RESTORED, SNAPSHOT, 3.0)
    later(6, monkeypatch)
    assert said() == []


@pytest.mark.promise("O2")
def test_a_production_site_without_any_backup_is_told_after_a_week(
    alice: Any, settings: Any
) -> None:
    assert said() == []  # development has none to lose
    settings.PRODUCTION = True
    assert said() == []
    alice.date_joined = timezone.now() - timedelta(days=8)
    alice.save()
    assert said() == ["No backup was seen to be restorable yet, and the site is 8 days old."]
