"""One process of voters for the benchmark: takes orders on stdin, one JSON object a line.

    {"do": "log in", "server": "tiebreak" | "label-studio", "url", "people": [{"user", "password"}]}
    {"do": "vote", "campaigns": [id], "seconds", "ledger"}

It answers each order with one line. Its people take turns, and each asks for a pair and votes on it
at once. Every acknowledged vote is in the ledger, fsynced, before anything else happens.

For fault tests: a person may come with the "cookies" of a session instead of a password, and "vote"
takes the shares "abandon" (the browser dies with its pair) and "late" (the vote comes "late_by"
seconds later). For the soak it takes "think": seconds before each vote.
"""

import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from demo.client import Client, Reply, SiteError

_WORDS = ("left", "tie", "right")


@dataclass(frozen=True, slots=True)
class Task:
    """A pair to judge; `body` is what the server gave."""

    key: str
    body: Mapping[str, Any]


class Voter(Protocol):
    """One person at a server. The peer is measured by another class of this shape."""

    def log_in(self, person: Mapping[str, Any]) -> None: ...

    def next(self, campaign: int) -> Task | None: ...

    def submit(self, task: Task, chance: random.Random) -> str:
        """The id under which the server acknowledged the vote."""
        ...

    def abandon(self) -> None:
        """Come back as another browser that knows of no pair."""
        ...


class TiebreakVoter:
    def __init__(self, client: Client):
        self._client, self._tab = client, str(uuid.uuid4())

    def log_in(self, person: Mapping[str, Any]) -> None:
        if "cookies" in person:
            self._client.resume(person["cookies"])
        else:
            self._client.log_in(person["user"], person["password"])

    def abandon(self) -> None:
        self._tab = str(uuid.uuid4())

    def next(self, campaign: int) -> Task | None:
        given = self._client.post(f"/api/campaigns/{campaign}/next", {"tab": self._tab})
        return None if given.get("empty") else Task(given["lease"], given)

    def submit(self, task: Task, chance: random.Random) -> str:
        given = task.body
        vote = {
            "lease": task.key,
            "left_video": given["left"]["id"],
            "right_video": given["right"]["id"],
            "judgements": {
                each["key"]: {"label": chance.choice(_WORDS)} for each in given["dimensions"]
            },
            "timing": {"active_ms": 4000},
        }
        answer = self._client.post("/api/votes", vote, {"Idempotency-Key": task.key})
        return str(answer["vote"])


class WithToken(Client):
    """The same client with a token in the place of a session."""

    token = ""

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        return super()._once(
            method, path, body, {"Authorization": f"Token {self.token}", **headers}
        )


class LabelStudioVoter:
    """`campaigns` are its projects; three required choices per task, as bench.annotation_peer."""

    def __init__(self, client: WithToken):
        self._client = client

    def log_in(self, person: Mapping[str, Any]) -> None:
        self._client.token = person["password"]
        self._client.get("/api/current-user/whoami")

    def abandon(self) -> None:
        """It knows no tabs: the same task is given again."""

    def next(self, campaign: int) -> Task | None:
        try:
            given = self._client.get(f"/api/projects/{campaign}/next")
        except SiteError as error:
            if error.status == 404:  # no more tasks for this person
                return None
            raise
        return Task(str(given["id"]), given)

    def submit(self, task: Task, chance: random.Random) -> str:
        result = [
            {
                "from_name": name,
                "to_name": "a",
                "type": "choices",
                "value": {"choices": [chance.choice(("A", "same", "B"))]},
            }
            for name in ("VQ", "MQ", "TA")
        ]
        body = {"result": result, "lead_time": 4.0}
        return str(self._client.post(f"/api/tasks/{task.key}/annotations", body)["id"])


def voter_for(server: str, url: str, pause: "Pauses") -> Voter:
    if server == "label-studio":
        return LabelStudioVoter(WithToken(url, pause=pause))
    return TiebreakVoter(Client(url, pause=pause))


class Pauses:
    """How the clients wait before a new try; counts the tries."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self, seconds: float) -> None:
        self.taken += 1
        time.sleep(seconds)


@dataclass(slots=True)
class Report:
    """What one order came to; times in seconds."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    by_campaign: dict[int, list[float]] = field(default_factory=dict)
    votes: int = 0
    empty: int = 0
    faults: list[str] = field(default_factory=list)
    tries_again: int = 0


class Seats:
    """The people of this process."""

    def __init__(self, seed: int):
        self.chance, self.pauses = random.Random(seed), Pauses()
        self.voters: list[Voter] = []

    def log_in(self, orders: Mapping[str, Any]) -> dict[str, Any]:
        for person in orders["people"]:
            voter = voter_for(orders["server"], orders["url"], self.pauses)
            voter.log_in(person)
            self.voters.append(voter)
        return {"people": len(self.voters)}

    def vote(self, orders: Mapping[str, Any]) -> dict[str, Any]:
        """Until the time is over, or until nobody finds a pair any more."""
        report, until = Report(), time.monotonic() + orders["seconds"]
        before = self.pauses.taken
        with open(orders["ledger"], "a") as ledger:  # noqa: PTH123
            for voter, campaign in self._turns(orders["campaigns"]):
                if time.monotonic() > until or report.empty >= 3 * len(self.voters):
                    break
                self._one(voter, campaign, orders, report, ledger.fileno())
        report.tries_again = self.pauses.taken - before
        return {each: getattr(report, each) for each in Report.__dataclass_fields__}

    def _turns(self, campaigns: Sequence[int]) -> Iterator[tuple[Voter, int]]:
        while True:
            for voter in self.voters:
                for campaign in campaigns:
                    yield voter, campaign

    def _one(
        self,
        voter: Voter,
        campaign: int,
        orders: Mapping[str, Any],
        report: Report,
        ledger: int,
    ) -> None:
        started = time.perf_counter()
        try:
            task = voter.next(campaign)
            given = time.perf_counter()
            if task is None:
                report.empty += 1
                time.sleep(0.05)
                return
            if self.chance.random() < orders.get("abandon", 0):
                voter.abandon()
                return
            time.sleep(orders.get("think", 0))
            if self.chance.random() < orders.get("late", 0):
                time.sleep(orders["late_by"])
            vote = voter.submit(task, self.chance)
        except SiteError as error:
            report.faults.append(f"{error.status} {error}")
            return
        done = time.perf_counter()
        os.write(ledger, f"{campaign} {task.key} {vote}\n".encode())
        os.fsync(ledger)
        report.empty = 0
        report.votes += 1
        report.next.append(given - started)
        report.submit.append(done - given)
        report.by_campaign.setdefault(campaign, []).append(given - started)


def main() -> None:
    seats = Seats(os.getpid())
    acts = {"log in": seats.log_in, "vote": seats.vote}
    for line in sys.stdin:
        orders = json.loads(line)
        print(json.dumps(acts[orders["do"]](orders)), flush=True)


if __name__ == "__main__":
    main()
