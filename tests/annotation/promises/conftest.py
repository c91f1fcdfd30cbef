"""The site behind gunicorn on the test database, and browsers as processes (RELIABILITY V1-V13).

Counts are a tenth of those of the promises; `make test-faults-full` runs them all.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.promises import LEVEL, Figures
from tools.web import Application, WebServer, gunicorn

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FULL = LEVEL == "full"
LEASE_SECONDS = 1.0


@pytest.fixture(scope="session")
def count() -> Callable[[int, int], int]:
    """How much of it: `count(200, 20)` is 200 in full, else 20."""
    return lambda full, quick: full if FULL else quick


@pytest.fixture
def measured(figures: Figures) -> Callable[..., None]:
    """Keep what a full run found; `bench.tables` makes the table of docs/benchmarks.md of it."""
    from django.db import connection

    path = ROOT / "docs" / "benchmarks" / f"promises-{connection.vendor}.json"

    def keep(promise: str, **values: Any) -> None:
        figures(promise, **values)
        if FULL:
            known = json.loads(path.read_text()) if path.exists() else {}
            text = json.dumps({**known, promise: values}, indent=1, sort_keys=True)
            path.write_text(text + "\n")

    return keep


Serve = Callable[..., WebServer]


@pytest.fixture(scope="session")
def _servers(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Running servers by their purpose. They end before the test database does."""
    folder = tmp_path_factory.mktemp("web")
    with ExitStack() as stack:
        yield {}, stack, folder


@pytest.fixture
def serve(_servers: Any, database_url: str) -> Serve:
    """`serve()`: the site; `serve(mutants=True)`: the same, and a request may name a mutant."""
    running, stack, folder = _servers

    def start(
        *, mutants: bool = False, database: str = database_url, workers: int = 4, threads: int = 2
    ) -> WebServer:
        key = (mutants, database, workers, threads)
        if key not in running:
            environment = {
                "DATABASE_URL": database,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "PYTHONPATH": str(ROOT),
                "TIEBREAK_VAR": str(folder / "var"),
                "TIEBREAK_LEASE_SECONDS": str(LEASE_SECONDS),
                "TIEBREAK_LOG_LEVEL": "ERROR",
            }
            site = Application("mutants", HERE) if mutants else Application()
            log = folder / f"{len(running)}.log"
            size = {"workers": workers, "threads": threads}
            server = gunicorn(environment, log, application=site, **size)
            running[key] = stack.enter_context(server)
        return running[key]

    return start


# Browsers.


@pytest.fixture
def cookies() -> Callable[..., dict[str, str]]:
    """The cookies of a session of this person, who may meet a mutant."""

    def of(user: Any, mutant: str = "") -> dict[str, str]:
        client = Client()
        client.force_login(user)
        session = {"sessionid": client.cookies["sessionid"].value, "csrftoken": "a" * 32}
        return session | ({"mutant": mutant} if mutant else {})

    return of


class Sender:
    """A running `sender.py`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(HERE / "sender.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture(scope="session")
def _senders() -> Iterator[list[Sender]]:
    senders: list[Sender] = []
    yield senders
    for each in senders:
        each.close()


class Browsers:
    """Persons at one server, each request from a process of its own."""

    def __init__(self, server: WebServer, senders: list[Sender], cookies: Any, mutant: str):
        self.server, self.mutant = server, mutant
        self._senders, self._cookies_of = senders, cookies
        self._known: dict[int, dict[str, str]] = {}

    def request(
        self, user: Any, path: str, body: Any, *, method: str = "POST", **headers: str
    ) -> dict[str, Any]:
        if user.pk not in self._known:
            self._known[user.pk] = self._cookies_of(user, self.mutant)
        cookies = self._known[user.pk]
        sent = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": cookies["csrftoken"],
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return {
            "port": self.server.port, "method": method, "path": path, "body": body, "headers": sent,
        }  # fmt: skip

    def vote(self, lease: Any, labels: Sequence[str] = ("left", "tie", "right")) -> dict[str, Any]:
        body = ballot(lease, labels)
        key = {"Idempotency_Key": body["lease"]}
        return self.request(lease.annotator, "/api/votes", body, **key)

    def next(self, user: Any, campaign: Any, tab: str, **body: Any) -> dict[str, Any]:
        return self.request(user, f"/api/campaigns/{campaign.pk}/next", {"tab": tab, **body})

    def together(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send all at the same moment; the answers in the same order."""
        while len(self._senders) < len(requests):
            self._senders.append(Sender())
        used = self._senders[: len(requests)]
        for sender, request in zip(used, requests, strict=True):
            sender.ask(request)
        return [sender.answer() for sender in used]

    def send(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.together([request])[0]


@pytest.fixture
def browsers(serve: Serve, _senders: list[Sender], cookies: Any) -> Callable[..., Browsers]:
    """`browsers()` at the site, `browsers("no-locks")` at the site with that mutant."""

    def at(mutant: str = "") -> Browsers:
        return Browsers(serve(mutants=bool(mutant)), _senders, cookies, mutant)

    return at


def ballot(lease: Any, labels: Sequence[str] = ("left", "tie", "right")) -> dict[str, Any]:
    """A vote in the words of the screen."""
    return {
        "lease": str(lease.pk),
        "left_video": str(lease.left_id),
        "right_video": str(lease.right_id),
        "judgements": {
            key: {"label": label} for key, label in zip(("VQ", "MQ", "TA"), labels, strict=True)
        },
        "timing": {"active_ms": 4000},
    }


@pytest.fixture(name="ballot")
def _ballot() -> Callable[..., dict[str, Any]]:
    return ballot


@pytest.fixture
def hand_out() -> Callable[..., list[Any]]:
    """Each of these people was shown this pair, and none holds it any more."""
    from annotation.models import Cursor, Lease

    def to(triplet: Any, users: Sequence[Any]) -> list[Any]:
        slot = triplet.slots.order_by("n").first()
        Cursor.objects.bulk_create(
            (Cursor(campaign_id=triplet.campaign_id, annotator=user) for user in users),
            ignore_conflicts=True,
        )
        return Lease.objects.bulk_create(
            Lease(annotator=user, slot=slot, triplet=triplet, swap=False, tab=uuid.uuid4())
            for user in users
        )

    return to


@pytest.fixture
def without() -> Callable[..., Any]:
    """Take constraints of PostgreSQL away while a mutant runs, and with them that a vote is
    superseded once; the mutant's rows go before they come back."""
    from django.db import connection

    from annotation.models import Judgement, ProbeAnswer, ProbeLease, Slot, Vote

    def sql(template: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(template)

    def unique_of(column: str) -> str:
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, "annotation_vote")
        return next(
            name
            for name, each in found.items()
            if each["columns"] == [column] and each["unique"] and not each["primary_key"]
        )

    @contextmanager
    def dropped(*names: str) -> Iterator[None]:
        every = [
            (model, each)
            for model in (Vote, Slot, ProbeAnswer, ProbeLease)
            for each in model._meta.constraints
        ]
        gone = [(model, each) for model, each in every if each.name in names]
        assert len(gone) == len(names)
        once = unique_of("supersedes_id")
        sql(f'ALTER TABLE annotation_vote DROP CONSTRAINT "{once}"')
        with connection.schema_editor() as editor:
            for model, each in gone:
                editor.remove_constraint(model, each)
        try:
            yield
        finally:
            Judgement.objects.all().delete()
            Vote.objects.filter(revision__gt=1).delete()
            Vote.objects.all().delete()
            ProbeAnswer.objects.all().delete()
            ProbeLease.objects.all().delete()
            sql(f'ALTER TABLE annotation_vote ADD CONSTRAINT "{once}" UNIQUE (supersedes_id)')
            with connection.schema_editor() as editor:
                for model, each in gone:
                    editor.add_constraint(model, each)

    return dropped
