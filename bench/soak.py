"""Voting, taking clips in and three trainings at once, while everything is killed at random.

    python -m bench.soak [--minutes 30] [--every 12] [--seed 0] [--json FILE]

Native processes as in docker-compose.yml: gunicorn, two Celery workers with two places each, beat,
PostgreSQL with its own settings, Redis without persistence. Before, the micro loop of the demo goes
through once; then people vote, an ingest follows the other, and in three lanes a pretraining, a
reward model and an alignment start again as soon as they have ended. About every --every seconds
one of a web worker, a Celery worker, a process of its pool, a trainer, beat, Redis or PostgreSQL
dies: SIGKILL, for PostgreSQL what `pg_ctl -m immediate` does. A run that used up its tries is tried
again by the person who waits for it, as in life; how often is in the result.

At the end nothing is killed any more, what was started comes to its end, and the ledgers of the
clients are held against the database, and every artifact against its bytes.
"""

import argparse
import http.client
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.annotation_crowd import Votes, crowd
from bench.ingest import make
from bench.soak_stack import LEASE_SECONDS, Stack, Tagged, gone_within, stack
from tools.processes import children

WEIGHTS: Final = {
    "web": 3, "worker": 2, "pool": 2, "trainer": 4, "beat": 1, "redis": 2, "postgres": 2,
}  # fmt: skip
RECOVERED_WITHIN: Final = LEASE_SECONDS + 15
ENDED: Final = ("succeeded", "failed", "cancelled")
PEOPLE: Final = 4
THINK: Final = 0.5  # seconds before a vote
FOLDERS, CLIPS = 8, 20


class Api:
    """One person with a token; what is not answered is asked again a moment later."""

    def __init__(self, port: int, token: str):
        self._port, self._token = port, token

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer, or None where there was none."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, OSError):
            return None
        finally:
            connection.close()
        if 400 <= answer.status < 500:
            raise RuntimeError(f"{method} {path} answers {answer.status}: {text[:500]!r}")
        return json.loads(text) if answer.status < 400 else None


@dataclass
class Lane:
    """The same run again and again."""

    name: str
    request: Callable[[int], Mapping[str, Any]]
    api: Api
    acknowledged: list[int] = field(default_factory=list)
    retries: int = 0
    _number: int = 0
    _run: int | None = None

    def tick(self, *, more: bool) -> bool:
        """Look after the run. False: it has ended and there is to be no other."""
        if self._run is None:
            return more and self._start()
        card = self.api("GET", f"/api/runs/{self._run}")
        if card is None or card["state"] not in ENDED:
            return True
        if card["state"] == "failed":
            self.retries += self.api("POST", f"/api/runs/{self._run}/retry", {}) is not None
            return True
        self._run = None
        return more

    def _start(self) -> bool:
        # The nonce makes a start that was not answered the same start when it is asked again.
        nonce = f"{self.name}-{self._number}"
        card = self.api("POST", "/api/runs", {**self.request(self._number), "nonce": nonce})
        if card is not None:
            self._run = int(card["id"])
            self.acknowledged.append(self._run)
            self._number += 1
        return True


@dataclass
class Killer:
    """One death about every so many seconds, and what came of it."""

    stack: Stack
    every: float
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    struck: list[tuple[int, int, str]] = field(default_factory=list)  # run, fence, when
    slowest_end: float = 0.0
    orphans: int = 0
    _due: float = 0.0
    _redis_back: float = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        if self._redis_back and now > self._redis_back:
            self.bring_redis_back()
        if now < self._due:
            return
        self._due = now + self.chance.expovariate(1 / self.every)
        what = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.killed[what] += bool(getattr(self, f"_{what}")())

    def bring_redis_back(self) -> None:
        if self._redis_back:
            self.stack.redis.start()
            self._redis_back = 0.0

    def _web(self) -> bool:
        before = self.stack.web.killed
        self.stack.web.kill_a_worker(self.chance)
        return self.stack.web.killed > before

    def _worker(self) -> bool:
        process = self.chance.choice(self.stack.workers)
        return self._kill(process.pid, self.stack.below(process.pid))

    def _pool(self) -> bool:
        process = self.chance.choice(self.stack.workers)
        busy = [pid for pid in children(process.pid) if self.stack.below(pid)]
        if not busy:
            return False
        pid = self.chance.choice(busy)
        return self._kill(pid, self.stack.below(pid))

    def _trainer(self) -> bool:
        tagged = self.stack.tagged()
        if not tagged:
            return False
        one = self.chance.choice(tagged)
        return self._kill(one.pid, [one])

    def _beat(self) -> bool:
        return self._kill(self.stack.kept["beat"].pid, [])

    def _redis(self) -> bool:
        if self._redis_back:
            return False
        self.stack.redis.kill()
        self._redis_back = time.monotonic() + self.chance.uniform(1, 10)
        return True

    def _postgres(self) -> bool:
        self.stack.postgres.crash_and_restart()
        return True

    def _kill(self, pid: int, struck: list[Tagged]) -> bool:
        moment = datetime.now(UTC).isoformat()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        seconds = gone_within(self.stack, {each.pid for each in struck}, 5)
        self.orphans += seconds is None
        self.slowest_end = max(self.slowest_end, seconds or 0.0)
        self.struck += sorted({(each.run, each.fence, moment) for each in struck})
        return True


class Soak:
    def __init__(self, found: Stack, options: argparse.Namespace):
        self.stack, self.options = found, options
        self.killer = Killer(found, options.every, random.Random(options.seed))
        self.lanes: list[Lane] = []
        self._next_look = 0.0

    def run(self) -> dict[str, Any]:
        site = self.stack.site
        people = site.job("people", count=PEOPLE)["people"]
        votes_of = int(60 * self.options.minutes * PEOPLE / THINK)
        campaign = site.job("import", name="soak", pairs=max(500, votes_of // 2))["campaign"]
        self._make_clips()
        self.stack.start()
        self._set_up()
        say(f"{self.options.minutes:g} minutes of killing")
        began = time.monotonic()
        with crowd(PEOPLE, site.folder / "crowd") as clients:
            clients.log_in("tiebreak", self.stack.web.url, people)
            seconds = 60 * self.options.minutes
            votes = clients.vote([campaign], seconds, self._tick, think=THINK)
            ledgers = [str(each) for each in clients.ledgers]
        killing = time.monotonic() - began
        self._calm()
        return self._figures(votes, ledgers, campaign, killing)

    def _make_clips(self) -> None:
        say("making clips")
        incoming = self.stack.site.folder / "var" / "media" / "incoming"
        for number in range(FOLDERS):
            make(incoming / f"soak-{number}", "small", CLIPS)

    def _set_up(self) -> None:
        say("the micro loop")
        site = self.stack.site
        filled = site.soak_job("fill", url=self.stack.web.url)
        while (state := site.soak_job("progress"))["open"]:
            if state["failed"]:
                raise SystemExit(f"the loop did not go through: {state['failed']}")
            time.sleep(3)
        api = Api(self.stack.web.port, filled["token"])
        for kind, request in site.soak_job("lanes")["lanes"].items():
            self.lanes.append(Lane(kind, _seeded(request), api))
        self.lanes.append(Lane("ingest", _ingest, api))

    def _tick(self) -> None:
        self.stack.keep()
        self.killer.tick()
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + 2
            for lane in self.lanes:
                lane.tick(more=True)

    def _calm(self) -> None:
        """Nothing dies any more; what was started comes to its end."""
        say("waiting for what was started")
        self.killer.bring_redis_back()
        deadline = time.monotonic() + 900
        waiting = self.lanes
        while waiting := [lane for lane in waiting if lane.tick(more=False)]:
            self.stack.keep()
            if time.monotonic() > deadline:
                say("some runs do not end")
                break
            time.sleep(1)

    def _figures(
        self, votes: Votes, ledgers: list[str], campaign: int, seconds: float
    ) -> dict[str, Any]:
        site, killer = self.stack.site, self.killer
        found = site.job("audit", ledgers=ledgers, campaigns=[campaign])
        runs = [run for lane in self.lanes for run in lane.acknowledged]
        audited = site.soak_job("audit", runs=runs, struck=killer.struck)
        recoveries = audited.pop("recovery_s")
        time.sleep(5)
        orphans = killer.orphans + len(self.stack.tagged())
        self.stack.stop()
        return {
            "minutes": round(seconds / 60, 1),
            "seed": self.options.seed,
            "killed": {name: killer.killed[name] for name in WEIGHTS},
            "kills": killer.killed.total(),
            "votes": {name: found[name] for name in
                      ("acknowledged", "lost", "over_assigned", "duplicated", "surplus")},
            "broken_promises": found["broken_promises"],
            "answers_missing": votes.figures()["faults"],
            **audited,
            "started_by_lane": {lane.name: len(lane.acknowledged) for lane in self.lanes},
            "retries_by_people": sum(lane.retries for lane in self.lanes),
            "runs_struck": len(recoveries),
            "slowest_recovery_s": round(max(recoveries, default=0.0), 1),
            "recovered_within_s": RECOVERED_WITHIN,
            "slowest_end_of_processes_s": round(killer.slowest_end, 2),
            "orphans": orphans + len(self.stack.tagged()),
        }  # fmt: skip


def _seeded(request: Mapping[str, Any]) -> Callable[[int], Mapping[str, Any]]:
    def numbered(number: int) -> Mapping[str, Any]:
        return {**request, "config": {**request["config"], "seed": 1000 + number}}

    return numbered


def _ingest(number: int) -> Mapping[str, Any]:
    config = {"folder": f"soak-{number % FOLDERS}", "prompt": f"soak {number}", "processes": 1}
    return {"kind": "ingest", "config": config}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def failures(found: Mapping[str, Any]) -> list[str]:
    """What must be zero, or within its time, and is not."""
    zero = {name: found["votes"][name] for name in ("lost", "over_assigned", "duplicated")}
    zero |= {name: found[name] for name in ("runs_lost", "ended_twice", "without_artifact",
                                            "artifacts_lost", "orphans")}  # fmt: skip
    bad = [f"{name}: {value}" for name, value in zero.items() if value]
    bad += [f"{name}: {found[name]}" for name in ("runs_left", "broken_promises") if found[name]]
    if found["slowest_recovery_s"] > RECOVERED_WITHIN:
        bad.append(f"a run came back after {found['slowest_recovery_s']} s")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=12, help="seconds between two deaths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for logs and runs, to look at later")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiebreak-soak-", ignore_cleanup_errors=True) as given:
        folder = options.keep or Path(given)
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
        with stack(folder.absolute()) as found:
            figures = Soak(found, options).run()
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    bad = failures(figures)
    for each in bad:
        print(f"NOT HELD: {each}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
