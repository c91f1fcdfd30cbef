"""A click can be followed: the id of its request stands on the line of the run that it starts."""

import logging
import re
from typing import Any

import pytest

from formats import logs

HEX = re.compile(r"[0-9a-f]{32}")


@pytest.mark.promise("O3")
@pytest.mark.django_db
def test_every_answer_names_its_request_and_a_stranger_cannot_choose_the_name(
    client: Any, settings: Any
) -> None:
    settings.TIEBREAK_PROXIES = 0
    first = client.get("/healthz", headers={"X-Request-ID": "chosen-by-me"})["X-Request-ID"]
    second = client.get("/healthz")["X-Request-ID"]
    assert HEX.fullmatch(first)
    assert HEX.fullmatch(second)
    assert first != second
    settings.TIEBREAK_PROXIES = 1
    asked = {"X-Request-ID": "0af7651916cd43dd"}
    assert client.get("/healthz", headers=asked)["X-Request-ID"] == "0af7651916cd43dd"
    forged = client.get("/healthz", headers={"X-Request-ID": "a b<script>"})["X-Request-ID"]
    assert HEX.fullmatch(forged)


@pytest.mark.promise("O3")
def test_the_line_of_a_request_has_method_route_status_and_time(
    client: Any, caplog: Any, db: None
) -> None:
    with caplog.at_level(logging.INFO, "tiebreak.requests"):
        client.get("/healthz")
    (record,) = [each for each in caplog.records if each.name == "tiebreak.requests"]
    assert record.facts.items() >= {
        "method": "GET", "route": "pipelines:alive", "status": 200,
    }.items()  # fmt: skip
    assert record.facts["milliseconds"] > 0


@pytest.mark.promise("O3")
def test_the_run_that_a_click_starts_is_logged_with_its_request(
    queue_count: Any, caplog: Any
) -> None:
    seen: list[dict[str, object]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append({"message": record.getMessage(), **logs.ids()})

    logger = logging.getLogger("pipelines.starting")
    handler = Keep()
    logger.addHandler(handler)
    try:
        with logs.bound(request="r1"), caplog.at_level(logging.INFO, "pipelines.starting"):
            run = queue_count(steps=1)
    finally:
        logger.removeHandler(handler)
    assert {"message": f"run {run.pk} (counting) is queued", "request": "r1", "run": run.pk} in seen
