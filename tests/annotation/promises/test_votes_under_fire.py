"""Clients, web workers and the database die while people vote: V1, V11, V13 of the promises."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from annotation.models import Consensus, Judgement, Outbox, Slot, Triplet, Vote
from annotation.promises import broken_promises
from bench.annotation_crowd import crowd
from bench.annotation_site import Site
from tools.services import postgres_server
from tools.web import WebServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("promises"),
]
ROOT = Path(__file__).parents[3]
ON_POSTGRES = connection.vendor == "postgresql"


class Seat:
    """One person whose browser is killed now and then, and who starts it again."""

    def __init__(self, url: str, cookies: dict[str, str], ledger: Path, vote: dict) -> None:
        person = {"user": "", "password": "", "cookies": cookies}
        log_in = {"do": "log in", "server": "tiebreak", "url": url, "people": [person]}
        orders = [log_in, {"do": "vote", "ledger": str(ledger), **vote}]
        self._orders = "".join(json.dumps(each) + "\n" for each in orders)
        self._ledger = ledger
        self._said_before = 0  # bytes in the ledger when this browser was started
        self._over = threading.Event()
        self._browser: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._sit)

    def start(self) -> None:
        self._ledger.touch()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._browser is not None:
            self._browser.kill()
        self._thread.join()

    def kill_at_work(self) -> bool:
        """Kill the browser if it has voted since it was started."""
        working = self._ledger.stat().st_size > self._said_before
        if working and self._browser is not None:
            self._browser.kill()
            self._said_before = 2**62  # until the next one is there
        return working

    def _sit(self) -> None:
        while not self._over.is_set():
            with subprocess.Popen(
                [sys.executable, "-S", "-m", "bench.annotation_client"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            ) as browser:  # fmt: skip
                self._browser, self._said_before = browser, self._ledger.stat().st_size
                if self._over.is_set():
                    browser.kill()
                with contextlib.suppress(BrokenPipeError):
                    browser.communicate(self._orders)


def under_fire(
    seats: Sequence[Seat],
    *,
    every: float,
    kills: int,
    until: Callable[[], bool],
    accidents: Sequence[tuple[float, Callable[[], None]]] = (),
) -> int:
    """Kill browsers at work and cause each accident at its time; how many were killed."""
    chance, started, killed = random.Random(1), time.monotonic(), 0
    waiting = sorted(accidents, key=lambda each: each[0])
    for seat in seats:
        seat.start()
    try:
        while not until():
            time.sleep(every)
            killed += killed < kills and chance.choice(seats).kill_at_work()
            while waiting and time.monotonic() - started > waiting[0][0]:
                waiting.pop(0)[1]()
    finally:
        for seat in seats:
            seat.stop()
    return killed


# V1: an acknowledged vote is never lost.


@dataclass(frozen=True)
class Fire:
    """People who vote for some seconds, while browsers, web workers and the database die."""

    campaign: Any
    sessions: Sequence[dict[str, str]]
    folder: Path

    def burn(
        self,
        server: WebServer,
        database: str,
        *,
        seconds: float,
        kills: int = 0,
        crash: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        ledgers = [self.folder / f"{number}.ledger" for number in range(len(self.sessions))]
        vote = {"campaigns": [self.campaign.pk], "seconds": 600}
        seats = [
            Seat(server.url, session, ledger, vote)
            for session, ledger in zip(self.sessions, ledgers, strict=True)
        ]
        chance, ends = random.Random(2), time.monotonic() + seconds
        accidents = [
            (number * seconds / (kills + 1), lambda: server.kill_a_worker(chance))
            for number in range(1, kills + 1)
        ]
        accidents += [(seconds * part, crash) for part in (0.35, 0.7) if crash]
        killed = under_fire(
            seats, every=0.25, kills=1000, accidents=accidents,
            until=lambda: time.monotonic() > ends,
        )  # fmt: skip
        site = Site(database, self.folder / "audit")
        found = site.job(
            "audit", ledgers=[str(each) for each in ledgers], campaigns=[self.campaign.pk]
        )
        return {**found, "clients_killed": killed, "workers_killed": server.killed}


@pytest.fixture
def fire(make_campaign, people, cookies, tmp_path, count):
    pairs = count(4000, 300)

    def lit(clients, mutant=""):
        campaign = make_campaign(pairs, votes_wanted=3)
        return Fire(campaign, [cookies(user, mutant) for user in people(clients)], tmp_path)

    return lit


def on_this_engine(fire, serve, database_url, seconds, kills):
    """SQLite keeps its file; PostgreSQL gets a cluster of its own, which crashes twice."""
    if not ON_POSTGRES:
        return fire.burn(serve(), database_url, seconds=seconds, kills=kills)
    with postgres_server(durable=True) as own:
        own.copy_from(database_url)
        server = serve(database=own.url)
        crash = own.crash_and_restart
        return fire.burn(server, own.url, seconds=seconds, kills=kills, crash=crash)


@pytest.mark.promise("V1")
def test_an_acknowledged_vote_survives_all_deaths(fire, serve, database_url, count, measured):
    lit = fire(count(12, 4))
    found = on_this_engine(lit, serve, database_url, count(60, 8), count(10, 2))
    crashes = 2 if ON_POSTGRES else 0
    names = ("acknowledged", "lost", "clients_killed", "workers_killed")
    measured("V1", **{name: found[name] for name in names}, database_crashes=crashes)
    assert found["acknowledged"] >= count(3000, 20)
    assert found["lost"] == found["over_assigned"] == found["duplicated"] == 0
    assert found["broken_promises"] == []


@pytest.mark.mutant("V1")
def test_a_server_that_forgets_votes_is_found_out(fire, serve, database_url):
    found = fire(3, "forgets").burn(serve(mutants=True), database_url, seconds=2)
    assert found["lost"] > 0


# V11: concurrent writers never see "locked".


def voted_at_once(server, campaign, people, folder, seconds):
    with crowd(len(people), folder) as clients:
        clients.log_in("tiebreak", server.url, people)
        return clients.vote([campaign.pk], seconds).figures()


def lock_errors(server):
    text = server.log.read_text()
    return text.count("database is locked") + text.count("lock timeout")


@pytest.mark.promise("V11")
def test_concurrent_writers_meet_no_lock_error(
    make_campaign, people, serve, cookies, tmp_path, count, measured
):
    campaign = make_campaign(count(4000, 300))
    server = serve(workers=count(8, 4), threads=count(1, 2))
    before, persons = lock_errors(server), [{"cookies": cookies(each)} for each in people(8)]
    found = voted_at_once(server, campaign, persons, tmp_path, count(15, 2))
    errors = lock_errors(server) - before
    measured("V11", lock_errors=errors, votes_per_second=found["votes_per_second"])
    assert errors == 0
    assert (found["faults"], found["tries_again"]) == (0, 0)
    assert found["votes_per_second"] >= count(50, 5)


if not ON_POSTGRES:

    @pytest.mark.mutant("V11")
    def test_deferred_transactions_meet_lock_errors(
        make_campaign, people, serve, cookies, tmp_path
    ):
        campaign, server = make_campaign(400), serve(mutants=True)
        before = lock_errors(server)
        persons = [{"cookies": cookies(each, "no-locks")} for each in people(4)]
        voted_at_once(server, campaign, persons, tmp_path, 2)
        assert lock_errors(server) > before


# V13: everything completes, and each completion is told once.


@pytest.mark.promise("V13")
def test_everything_completes_in_spite_of_all(
    make_campaign, people, serve, cookies, tmp_path, count, measured
):
    pairs, clients, kills = count(400, 40), count(8, 4), count(40, 4)
    campaign = make_campaign(pairs, votes_wanted=3)
    vote = {
        "campaigns": [campaign.pk],
        "seconds": 600,
        "abandon": 0.05,
        "late": 0.07,
        "late_by": 1.2,
    }
    seats = [
        Seat(serve().url, cookies(user), tmp_path / f"{user.pk}.ledger", vote)
        for user in people(clients)
    ]
    until = time.monotonic() + count(200, 60)
    open_ones = Triplet.objects.filter(campaign=campaign, state="open")
    killed = under_fire(
        seats, every=0.2, kills=kills,
        until=lambda: not open_ones.exists() or time.monotonic() > until,
    )  # fmt: skip
    assert killed == kills
    assert campaign.triplets.complete().count() == pairs
    told = Outbox.objects.filter(kind="triplet.complete").values_list("ref", flat=True)
    assert sorted(told) == sorted(str(pk) for pk in campaign.triplets.values_list("pk", flat=True))
    measured("V13", triplets=pairs, told=len(told), clients_killed=killed)
    assert broken_promises(campaign) == []
    for spoil, words in CORRUPTIONS:
        with transaction.atomic():
            spoil()
            assert any(words in each for each in broken_promises(campaign))
            transaction.set_rollback(True)


def of_one(model, **which):
    """One row of the table: a single wrong one among thousands is found."""
    return model.objects.filter(pk__in=model.objects.filter(**which).values("pk")[:1])


CORRUPTIONS = [
    (lambda: of_one(Triplet).update(state="open"), "has all its votes but is still open"),
    (lambda: of_one(Triplet).update(need=2), "has more counted votes than wanted"),
    (lambda: of_one(Outbox, kind="triplet.complete").delete(), "nobody was told"),
    (lambda: of_one(Vote, state="counted").update(state="withdrawn", slot=None), "has no vote"),
    (lambda: of_one(Slot).update(state="open", holder=None), "its slot is not its own"),
    (lambda: of_one(Judgement).delete(), "does not speak of each dimension"),
    (lambda: Consensus.objects.all().delete(), "is complete without a consensus"),
]
