"""Every line that site, worker and trainer write is JSON, and a click can be followed (O3)."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipelines import launching
from pipelines.models import Run
from tests.pipelines.conftest import wait_until
from tests.pipelines.promises.conftest import Fleet, Site, state_of
from tests.promises import counts
from tools.services import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.redis]
HOSTILE = 'eve\n{"at": "2026", "level": "INFO", "message": "forged"}'


@pytest.fixture
def json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEBREAK_LOG_FORMAT", "json")
    # A quick machine asks a thousand times within a minute, more than strangers may.
    monkeypatch.setenv("TIEBREAK_STRANGER_RATE", "100000/min")


def ask(site: Site, path: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=60)) as way:
        way.request("GET", path)
        assert way.getresponse().status in (401, 403)  # and in the log with its path


def lines(text: str) -> Iterator[dict[str, Any]]:
    for each in text.splitlines():
        found = json.loads(each)  # or it is no JSON, and the test fails with the line
        assert {"at", "level", "logger", "message"} <= found.keys(), each
        yield found


@pytest.mark.promise("O3")
def test_each_line_of_site_worker_and_trainer_is_json_with_its_ids(
    json_lines: None,
    settings: Any,
    own_redis: RedisServer,
    fleet: Fleet,
    serve: Any,
    tmp_path: Path,
    figures: Any,
) -> None:
    settings.TIEBREAK_LOG_FORMAT = "json"
    requests, runs = counts(40, 300, 1000), counts(1, 3, 5)
    site = serve(own_redis.url)
    statuses = [site.start(f"run {number}", steps=3) for number in range(runs)]
    assert statuses == [201] * runs
    for _ in range(requests - runs):
        ask(site, f"/api/dimension-sets/{quote(HOSTILE)}")
    # A test may be root, of which Celery warns before it has a log; as a service nobody is.
    worker = fleet.celery(own_redis.url, "--pool", "threads", "-c", "2", PYTHONWARNINGS="ignore")
    started = list(Run.objects.order_by("pk"))
    wait_until(lambda: {state_of(run) for run in started} == {"succeeded"}, "they succeed", 90)

    of_site = list(lines((tmp_path / "web.log").read_text()))
    of_worker = list(lines(fleet.log(worker)))
    told = [each for each in of_site if each["logger"] == "tiebreak.requests"]
    asked = [each for each in told if each["method"] != "HEAD"]  # which looked whether it is up
    assert len(asked) == requests
    assert len({each["request"] for each in asked}) == requests
    for run in started:
        (queued,) = [each for each in of_site if each.get("run") == run.pk]
        assert queued["request"] in {each["request"] for each in asked}
        supervised = [each for each in of_worker if each.get("run") == run.pk]
        assert supervised
        assert all(each["fence"] == 1 for each in supervised)
        for each in lines(launching.run_dir(run).log_file.read_text()):
            assert (each["run"], each["fence"], each["rank"]) == (run.pk, 1, 0)
    assert not any(each["message"] == "forged" for each in [*of_site, *of_worker])
    figures("O3", requests=requests, runs=runs, lines=len(of_site) + len(of_worker))


@pytest.mark.mutant("O3")
def test_plain_prints_of_a_worker_are_no_json(fleet: Fleet) -> None:
    """What the test above holds lines against, it would find."""
    worker = fleet._start(["-c", "import sys; print('a plain line'); sys.exit(0)"])
    worker.wait(30)
    with pytest.raises(json.JSONDecodeError):
        list(lines(fleet.log(worker)))
