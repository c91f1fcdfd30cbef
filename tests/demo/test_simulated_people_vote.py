"""Simulated people vote on the real site, over HTTP, and stop and go on without a vote too many."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.annotate import AnnotateConfig, annotate
from demo.client import PAUSES, Client, SiteError
from demo.render import PAIRS, render_world
from formats.files import read_jsonl
from formats.outcome import OutputKind
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised

PASSWORD = "a long test password"


@pytest.fixture
def world(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "world")
    run.prepare({"prompts": 2, "clips_per_prompt": 3, "generators": ["aurora", "drift"]}, {})
    render_world(Supervised(run))
    return run


@pytest.fixture
def campaign(transactional_db: None, world: RunDir) -> Any:
    """Six pairs of the procedural world, two votes wanted on each."""
    from annotation.campaigns import create_campaign, ensure_built_in_sets, open_campaign
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_video
    from annotation.models import Prompt

    ensure_built_in_sets()
    made = create_campaign("world", "videoalign", votes_wanted=2)
    pairs, videos = [], {}
    for _, row in read_jsonl(world.outputs / "pairs.jsonl", PAIRS):
        digest = hashlib.sha256(row["prompt"].encode()).hexdigest()
        prompt, _ = Prompt.objects.get_or_create(sha256=digest, defaults={"text": row["prompt"]})
        for side in (row["a"], row["b"]):
            videos.setdefault(side, None)
            videos[side] = videos[side] or store_video(world.outputs / side, prompt=prompt)
        pairs.append((prompt, videos[row["a"]], videos[row["b"]]))
    create_triplets(made, pairs)
    open_campaign(made)
    return made


@pytest.fixture
def people(transactional_db: None) -> list[dict[str, Any]]:
    from django.contrib.auth.models import Group, User

    from annotation.permissions import ensure_groups

    ensure_groups()
    for number in range(3):
        user = User.objects.create_user(f"sim-{number}", password=PASSWORD)
        user.groups.add(Group.objects.get(name="annotator"))
    return [{"user": f"sim-{n}", "password": PASSWORD, "seed": n, "noise": 0.2} for n in range(3)]


def voting_run(folder: Path, url: str, people: list[dict[str, Any]], **config: Any) -> Supervised:
    run = RunDir(folder)
    common = {"url": url, "campaign": "world", "annotators": people, "patience_seconds": 2}
    run.prepare({**common, **config}, {})
    return Supervised(run)


def test_they_vote_until_the_queue_is_empty_and_know_every_clip(
    live_server: Any, campaign: Any, people: list[dict[str, Any]], world: RunDir, tmp_path: Path
) -> None:
    from annotation.models import Judgement, Vote

    recipes = str(world.outputs / "recipes.jsonl")
    run = voting_run(tmp_path / "votes", live_server.url, people, recipes=recipes)
    outcome = annotate(run)

    assert outcome.outputs[0].kind is OutputKind.VOTES
    assert outcome.summary["measured_clips"] == 0  # all known by their pixels
    counted = Vote.objects.filter(triplet__campaign=campaign, state="counted")
    # Six pairs of two votes, and one more vote for each pair on which two people split.
    assert 12 <= counted.count() == outcome.summary["votes"] <= 18
    assert Judgement.objects.count() == 3 * Vote.objects.count()
    lines, _ = run.dir.metrics_from(0)
    assert lines[-1].stage == "voting"

    again = annotate(voting_run(tmp_path / "again", live_server.url, people, recipes=recipes))
    assert again.summary["votes"] == 0


def test_votes_each_counts_those_of_earlier_runs_and_unknown_clips_are_measured(
    live_server: Any, campaign: Any, people: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = annotate(voting_run(tmp_path / "a", live_server.url, people[:1], votes_each=2))
    assert first.summary["votes"] == 2
    assert first.summary["measured_clips"] >= 2
    second = annotate(voting_run(tmp_path / "b", live_server.url, people[:1], votes_each=3))
    assert second.summary["votes"] == 1


def anime_campaign(folder: Path, dimensions: str) -> Any:
    """Clips of the anime world with their start images, one vote wanted on each pair."""
    from annotation.campaigns import create_campaign, ensure_built_in_sets, open_campaign
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_reference_image, store_video
    from annotation.models import Prompt

    ensure_built_in_sets()
    made = create_campaign("anime world", dimensions, votes_wanted=1)
    pairs = []
    for _, row in read_jsonl(folder / "pairs.jsonl", PAIRS):
        image = store_reference_image(folder / row["image"])
        prompt = Prompt.objects.for_text(row["prompt"], image)
        a, b = (store_video(folder / row[side], prompt=prompt) for side in ("a", "b"))
        pairs.append((prompt, a, b))
    create_triplets(made, pairs)
    open_campaign(made)
    return made


def test_they_judge_six_dimensions_by_the_start_image_that_the_site_shows(
    live_server: Any, transactional_db: None, people: list[dict[str, Any]], tmp_path: Path
) -> None:
    from annotation.models import Judgement, Vote

    world = RunDir(tmp_path / "world")
    config = {"world": "anime", "prompts": 1, "clips_per_prompt": 2, "pairs_per_prompt": 1}
    world.prepare(config, {})
    render_world(Supervised(world))
    made = anime_campaign(world.outputs, "anime")
    chosen = {"campaign": "anime world", "world": "anime"}
    outcome = annotate(voting_run(tmp_path / "votes", live_server.url, people[:1], **chosen))
    assert outcome.summary["votes"] == Vote.objects.filter(triplet__campaign=made).count() == 1
    assert outcome.summary["measured_clips"] == 2  # nobody gave them the recipes
    assert Judgement.objects.filter(vote__triplet__campaign=made).count() == 6


def test_a_wrong_password_or_campaign_is_named(
    live_server: Any, campaign: Any, people: list[dict[str, Any]], tmp_path: Path
) -> None:
    stranger = [{"user": "nobody", "password": "wrong", "seed": 0}]
    with pytest.raises(BadConfigError, match="does not let 'nobody' log in"):
        annotate(voting_run(tmp_path / "a", live_server.url, stranger))
    with pytest.raises(BadConfigError, match=r"no campaign 'moon' .* but: 'world'"):
        annotate(voting_run(tmp_path / "b", live_server.url, people, campaign="moon"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"annotators": []}, "at least one person"),
        ({"votes_each": 0}, "votes_each must be at least 1"),
        ({"world": "third"}, "world must be one of first, anime, got 'third'"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"speed": 2}, "unknown key 'speed'"),
        ({"annotators": [{"user": "a", "password": "b"}]}, "needs the key 'seed'"),
        ({"annotators": [{"user": "a", "mood": 1}]}, "unknown key 'mood'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict[str, Any], complaint: str) -> None:
    person = {"user": "a", "password": "b", "seed": 0}
    base = {"url": "http://127.0.0.1:1", "campaign": 1, "annotators": [person]}
    with pytest.raises(BadConfigError, match=complaint):
        AnnotateConfig.from_json({**base, **change})


class Moody(http.server.BaseHTTPRequestHandler):
    """Fails as often as it is told to, then answers."""

    failures = 0
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        cls = type(self)
        status = 503 if cls.failures > 0 else 200
        cls.failures -= 1
        body = b'{"fine": true}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def moody_site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_site_that_fails_for_a_while_is_asked_again(moody_site: str) -> None:
    pauses: list[float] = []
    client = Client(moody_site, pause=pauses.append)
    Moody.failures = 3
    assert client.get("/") == {"fine": True}
    assert pauses == list(PAUSES[:3])
    client.close()


def test_a_site_that_never_answers_is_an_error_after_bounded_tries() -> None:
    pauses: list[float] = []
    with pytest.raises(SiteError, match="does not answer"):
        Client("http://127.0.0.1:9", pause=pauses.append).get("/")
    assert pauses == list(PAUSES)
    with pytest.raises(SiteError, match="must be http:// or https://"):
        Client("ftp://127.0.0.1")
