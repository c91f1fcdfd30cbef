"""Processor time of requests, with the garbage collector as Python sets it and as the site does.

    python -m bench.requests [--turns 9] [--json FILE]

One process on SQLite, loaded and frozen as a web worker is (`config.gunicorn`). The same requests
are answered in turns under both thresholds; nothing else of the process differs.
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.annotation_site import Site
from config import gunicorn

PYTHONS: Final = (700, 10, 10)
MANY: Final = 40  # requests of a kind in a turn
TURNS: Final = 9
Ask = Callable[[], Any]


class Browsers:
    """Of an annotator and of an administrator."""

    def __init__(self, campaign: int):
        from django.contrib.auth.models import User
        from django.test import Client

        self._campaign, self._tab = campaign, str(uuid.uuid4())
        self._annotator, self._administrator = (Client(SERVER_NAME="localhost") for _ in range(2))
        self._annotator.force_login(User.objects.get(username="annotator0"))
        self._administrator.force_login(User.objects.create_superuser("administrator"))

    def kinds(self) -> dict[str, Ask]:
        campaign = self._campaign
        pages = {
            "a lead's page of a campaign": f"/campaigns/{campaign}/",
            "the list of runs": "/runs/",
            "the admin's list of triplets": "/admin/annotation/triplet/",
        }
        return {
            "a pair given and voted on": self._vote,
            "the voting page": lambda: self._annotator.get(f"/annotate/{campaign}/"),
        } | {name: partial(self._administrator.get, path) for name, path in pages.items()}

    def _vote(self) -> Any:
        given = self._post(f"/api/campaigns/{self._campaign}/next", {"tab": self._tab}).json()
        ballot = {
            "lease": given["lease"],
            "left_video": given["left"]["id"],
            "right_video": given["right"]["id"],
            "judgements": {each["key"]: {"label": "left"} for each in given["dimensions"]},
            "timing": {"active_ms": 4000},
        }
        return self._post("/api/votes", ballot, {"Idempotency-Key": given["lease"]})

    def _post(self, path: str, body: Any, headers: Any = None) -> Any:
        return self._annotator.post(path, body, content_type="application/json", headers=headers)


def milliseconds(ask: Ask, thresholds: tuple[int, int, int]) -> float:
    """Processor time of one request, the mean of `MANY`."""
    gc.set_threshold(*thresholds)
    gc.collect()
    started = time.process_time()
    answers = [ask().status_code for _ in range(MANY)]
    spent = time.process_time() - started
    if set(answers) - {200, 201}:
        raise RuntimeError(f"expected answers 200 and 201, got {sorted(set(answers))}")
    return spent / MANY * 1000


def measured(kinds: dict[str, Ask], turns: int) -> dict[str, dict[str, float]]:
    for ask in kinds.values():  # templates and addresses are read once
        ask()
    gc.collect()
    gc.freeze()
    ways = {"plain": PYTHONS, "ours": gunicorn.THRESHOLDS}
    found: dict[str, dict[str, list[float]]] = {name: {"plain": [], "ours": []} for name in kinds}
    for turn in range(turns):
        order = list(ways) if turn % 2 else list(reversed(ways))
        for name, ask in kinds.items():
            for way in order:
                found[name][way].append(milliseconds(ask, ways[way]))
    return {
        name: {way: round(statistics.median(each[way]), 2) for way in ways}
        for name, each in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiebreak-bench-") as folder:
        site = Site(f"sqlite:///{folder}/site.sqlite3", Path(folder))
        site.set_up()
        site.job("people", count=1)
        pairs = MANY * 2 * given.turns + 100
        campaign = site.job("import", name="Requests", pairs=pairs)["campaign"]
        os.environ.update(site.environment)
        import django

        django.setup()
        requests = measured(Browsers(campaign).kinds(), given.turns)
    for name, each in requests.items():
        print(
            f"{name:<30}plain {each['plain']:6.2f} ms  ours {each['ours']:6.2f} ms"
            f"  {each['ours'] / each['plain']:.2f}"
        )
    if given.json:
        found = {"turns": given.turns, "many": MANY, "thresholds": list(gunicorn.THRESHOLDS)}
        given.json.write_text(json.dumps(found | {"requests": requests}, indent=1) + "\n")


if __name__ == "__main__":
    main()
