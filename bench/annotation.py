"""How fast and how right annotation is under load, beside a peer where it is installed.

    python -m bench.annotation [--pairs 182000] [--seconds 30] [--json FILE]
        [--only votes,ratio,peer,faults,panels,sqlite]
        [--postgres-binaries DIR]
        [--peer label-studio (--peer-venv DIR | --peer-url URL --peer-project N --peer-people FILE)]

It starts PostgreSQL with its own settings (fsync on), migrates, imports the pairs, serves them with
gunicorn (4 workers x 2 threads) and lets client processes log in and vote on loopback. Everything
ends by itself and is thrown away. The peer gets the same server settings and the same clients; its
PostgreSQL needs the extension pg_trgm, which an installation named by --postgres-binaries may have.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.annotation_crowd import Crowd, Votes, crowd
from bench.annotation_peer import Peer, label_studio
from bench.annotation_site import CpuMeter, Site
from tools.cutting import Cut, CuttingProxy, chance_of
from tools.processes import pss_bytes
from tools.services import PostgresServer, postgres_server
from tools.web import WebServer

PARTS: Final = ("votes", "ratio", "peer", "faults", "panels", "sqlite")
PEOPLE: Final = 60
SMALL: Final = 1000  # pairs of the campaign that `next` is compared with
TURNS: Final = 3  # of ours and the peer
MEGABYTE: Final = 1024 * 1024
Figures = dict[str, Any]


class Benchmark:
    """One run: a PostgreSQL, our site on it, and what was found."""

    def __init__(self, options: argparse.Namespace, postgres: PostgresServer, folder: Path):
        self.options, self.postgres, self.folder = options, postgres, folder
        self.site = Site(self._database("tiebreak"), folder / "ours")
        self.found: Figures = {}

    def _database(self, name: str) -> str:
        import psycopg

        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"{self.postgres.url.rpartition('/')[0]}/{name}"

    def wants(self, part: str) -> bool:
        return part in self.options.only

    def run(self) -> Figures:
        say("setting up")
        self.site.set_up()
        people = self.site.job("people", count=PEOPLE)["people"]
        self._import()
        with self.site.served() as server:
            parts = {"votes": self._votes, "ratio": self._ratio, "peer": self._peer,
                     "faults": self._faults}  # fmt: skip
            for name in self.options.only:
                if name in parts:
                    parts[name](server, people)
        if self.wants("panels"):
            self._panels()
        if self.wants("sqlite"):
            self._sqlite()
        return self.found

    def _import(self) -> None:
        say(f"importing {self.options.pairs} pairs")
        figures = self.site.job("import", name="large", pairs=self.options.pairs)
        self.large = figures["campaign"]
        self.small = self.site.job("import", name="small", pairs=SMALL)["campaign"]
        self.found["import"] = figures

    def _votes(self, server: WebServer, people: Sequence[Any]) -> None:
        """Eight clients without think time."""
        side = Side("tiebreak", server, self.postgres, self.large)
        with crowd(self.options.clients, self.folder / "votes") as clients:
            side.begin(clients, people)
            say(f"{self.options.clients} clients vote for {self.options.seconds} s")
            side.vote(self.options.seconds)
            ledgers = [str(each) for each in clients.ledgers]
        self.found["votes"] = {
            "clients": self.options.clients,
            **side.figures(),
            "audit": self.site.job("audit", ledgers=ledgers, campaigns=[self.large]),
            "pss_mb": round(pss_bytes(server.pid) / MEGABYTE),
        }

    def _ratio(self, server: WebServer, people: Sequence[Any]) -> None:
        """One client asks in the small and in the large campaign by turns."""
        say("next at few and at many pairs")
        with crowd(1, self.folder / "ratio") as clients:
            clients.log_in("tiebreak", server.url, people[:1])
            clients.vote([self.small, self.large], 2)
            votes = clients.vote([self.small, self.large], self.options.seconds / 2)
        medians = {
            name: 1000 * statistics.median(votes.next_of(campaign))
            for name, campaign in (("small", self.small), ("large", self.large))
        }
        self.found["ratio"] = {
            "one_client": votes.figures(),
            "small_pairs": SMALL,
            "small_ms": round(medians["small"], 2),
            "large_pairs": self.options.pairs,
            "large_ms": round(medians["large"], 2),
            "ratio": round(medians["large"] / medians["small"], 3),
        }

    def _faults(self, server: WebServer, people: Sequence[Any]) -> None:
        """Connections are cut, workers killed; then the last pairs of a campaign are raced for."""
        say(f"{self.options.crowd} clients, cut connections, killed workers")
        contest = self.site.job("import", name="contest", pairs=self.options.contest)["campaign"]
        chance = random.Random(1)
        rounds = []
        with (
            crowd(self.options.crowd, self.folder / "faults") as clients,
            CuttingProxy(server.port, chance_of(0.01, chance)) as proxy,
        ):
            clients.log_in("tiebreak", f"http://127.0.0.1:{proxy.port}", people)
            for campaign in (self.large, contest):
                killer = Killer(server, chance)
                rounds.append(clients.vote([campaign], self.options.seconds, killer))
            ledgers = [str(each) for each in clients.ledgers]
        self.found["faults"] = {
            "clients": self.options.crowd,
            "rounds": [each.figures() for each in rounds],
            "requests": sum(proxy.requests.values()),
            "cut_before": proxy.requests[Cut.BEFORE],
            "cut_after": proxy.requests[Cut.AFTER],
            "workers_killed": server.killed,
            **self.site.job("audit", ledgers=ledgers, campaigns=[self.large, contest]),
        }

    def _panels(self) -> None:
        """In a database of its own, where every triplet has all its votes."""
        say("panels of the dashboard")
        site = Site(self._database("figures"), self.folder / "figures")
        site.set_up()
        filled = site.job("fill", pairs=self.options.pairs, people=PEOPLE)
        campaign = filled["campaign"]
        names = site.job("panels", campaign=campaign)["panels"]
        found = [site.job("panels", campaign=campaign, panel=name) for name in names]
        self.found["panels"] = {
            **filled,
            "seconds_by_panel": {each["panel"]: round(each["seconds"], 3) for each in found},
        }

    def _sqlite(self) -> None:
        """Eight web processes write one file."""
        say("SQLite, 8 processes")
        folder = self.folder / "sqlite"
        site = Site(f"sqlite:///{folder / 'tiebreak.sqlite3'}", folder)
        site.set_up()
        people = site.job("people", count=PEOPLE)["people"]
        campaign = site.job("import", name="sqlite", pairs=min(self.options.pairs, 20_000))
        with (
            site.served(workers=8, threads=1) as server,
            crowd(8, folder / "ledgers") as clients,
        ):
            clients.log_in("tiebreak", server.url, people)
            clients.vote([campaign["campaign"]], 2)
            votes = clients.vote([campaign["campaign"]], self.options.seconds / 2)
            ledgers = [str(each) for each in clients.ledgers]
        self.found["sqlite"] = {
            "clients": 8,
            **votes.figures(),
            "pairs": campaign["pairs"],
            "lock_errors": site.log.read_text().count("database is locked"),
            **site.job("audit", ledgers=ledgers, campaigns=[campaign["campaign"]]),
        }

    def _peer(self, server: WebServer, people: Sequence[Any]) -> None:
        """The same clients at both, by turns: what else the machine does meets both alike."""
        if not self.options.peer:
            return
        if self.options.peer_url:
            self.found["peer"] = {"name": self.options.peer, "rounds": [self._foreign_peer()]}
            return
        say(f"setting up {self.options.peer}")
        database, folder = self._database("peer"), self.folder / "peer"
        with label_studio(self.options.peer_venv, database, folder, self.options.clients) as peer:
            rounds = [self._against(server, people, peer, each) for each in self.options.peer_tasks]
            pss = round(pss_bytes(peer.server.pid) / MEGABYTE)
        self.found["peer"] = {"name": self.options.peer, "pss_mb": pss, "rounds": rounds}

    def _against(self, server: WebServer, people: Sequence[Any], peer: Peer, tasks: int) -> Figures:
        project, seconds = peer.make_project(tasks)
        ours = Side("tiebreak", server, self.postgres, self.large)
        theirs = Side("label-studio", peer.server, self.postgres, project)
        folder = self.folder / f"peer-{tasks}"
        with (
            crowd(self.options.clients, folder / "ours") as of_ours,
            crowd(self.options.clients, folder / "theirs") as of_theirs,
        ):
            ours.begin(of_ours, people)
            theirs.begin(of_theirs, peer.people[1:])
            say(f"{self.options.peer} at {tasks} tasks and ours by turns")
            for _ in range(TURNS):
                for side in (ours, theirs):
                    side.vote(self.options.seconds / TURNS)
        found, against = ours.figures(), theirs.figures()
        ratio = found["votes_per_second"] / max(against["votes_per_second"], 0.1)
        return {
            "tasks": tasks,
            "import_seconds": round(seconds, 2),
            **against,
            "ours": found,
            "ours_to_peer": round(ratio, 1),
        }

    def _foreign_peer(self) -> Figures:
        """A server that runs already: what it costs cannot be seen from here."""
        people = json.loads(self.options.peer_people.read_text())
        with crowd(self.options.clients, self.folder / "peer") as clients:
            clients.log_in(self.options.peer, self.options.peer_url, people)
            clients.vote([self.options.peer_project], 3)
            return clients.vote([self.options.peer_project], self.options.seconds).figures()


class Side:
    """One of those who are compared: who votes where, and what it cost."""

    def __init__(self, kind: str, server: WebServer, postgres: PostgresServer, campaign: int):
        self._kind, self._server, self._campaign = kind, server, campaign
        self._meter = CpuMeter(web=server.pid, database=postgres.pid)
        self._votes = Votes([], 0.0)

    def begin(self, clients: Crowd, people: Sequence[Any]) -> None:
        """Log in, and vote for some seconds that do not count."""
        self._clients = clients
        clients.log_in(self._kind, self._server.url, people)
        clients.vote([self._campaign], 3)

    def vote(self, seconds: float) -> None:
        with self._meter:
            self._votes += self._clients.vote([self._campaign], seconds)

    def figures(self) -> Figures:
        per_vote = self._meter.milliseconds_per(self._votes.count)
        return {**self._votes.figures(), "cpu_ms_per_vote": per_vote}


class Killer:
    """Called again and again while clients vote: kills a web worker every three seconds."""

    EVERY: Final = 3.0

    def __init__(self, server: WebServer, chance: random.Random):
        self._server, self._chance = server, chance
        self._next = time.monotonic() + self.EVERY

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            self._server.kill_a_worker(self._chance)
            self._next = time.monotonic() + self.EVERY


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=182_000)
    parser.add_argument("--seconds", type=float, default=30, help="of each round of voting")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--crowd", type=int, default=32, help="clients of the run with faults")
    parser.add_argument("--contest", type=int, default=400, help="pairs that they vote to the end")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--postgres-binaries", type=Path)
    parser.add_argument("--peer", choices=["label-studio"])
    parser.add_argument("--peer-venv", type=Path)
    parser.add_argument("--peer-url", default="")
    parser.add_argument("--peer-project", type=int)
    parser.add_argument("--peer-people", type=Path, help='JSON: [{"user", "password": token}]')
    parser.add_argument("--peer-tasks", type=int, nargs="+", default=[5000])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if unknown := sorted(set(options.only) - set(PARTS)):
        parser.error(f"--only knows {', '.join(PARTS)}, not {unknown[0]!r}")
    if options.peer and not (options.peer_venv or (options.peer_url and options.peer_people)):
        parser.error("--peer needs --peer-venv, or --peer-url with --peer-project, --peer-people")
    return options


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tiebreak-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def main() -> None:
    options = read_options()
    before = os.getloadavg()
    with (
        scratch() as folder,
        postgres_server(durable=True, binaries=options.postgres_binaries) as postgres,
    ):
        benchmark = Benchmark(options, postgres, folder)
        try:
            found = benchmark.run()
        except BaseException:
            print(json.dumps(benchmark.found, indent=1))  # what was measured before it broke
            raise
        version = postgres.version
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": [round(each, 1) for each in before],
        "load_average_after": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
        "postgres": version,
    }
    figures = {"machine": machine, "pairs": options.pairs, **found}
    print(json.dumps(figures, indent=1))
    if options.json:
        whole = set(options.only) >= set(PARTS) - {"peer"}
        known = {} if whole or not options.json.exists() else json.loads(options.json.read_text())
        text = json.dumps(merged(known, figures), indent=1)
        options.json.write_text(text + "\n")


def merged(known: Figures, found: Figures) -> Figures:
    """Parts that were measured again take the place of the old ones, and say when they were."""
    if not known:
        return found
    parts = {name: each for name, each in found.items() if name not in ("machine", "pairs")}
    again = dict.fromkeys(parts, found["machine"])
    return {**known, **parts, "again": {**known.get("again", {}), **again}}


if __name__ == "__main__":
    main()
