"""`python -m demo annotate RUN_DIR`: simulated people vote through the site's own REST API.

They log in, claim pairs, fetch the clips and vote like a browser does. What a clip is worth they
know from recipes.jsonl by its pixels, or measure it where a generator made it. A run
that was stopped goes on where the site stands: a vote that was cast is never cast again.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from demo.annotators import Annotator
from demo.client import Client, SiteError
from demo.clip_files import read_clip, read_image, sha256_of_pixels
from demo.render import RECIPES
from demo.worlds import FIRST, WORLDS, WorldKind
from formats.files import read_jsonl, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, Supervised

VOTES: Final = "votes/1"
LOG_EVERY: Final = 20  # votes

Fetch = Callable[[str], bytes]

_PERSON: Final = {"user", "password", "seed", "noise", "tie", "side_bias", "careless"}


@dataclass(frozen=True, slots=True)
class Person:
    user: str
    password: str = field(repr=False)
    seed: int
    annotator: Annotator

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        unknown = sorted(set(row) - _PERSON)
        if unknown:
            raise BadConfigError(f"unknown key {unknown[0]!r} of an annotator")
        for key in ("user", "password", "seed"):
            if key not in row:
                raise BadConfigError(f"an annotator needs the key {key!r}")
        habits = {key: row[key] for key in _PERSON - {"user", "password", "seed"} if key in row}
        return cls(row["user"], row["password"], int(row["seed"]), Annotator(**habits))


@dataclass(frozen=True, slots=True)
class AnnotateConfig:
    """`votes_each`: of each person in the campaign, those of earlier runs included; None goes on
    until the queue is empty for everybody.

    `patience_seconds`: how long to wait for pairs that others hold, a person at the voting page for
    example. `pause_seconds`: the pause of one person between two votes. `campaign`: id or name.
    `world`: the one that all clips of the campaign belong to.
    """

    url: str
    campaign: int | str
    annotators: tuple[Person, ...]
    votes_each: int | None = None
    world: str = FIRST
    recipes: str = ""
    workers: int = 2
    pause_seconds: float = 0.0
    patience_seconds: float = 20.0

    def __post_init__(self) -> None:
        if not self.annotators:
            raise BadConfigError("annotators must name at least one person")
        if self.world not in WORLDS:
            raise BadConfigError(f"world must be one of {', '.join(WORLDS)}, got {self.world!r}")
        if self.votes_each is not None and self.votes_each < 1:
            raise BadConfigError(f"votes_each must be at least 1 or null, got {self.votes_each}")
        if self.workers < 1:
            raise BadConfigError(f"workers must be at least 1, got {self.workers}")
        if self.pause_seconds < 0 or self.patience_seconds < 0:
            raise BadConfigError("pause_seconds and patience_seconds must not be negative")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {each.name for each in fields(cls)}
        for key in values:
            if key not in known:
                raise BadConfigError(f"unknown key {key!r}; known keys: {', '.join(sorted(known))}")
        for key in ("url", "campaign", "annotators"):
            if key not in values:
                raise BadConfigError(f"the key {key!r} is missing")
        people = tuple(Person.from_json(row) for row in values["annotators"])
        return cls(**{**values, "annotators": people})


class Judge:
    """What clips are worth, by their pixels; shared by all people, because the truth is one."""

    def __init__(self, recipes: Mapping[str, Mapping[str, float]], kind: WorldKind):
        self._recipes, self._kind = recipes, kind
        self._known: dict[tuple[str, str], tuple[str, dict[str, float]]] = {}
        self._lock = threading.Lock()
        self.measured = 0

    def quality(
        self, video: Mapping[str, Any], prompt: Mapping[str, Any], fetch: Fetch
    ) -> tuple[str, dict[str, float]]:
        """The name of a clip's pixels and its reward per dimension; each clip is fetched once.

        `video`, `prompt`: as the site's API gives them; a prompt may name a start image.
        """
        key = (str(video["id"]), str(prompt["text"]))
        found = self._known.get(key)
        if found is None:
            content = fetch(str(video["url"]))
            with self._lock:  # measuring is numpy: two at once would only take turns
                found = self._known[key] = self._look(content, prompt, fetch)
        return found

    def _look(
        self, content: bytes, prompt: Mapping[str, Any], fetch: Fetch
    ) -> tuple[str, dict[str, float]]:
        frames = read_clip(content)
        sha256 = sha256_of_pixels(frames)
        if sha256 in self._recipes:
            return sha256, dict(self._recipes[sha256])
        self.measured += 1
        image = prompt.get("image")
        start = None if image is None else read_image(fetch(str(image["url"])))
        return sha256, self._kind.measure(frames, prompt["text"], start)


class Seat:
    """One person at the site, and how many votes they cast in this run."""

    def __init__(self, person: Person, config: AnnotateConfig):
        self.person = person
        self.client = Client(config.url)
        self.tab = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{config.url}/{person.user}"))
        self.votes = 0  # in this run
        self.votes_before = 0
        self.next_at = 0.0  # of time.monotonic()
        self.waiting_since: float | None = None

    def vote(self, campaign: int, judge: Judge) -> Mapping[str, Any] | None:
        """Claim a pair and vote on it; what the site says instead where there is none."""
        given = self.client.post(f"/api/campaigns/{campaign}/next", {"tab": self.tab})
        if given.get("empty"):
            return given
        prompt = given["prompt"]
        left_sha, left = judge.quality(given["left"], prompt, self.client.get_bytes)
        right_sha, right = judge.quality(given["right"], prompt, self.client.get_bytes)
        # The opinion of a person on two clips is fixed: a run that is tried again repeats it.
        rng = np.random.default_rng(
            [self.person.seed, int(left_sha[:12], 16), int(right_sha[:12], 16)]
        )
        labels = self.person.annotator.judge(left, right, rng)
        self.client.post(
            "/api/votes",
            {
                "lease": given["lease"],
                "left_video": given["left"]["id"],
                "right_video": given["right"]["id"],
                "judgements": {
                    each["key"]: {"label": labels[each["key"]]} for each in given["dimensions"]
                },
                "timing": {"simulated": True},
            },
            {"Idempotency-Key": given["lease"]},
        )
        self.votes += 1
        self.waiting_since = None
        return None


class Crowd:
    """All seats, served by a few threads; the main thread logs and obeys the supervisor."""

    def __init__(self, run: Supervised, config: AnnotateConfig, judge: Judge):
        self.run, self.config, self.judge = run, config, judge
        self.seats = [Seat(person, config) for person in config.annotators]
        self.campaign, self.total = 0, 0
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._logged = -LOG_EVERY
        self._started = time.monotonic()

    @property
    def votes(self) -> int:
        """Cast in this run."""
        return sum(seat.votes for seat in self.seats)

    @property
    def votes_before(self) -> int:
        return sum(seat.votes_before for seat in self.seats)

    def log_in(self) -> None:
        for seat in self.seats:
            self.run.check()
            try:
                seat.client.log_in(seat.person.user, seat.person.password)
            except SiteError as error:
                if error.status == 200:  # the form again, with its complaint
                    raise BadConfigError(str(error)) from error
                raise
            campaign = self._find_campaign(seat)
            seat.votes_before = campaign["mine"]
            self.campaign = campaign["id"]
            self.total = campaign["total"] * campaign["votes_wanted"]
        if self.config.votes_each is not None:
            self.total = self.config.votes_each * len(self.seats)

    def _find_campaign(self, seat: Seat) -> dict[str, Any]:
        wanted = self.config.campaign
        campaigns: list[dict[str, Any]] = seat.client.get("/api/campaigns")["campaigns"]
        for row in campaigns:
            if wanted in (row["id"], row["name"]):
                return row
        names = ", ".join(repr(row["name"]) for row in campaigns) or "none"
        raise BadConfigError(
            f"{seat.person.user!r} sees no campaign {wanted!r} to vote in, but: {names}"
        )

    def vote(self) -> None:
        """Until everybody has cast their votes, or nobody finds a pair any more."""
        while True:
            before = self.votes
            self._round()
            # A pair on which people split asks for one more vote, which those who found the queue
            # empty before may still cast.
            if self.config.votes_each is not None or self.votes == before:
                return

    def _round(self) -> None:
        seats = [seat for seat in self.seats if not self._has_done_enough(seat)]
        for seat in seats:
            seat.waiting_since = None
        shares = [seats[number :: self.config.workers] for number in range(self.config.workers)]
        threads = [
            threading.Thread(target=self._serve_all, args=(share,), daemon=True)
            for share in shares
            if share
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
                self._log()
                self.run.check()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            self._stop.clear()
        if self._error is not None:
            raise self._error

    def _serve_all(self, seats: list[Seat]) -> None:
        """One thread: its people take turns until none of them goes on."""
        try:
            while seats and not self._stop.is_set():
                seats = [seat for seat in seats if self._stop.is_set() or self._serve(seat)]
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            self._error = error
            self._stop.set()

    def _serve(self, seat: Seat) -> bool:
        """Let one person vote once; whether they go on."""
        now = time.monotonic()
        if now < seat.next_at:
            time.sleep(min(0.02, seat.next_at - now))
            return True
        said = seat.vote(self.campaign, self.judge)
        if said is None:
            seat.next_at = time.monotonic() + self.config.pause_seconds
            return not self._has_done_enough(seat)
        return self._waits(seat, float(said["retry_after"]))

    def _waits(self, seat: Seat, retry_after: float) -> bool:
        """Others may give pairs back within seconds; a minute means that nothing is to come."""
        now = time.monotonic()
        seat.waiting_since = seat.waiting_since or now
        seat.next_at = now + 1.0
        return retry_after < 60 and now - seat.waiting_since < self.config.patience_seconds

    def _has_done_enough(self, seat: Seat) -> bool:
        wanted = self.config.votes_each
        return wanted is not None and seat.votes_before + seat.votes >= wanted

    def _log(self) -> None:
        votes = self.votes_before + self.votes
        if votes < self._logged + LOG_EVERY and not (votes >= self.total > self._logged):
            return
        self._logged = votes
        rate = self.votes / max(time.monotonic() - self._started, 1e-3)
        self.run.dir.log_metrics(
            votes, max(self.total, votes), {"votes_per_second": rate}, stage="voting"
        )

    def close(self) -> None:
        for seat in self.seats:
            seat.client.close()


def annotate(run: Supervised) -> Outcome:
    """The body of the command."""
    config = AnnotateConfig.from_json(run.dir.config())
    judge = Judge(_read_recipes(config.recipes), WORLDS[config.world])
    crowd = Crowd(run, config, judge)
    try:
        crowd.log_in()
        crowd.vote()
    finally:
        crowd.close()
    people = {seat.person.user: seat.votes for seat in crowd.seats}
    path = run.dir.outputs / "votes.json"
    summary = {"votes": crowd.votes, "people": len(people), "measured_clips": judge.measured}
    sha256 = write_json(path, VOTES, {**summary, "by_person": people})
    output = Output(OutputKind.VOTES, "outputs/votes.json", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _read_recipes(path: str) -> dict[str, dict[str, float]]:
    if not path:
        return {}
    return {row["pixels_sha256"]: row["quality"] for _, row in read_jsonl(Path(path), RECIPES)}
