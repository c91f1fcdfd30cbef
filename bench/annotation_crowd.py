"""The clients of the benchmark, one process each, and what their answers come to."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.services import DIES_WITH_ITS_PARENT


class Crowd:
    """Running clients. Each serves its share of the people, who take turns."""

    def __init__(self, clients: int, folder: Path):
        command = [*DIES_WITH_ITS_PARENT, sys.executable, "-m", "bench.annotation_client"]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(clients)
        ]
        self.ledgers = [folder / f"{number}.ledger" for number in range(clients)]
        self._readers = ThreadPoolExecutor(clients)

    def log_in(self, server: str, url: str, people: Sequence[Mapping[str, str]]) -> None:
        count = len(self._processes)
        shares = [[people[i % len(people)] for i in range(n, max(len(people), count), count)]
                  for n in range(count)]  # fmt: skip
        self._order(
            [{"do": "log in", "server": server, "url": url, "people": share} for share in shares]
        )

    def vote(
        self,
        campaigns: Sequence[int],
        seconds: float,
        meanwhile: Callable[[], None] = lambda: None,
        *,
        think: float = 0.0,
    ) -> "Votes":
        """Vote until the time is over, or the campaigns are finished."""
        started = time.monotonic()
        order = {"do": "vote", "campaigns": campaigns, "seconds": seconds, "think": think}
        reports = self._order(
            [{**order, "ledger": str(ledger)} for ledger in self.ledgers],
            meanwhile,
        )
        votes = Votes(reports, time.monotonic() - started)
        if not votes.count:
            raise RuntimeError(f"nobody could vote: {votes.figures()}")
        return votes

    def _order(
        self, orders: Sequence[Mapping[str, Any]], meanwhile: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        for process, order in zip(self._processes, orders, strict=True):
            assert process.stdin
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        answers = [self._readers.submit(_answer, process) for process in self._processes]
        while wait(answers, timeout=0.05).not_done:
            meanwhile()
        return [each.result() for each in answers]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        self._readers.shutdown()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a client of the benchmark died; its error stands above")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def crowd(clients: int, folder: Path) -> Iterator[Crowd]:
    folder.mkdir(parents=True, exist_ok=True)
    people = Crowd(clients, folder)
    try:
        yield people
    finally:
        people.close()


@dataclass(frozen=True, slots=True)
class Votes:
    """What one round of voting came to."""

    reports: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def count(self) -> int:
        return sum(report["votes"] for report in self.reports)

    def __add__(self, other: "Votes") -> "Votes":
        """Two rounds one after the other."""
        return Votes([*self.reports, *other.reports], self.seconds + other.seconds)

    def times(self, door: str) -> list[float]:
        return [each for report in self.reports for each in report[door]]

    def next_of(self, campaign: int) -> list[float]:
        key = str(campaign)
        return [each for report in self.reports for each in report["by_campaign"].get(key, [])]

    def figures(self) -> dict[str, Any]:
        faults = [fault for report in self.reports for fault in report["faults"]]
        return {
            "seconds": round(self.seconds, 1),
            "votes": self.count,
            "votes_per_second": round(self.count / self.seconds, 1),
            "next_ms": milliseconds(self.times("next")),
            "submit_ms": milliseconds(self.times("submit")),
            "tries_again": sum(report["tries_again"] for report in self.reports),
            "faults": len(faults),
            "first_faults": sorted(set(faults))[:5],
        }


def milliseconds(times: Sequence[float]) -> dict[str, float]:
    if not times:
        return {}
    p50, p95, p99 = (1000 * float(np.percentile(times, each)) for each in (50, 95, 99))
    return {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1)}
