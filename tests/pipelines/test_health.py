"""Who watches the site learns whether it can serve, and nothing about its hosts."""

import socket
import threading
import time
from typing import Any

import pytest
from django.db import OperationalError, connection

from pipelines import health


@pytest.fixture(autouse=True)
def forgotten() -> None:
    health._BROKER.part = None


@pytest.fixture
def site(settings: Any, tmp_path: Any) -> Any:
    settings.MEDIA_ROOT = tmp_path
    settings.CELERY_BROKER_URL = ""
    return settings


def test_a_process_that_answers_is_alive_and_asks_the_database_nothing(client: Any) -> None:
    found = client.get("/healthz")
    assert (found.status_code, found.json()) == (200, {"state": "good"})
    assert "no-store" in found["Cache-Control"]


@pytest.mark.django_db
def test_a_whole_site_is_ready(client: Any, site: Any) -> None:
    found = client.get("/readyz")
    parts = {"database": "good", "media": "good", "broker": "good"}
    assert (found.status_code, found.json()) == (200, {"state": "good", "parts": parts})


@pytest.mark.promise("O1")
@pytest.mark.django_db
def test_without_its_broker_the_site_is_degraded_and_serves(
    client: Any, site: Any, caplog: Any
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        site.CELERY_BROKER_URL = f"redis://:a-secret@127.0.0.1:{nobody.getsockname()[1]}/0"
        found = client.get("/readyz")
    assert (found.status_code, found.json()["state"]) == (200, "degraded")
    assert found.json()["parts"]["broker"] == "degraded"
    assert "127.0.0.1" not in found.content.decode()
    assert "broker is degraded" in caplog.text
    assert "a-secret" not in caplog.text


@pytest.mark.django_db
def test_a_broker_that_hangs_does_not_hold_up_the_answer(client: Any, site: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        site.CELERY_BROKER_URL = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        began = time.monotonic()
        assert client.get("/readyz").json()["parts"]["broker"] == "degraded"
        assert time.monotonic() - began < 10
        accepted = threading.active_count()
        assert client.get("/readyz").json()["parts"]["broker"] == "degraded"  # the same answer
    assert accepted == threading.active_count()


@pytest.mark.django_db
def test_a_folder_of_clips_that_takes_no_file_is_not_ready(client: Any, site: Any) -> None:
    site.MEDIA_ROOT = site.MEDIA_ROOT / "gone"
    found = client.get("/readyz")
    assert (found.status_code, found.json()["parts"]["media"]) == (503, "bad")


@pytest.mark.django_db
def test_a_database_that_does_not_answer_or_is_not_migrated_is_not_ready(
    client: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise OperationalError("the server at 10.1.2.3 refused")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", refused)
        found = client.get("/readyz")
    assert (found.status_code, found.json()["parts"]["database"]) == (503, "bad")
    assert "10.1.2.3" not in found.content.decode()
    health._migrated.cache_clear()
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: ["0099"])
    assert client.get("/readyz").status_code == 503
