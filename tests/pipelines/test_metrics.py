"""What Prometheus reads: true figures, for those who may."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines import worker
from pipelines.models import Alert, Run


@pytest.fixture(autouse=True)
def site(db: None, settings: Any, tmp_path: Any) -> Any:
    settings.MEDIA_ROOT = settings.RUNS_ROOT = tmp_path
    settings.TIEBREAK_METRICS_TOKEN = ""
    settings.TIEBREAK_PROXIES = 0
    return settings


def read(client: Any, **headers: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = client.get("/metrics", **headers)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def test_runs_queues_workers_alerts_and_disks_are_told(client: Any) -> None:
    for state in ("queued", "queued", "failed"):
        Run.objects.create(kind="scoring", config={}, config_sha="0" * 64, state=state, queue="gpu")
    worker.beat(worker.owner_name(), ["gpu"], slots=1)
    Alert.objects.create(key="full_disk", about="here", message="m", advice="a")
    found = read(client)
    assert found["tiebreak_runs", frozenset({("kind", "scoring"), ("state", "queued")})] == 2
    assert found["tiebreak_queue_runs", frozenset({("queue", "gpu")})] == 2
    assert found["tiebreak_queue_runs", frozenset({("queue", "default")})] == 0
    assert found["tiebreak_workers", frozenset({("queue", "gpu")})] == 1
    assert found["tiebreak_alert", frozenset({("alert", "full_disk"), ("about", "here")})] == 1
    assert 0 < found["tiebreak_disk_used_ratio", frozenset({("place", "runs")})] < 1
    assert found["tiebreak_votes_total", frozenset()] == 0


def test_answers_are_counted_by_the_name_of_their_address(client: Any) -> None:
    labels = frozenset({("method", "GET"), ("route", "pipelines:alive"), ("status", "2xx")})
    before = read(client).get(("tiebreak_request_seconds_count", labels), 0)
    client.get("/healthz")
    client.get("/no/such/page-4711")
    after = read(client)
    assert after["tiebreak_request_seconds_count", labels] == before + 1
    assert not any("4711" in value for _, each in after for _, value in each)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic the-token", "Bearer ü"])
def test_with_a_token_nobody_reads_without_it(client: Any, site: Any, header: str) -> None:
    site.TIEBREAK_METRICS_TOKEN = "the-token"
    assert client.get("/metrics", headers={"Authorization": header}).status_code == 401
    good = client.get("/metrics", headers={"Authorization": "Bearer the-token"})
    assert good.status_code == 200


def test_without_a_token_only_this_host_reads(client: Any, site: Any) -> None:
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 401
    site.TIEBREAK_PROXIES = (
        1  # then every client seems to be this host, but for what our proxy says
    )
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="10.0.0.7").status_code == 401


def test_asking_takes_few_queries(client: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(9):
        read(client)
