"""A trainer sees no secret and reaches nothing but its own processes (RELIABILITY S9)."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from annotation.media import cage
from pipelines import isolation, kinds, launching
from tests.conftest import unavailable

pytestmark = pytest.mark.one_engine
PROBE = Path(__file__).parent / "trainers" / "looking_around.py"
# What a worker's environment holds and a trainer's must not.
SECRETS = (
    "SECRET_KEY", "SECRET_KEY_FILE", "DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL", "EMAIL_URL",
    "MEDIA_S3_ACCESS_KEY", "MEDIA_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "TIEBREAK_PSEUDONYM_SALT", "PGPASSWORD",
)  # fmt: skip
CANARY = "canary-of-the-worker"


@pytest.fixture
def listeners() -> Iterator[list[int]]:
    """What stands for PostgreSQL, Redis and the site: each would take a connection."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
            for _ in range(3)
        ]
        yield [server.getsockname()[1] for server in servers]


@pytest.fixture
def look(
    queue_count: Any, listeners: list[int], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Start such a trainer as the supervisor does, and give what it found."""
    for name in SECRETS:
        monkeypatch.setenv(name, CANARY)

    def run(**options: Any) -> dict[str, Any]:
        ports = ",".join(map(str, listeners))
        command = ("-I", str(PROBE), ports)
        spec = kinds.KindSpec("look", "Look around", dict, command=command, **options)
        started = queue_count()
        folder = launching.prepare(started)
        child = launching.start(spec, started, slots=1)
        assert child.wait(60) == 0, folder.log_file.read_text()
        found: dict[str, Any] = json.loads((folder.root / "found.json").read_text())
        assert found["argv"] == [sys.executable, *command, str(folder.root)]
        return found

    return run


@pytest.mark.promise("S9")
def test_a_trainer_finds_no_secret_and_reaches_nobody(look: Any, figures: Any) -> None:
    if not cage.is_supported() and not isolation.may_isolate():
        unavailable("this machine has neither Landlock nor network namespaces for trainers")
    found = look()
    names = [name for name in SECRETS if name in found["environ"] or name in found["parent"]]
    assert names == []
    assert CANARY not in json.dumps(found["environ"])
    assert found["connects"] == []
    assert not found["looks_up"]
    figures("S9", names=len(SECRETS), seen=len(names), connects=4, connected=len(found["connects"]))


@pytest.mark.promise("S9")
def test_it_cannot_look_into_the_worker_that_started_it(look: Any) -> None:
    if not cage.is_supported():
        unavailable("this kernel has no Landlock (Linux 5.13 or later has)")
    found = look()
    assert found["parent"] == ""
    assert found["others"] == []


@pytest.mark.promise("S9")
def test_its_own_processes_still_meet_on_loopback(look: Any) -> None:
    if not isolation.may_isolate():
        unavailable("this machine lets no process make a network of its own")
    assert look()["loopback"]


@pytest.mark.mutant("S9")
def test_without_the_wall_it_connects_and_reads_the_worker(look: Any, settings: Any) -> None:
    settings.TIEBREAK_TRAINERS_MAY_CONNECT = True
    found = look()
    assert len(found["connects"]) >= 3  # and where the machine has one, that of its cloud
    # What pytest itself was started with stands in its /proc, as the worker's secrets would.
    assert found["parent"] != ""


def test_a_trainer_that_talks_to_a_site_is_left_its_network(look: Any) -> None:
    found = look(connects=True)
    assert len(found["connects"]) >= 3
    assert CANARY not in json.dumps(found["environ"])


def test_only_the_annotators_of_the_demo_talk_to_a_site() -> None:
    assert [name for name in kinds.names() if kinds.get(name).connects] == ["votes"]


def test_without_namespaces_one_process_still_opens_no_connection(
    look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not cage.is_supported():
        unavailable("this kernel has no Landlock (Linux 5.13 or later has)")
    monkeypatch.setattr(cage, "leave_the_network", lambda: False)
    found = look()
    assert found["connects"] == []
    assert not found["loopback"]
